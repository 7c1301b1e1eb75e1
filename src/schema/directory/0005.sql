-- What the daily check found the last time (docs/setup.md), a row for the server (subject empty) and for each domain. at: wall microseconds;
-- problems: a line each, see lib/outside/watch.h.
CREATE TABLE watched (
    subject TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    problems TEXT NOT NULL
) @clustered;
