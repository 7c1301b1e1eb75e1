-- The directory: who exists here and where mail goes.
-- Addresses called "key" are canonical and folded to lower case: what is compared. Numbers that are switches
-- are 0 or 1. Limits: 0 is the node's own limit (staffetta.conf), -1 is none.

CREATE TABLE sequence (name TEXT NOT NULL PRIMARY KEY, last BIGINT NOT NULL) @clustered;
-- Accounts and credentials share one sequence, so a number never means two things and is never used again.
INSERT INTO sequence (name, last) VALUES ('principal', 0);
INSERT INTO sequence (name, last) VALUES ('route', 0);

CREATE TABLE setting (name TEXT NOT NULL PRIMARY KEY, value @blob NOT NULL) @clustered;

CREATE TABLE domain (
    name TEXT NOT NULL PRIMARY KEY, -- A-labels, lower case
    kind TEXT NOT NULL,             -- local, backup-mx
    catch_all TEXT NOT NULL,        -- an address, or empty
    enabled BIGINT NOT NULL,
    created BIGINT NOT NULL
) @clustered;

CREATE TABLE account (
    id @id,
    key TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL,          -- as it was added
    domain TEXT NOT NULL,
    kind TEXT NOT NULL,             -- normal, sending-only
    send_as TEXT NOT NULL,          -- own, domain, any
    enabled BIGINT NOT NULL,
    quota_bytes BIGINT NOT NULL,
    quota_messages BIGINT NOT NULL,
    messages_per_hour BIGINT NOT NULL,
    recipients_per_hour BIGINT NOT NULL,
    password TEXT NOT NULL,         -- Argon2id, empty for none
    scram_salt TEXT NOT NULL,       -- base64, as are the keys
    scram_iterations BIGINT NOT NULL,
    scram_stored TEXT NOT NULL,
    scram_server TEXT NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX account_domain ON account (domain, key);

-- Numbers of accounts that are gone, for mailbox copies that were down when it happened.
CREATE TABLE removed_account (id @id, removed BIGINT NOT NULL);

CREATE TABLE alias (
    key TEXT NOT NULL PRIMARY KEY,
    address TEXT NOT NULL,
    domain TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    created BIGINT NOT NULL
) @clustered;
CREATE INDEX alias_domain ON alias (domain, key);

CREATE TABLE alias_target (
    alias TEXT NOT NULL,
    key TEXT NOT NULL,
    target TEXT NOT NULL,           -- canonical, its local part in its own case
    PRIMARY KEY (alias, key)
) @clustered;
CREATE INDEX alias_target_key ON alias_target (key, alias);

-- Logins that may only send: for an account, or (account 0) for any address of a domain.
CREATE TABLE credential (
    id @id,
    name TEXT NOT NULL UNIQUE,      -- lower case
    account BIGINT NOT NULL,
    domain TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    messages_per_hour BIGINT NOT NULL,
    recipients_per_hour BIGINT NOT NULL,
    password TEXT NOT NULL,
    scram_salt TEXT NOT NULL,
    scram_iterations BIGINT NOT NULL,
    scram_stored TEXT NOT NULL,
    scram_server TEXT NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX credential_account ON credential (account);
CREATE INDEX credential_domain ON credential (domain);

-- match: "recipient:example.net", "sender:example.org", "class:bulk", "recipient:*" for all the rest.
CREATE TABLE route (
    id @id,
    match TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,             -- mx, smtp, lmtp, discard, fail
    hosts TEXT NOT NULL,
    tls TEXT NOT NULL,
    login TEXT NOT NULL,            -- for the smart host, empty for none
    secret TEXT NOT NULL,           -- has to be readable: it is shown to that host
    text TEXT NOT NULL,             -- what a failing route says
    created BIGINT NOT NULL
);

CREATE TABLE pool_source (
    pool TEXT NOT NULL,
    address TEXT NOT NULL,
    weight BIGINT NOT NULL,
    ehlo TEXT NOT NULL,
    PRIMARY KEY (pool, address)
) @clustered;

-- match: "sender:example.org" or "class:bulk".
CREATE TABLE pool_binding (match TEXT NOT NULL PRIMARY KEY, pool TEXT NOT NULL) @clustered;
