-- What came into the shard and what became of it: one row, changed by the commit that changes what it
-- counts. Messages: those taken, those made here (reports), those whose last recipient ended. Recipients:
-- taken with a message, of a report, put in place of an alias; and how each of them ended. Of those that
-- failed or expired: named in a report, or nobody is to be told. written_off: what the administrator
-- accepted as lost or found.
CREATE TABLE ledger (
    id @id,
    since BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    reports BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    accepted BIGINT NOT NULL,
    reported BIGINT NOT NULL,
    targets BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    relayed BIGINT NOT NULL,
    discarded BIGINT NOT NULL,
    expanded BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    expired BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    told BIGINT NOT NULL,
    untold BIGINT NOT NULL,
    written_off BIGINT NOT NULL,
    written_off_messages BIGINT NOT NULL
);

INSERT INTO ledger SELECT 1, 0, (SELECT count(*) FROM message), 0, 0, (SELECT count(*) FROM recipient),
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0;
