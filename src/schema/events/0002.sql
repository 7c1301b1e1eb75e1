-- What is counted for the DMARC aggregate reports of each day (days since 1970, UTC). See docs/reports.md.
-- One row a domain that wants reports; the domain '' stands for all of the day: `messages` is how many domains there are,
-- `listed` how many rows, `left_out` the messages of domains that found no room. record: of _dmarc, as last seen.
-- state: 0 counting, 1 everything is planned (report_due), 2 over.
CREATE TABLE dmarc_domain (
    day BIGINT NOT NULL,
    domain TEXT NOT NULL,
    record TEXT NOT NULL,
    messages BIGINT NOT NULL,
    listed BIGINT NOT NULL,
    left_out BIGINT NOT NULL,
    state BIGINT NOT NULL,
    PRIMARY KEY (day, domain)
) @clustered;

-- Equal results of one domain: packed as in mailauth/aggregate.h; mark is a hash of that.
CREATE TABLE dmarc_row (
    day BIGINT NOT NULL,
    domain TEXT NOT NULL,
    mark TEXT NOT NULL,
    count BIGINT NOT NULL,
    packed TEXT NOT NULL,
    PRIMARY KEY (day, domain, mark)
) @clustered;

-- The last result that each process told, so that what is told again is not counted again.
CREATE TABLE report_teller (
    name TEXT PRIMARY KEY,
    seq BIGINT NOT NULL,
    day BIGINT NOT NULL
);

-- Reports of a day on their way, one row a destination. kind: 0 DMARC, 1 TLS; state: 0 due, 1 handed over and not answered yet,
-- 2 sent, 3 given up (reason says why). message: the queue id it was handed over with; due_at: not before (microseconds).
CREATE TABLE report_due (
    day BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    domain TEXT NOT NULL,
    destination TEXT NOT NULL,
    size_limit BIGINT NOT NULL,
    state BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    message BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (day, kind, domain, destination)
) @clustered;

-- Reports of others about our domains that were read. kind as above; day: in which its period begins; sender: the domain that
-- DMARC found to have sent it, or empty; policy: as the reporter saw it; arrived in microseconds.
CREATE TABLE report_read (
    number BIGINT PRIMARY KEY,
    kind BIGINT NOT NULL,
    domain TEXT NOT NULL,
    reporter TEXT NOT NULL,
    report_id TEXT NOT NULL,
    day BIGINT NOT NULL,
    begins BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    contact TEXT NOT NULL,
    sender TEXT NOT NULL,
    policy TEXT NOT NULL,
    messages BIGINT NOT NULL,
    arrived BIGINT NOT NULL
);
CREATE UNIQUE INDEX report_read_once ON report_read (kind, domain, reporter, report_id);
CREATE INDEX report_read_day ON report_read (domain, day);

-- What they say: source is the address of the server that sent, name the domain of the authors (TLS: the server that took it).
CREATE TABLE report_line (
    number BIGINT NOT NULL,
    line BIGINT NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    result TEXT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (number, line)
) @clustered;
