-- Folders as IMAP needs them.

-- deleted, deleted_bytes: messages with \Deleted, exact as the other counts. blocks: uid_block has all
-- messages of the folder (0: it was filled before there were blocks). A folder whose special is '\gone' was
-- deleted: its name is free again, its messages are removed bit by bit.
ALTER TABLE folder ADD COLUMN deleted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE folder ADD COLUMN deleted_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE folder ADD COLUMN blocks BIGINT NOT NULL DEFAULT 0;

-- saved: when it came into this folder, microseconds (0: with received). flags: from bit 8 on the keywords of slots 0
-- to 47; more: the keywords of later slots, a bit each (NULL: none).
ALTER TABLE message ADD COLUMN saved BIGINT NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN more @blob;

-- For every 1,024 uids that have a message: which (a bit each), how many of them are unseen, and the highest
-- modseq among them. Sequence numbers and "what changed since" are answered from here.
CREATE TABLE uid_block (
    account BIGINT NOT NULL,
    folder BIGINT NOT NULL,
    number BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    unseen BIGINT NOT NULL,
    bits @blob NOT NULL,
    PRIMARY KEY (account, folder, number)
) @clustered;

CREATE TABLE keyword (
    account BIGINT NOT NULL,
    folder BIGINT NOT NULL,
    slot BIGINT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (account, folder, slot)
) @clustered;

-- Names, not folders: a subscription outlives its folder (RFC 9051, section 6.3.7).
CREATE TABLE subscription (
    account BIGINT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (account, name)
) @clustered;

INSERT INTO subscription (account, name) SELECT account, name FROM folder WHERE subscribed = 1;

-- What FETCH, SORT and THREAD need without the bytes, made when the message came in; a content of before has none until
-- somebody asks. SORT and THREAD walk over the keys of a whole folder, so these are a table of their own, without the tree of
-- parts. sent: microseconds (0: no readable Date). reply: the subject says so. subject: its base subject, case folded.
-- refs: 64-bit hashes of its Message-ID (0: none), then of those it refers to.
CREATE TABLE content_info (
    account BIGINT NOT NULL,
    content BIGINT NOT NULL,
    sent BIGINT NOT NULL,
    reply BIGINT NOT NULL,
    subject TEXT NOT NULL,
    refs @blob NOT NULL,
    PRIMARY KEY (account, content)
) @clustered;

CREATE TABLE content_tree (
    account BIGINT NOT NULL,
    content BIGINT NOT NULL,
    preview TEXT,
    tree @blob NOT NULL,
    PRIMARY KEY (account, content)
) @clustered;
