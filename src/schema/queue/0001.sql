-- The queue of one shard. See docs/queue.md for the states and what a crash leaves behind.
-- A message row never changes. head: the header fields put on top and, when both fit into 64 KB, the
-- whole body; otherwise the body is in chunk. class: 0 transactional, 1 bulk. kind: 0 mail, 1 a report of ours.
CREATE TABLE message (
    id @id,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    class BIGINT NOT NULL,
    flags BIGINT NOT NULL,
    priority BIGINT NOT NULL,
    account BIGINT NOT NULL,
    hold_until BIGINT NOT NULL,
    deliver_by BIGINT NOT NULL,
    size BIGINT NOT NULL,
    head_size BIGINT NOT NULL,
    sender TEXT NOT NULL,
    envid TEXT NOT NULL,
    login TEXT NOT NULL,
    client TEXT NOT NULL,
    helo TEXT NOT NULL,
    protocol TEXT NOT NULL,
    tls TEXT NOT NULL,
    message_id TEXT NOT NULL,
    head @blob NOT NULL
);

-- The body of a larger message: piece seq holds its bytes from seq * 65536 on.
CREATE TABLE chunk (
    message BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    data @blob NOT NULL,
    PRIMARY KEY (message, seq)
) @clustered;

-- One row a recipient that is not finished. state: 0 waiting until `due`, 1 held by the administrator
-- (then `due` is when it was held). A recipient being delivered is in no other state: only the process
-- knows, so that after a crash it is simply due. The check keeps the one rule the sweep relies on.
CREATE TABLE recipient (
    message BIGINT NOT NULL,
    n BIGINT NOT NULL,
    state BIGINT NOT NULL,
    class BIGINT NOT NULL,
    due BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    first_attempt BIGINT NOT NULL,
    last_attempt BIGINT NOT NULL,
    notify BIGINT NOT NULL,
    depth BIGINT NOT NULL,
    noticed BIGINT NOT NULL,
    reason BIGINT NOT NULL,
    code BIGINT NOT NULL,
    address TEXT NOT NULL,
    orcpt TEXT NOT NULL,
    original TEXT NOT NULL,
    reply TEXT NOT NULL,
    host TEXT NOT NULL,
    PRIMARY KEY (message, n),
    CHECK (due <= expires)
) @clustered;

CREATE INDEX recipient_due ON recipient (state, class, due, expires);
