-- The story of every message. See docs/events.md. Queue ids grow with time, so both tables are appended
-- to and pruned from their beginning, by message.
-- kind as in ipc/messages.h (enum event_kind); details is a JSON object. sender and message_id stand
-- only in the events that begin a story. An event is what its key says: told again it changes nothing.
CREATE TABLE event (
    message BIGINT NOT NULL,
    time BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    rcpt TEXT NOT NULL,
    sender TEXT NOT NULL,
    message_id TEXT NOT NULL,
    details TEXT NOT NULL,
    PRIMARY KEY (message, time, kind, rcpt)
) @clustered;

-- Which messages an address or a Message-ID (in lower case, without brackets) has to do with.
CREATE TABLE mention (
    message BIGINT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (message, key)
) @clustered;
CREATE INDEX mention_key ON mention (key, message);
