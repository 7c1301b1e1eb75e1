-- One account's mail. With SQLite every account has a file of its own and the account column holds
-- one value; it stands first in every key so that the same tables can be shared out by account.

-- modseq: the highest of the folder's messages and expunged rows; the account's is the greatest of
-- all its folders. messages, bytes and unseen are exact: they change in the transaction that adds or
-- removes the message. Of messages expunged at or before expunged_floor nothing is known any more.
CREATE TABLE folder (
    account BIGINT NOT NULL,
    id BIGINT NOT NULL,
    name TEXT NOT NULL,
    special TEXT NOT NULL,
    uidvalidity BIGINT NOT NULL,
    uidnext BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    expunged_floor BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    unseen BIGINT NOT NULL,
    subscribed BIGINT NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, name)
);

-- flags: bits for the system flags (1 \Seen, 2 \Answered, 4 \Flagged, 8 \Deleted, 16 \Draft).
-- received: INTERNALDATE, microseconds. features: bits of enum content_features.
CREATE TABLE message (
    account BIGINT NOT NULL,
    folder BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    flags BIGINT NOT NULL,
    received BIGINT NOT NULL,
    size BIGINT NOT NULL,
    content BIGINT NOT NULL,
    features BIGINT NOT NULL,
    PRIMARY KEY (account, folder, uid)
) @clustered;

-- What was removed, so that a client can be told later.
CREATE TABLE expunged (
    account BIGINT NOT NULL,
    folder BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    PRIMARY KEY (account, folder, modseq, uid)
) @clustered;

-- The bytes of a message; several messages (copies in other folders) may share them. head is the
-- first piece, the others are content_chunk rows. refs: messages that use it.
CREATE TABLE content (
    account BIGINT NOT NULL,
    id BIGINT NOT NULL,
    size BIGINT NOT NULL,
    refs BIGINT NOT NULL,
    head @blob NOT NULL,
    PRIMARY KEY (account, id)
);

CREATE TABLE content_chunk (
    account BIGINT NOT NULL,
    content BIGINT NOT NULL,
    start BIGINT NOT NULL,
    data @blob NOT NULL,
    PRIMARY KEY (account, content, start)
);

-- Contents without a message: still arriving, or removed and not yet swept. Whatever is found here
-- when the database is opened is garbage.
CREATE TABLE loose (
    account BIGINT NOT NULL,
    content BIGINT NOT NULL,
    PRIMARY KEY (account, content)
) @clustered;

-- What was stored already, by queue id and time of arrival in one number: a repeated delivery is answered
-- and not stored again.
CREATE TABLE delivered (
    account BIGINT NOT NULL,
    message BIGINT NOT NULL,
    stored BIGINT NOT NULL,
    PRIMARY KEY (account, message)
) @clustered;
