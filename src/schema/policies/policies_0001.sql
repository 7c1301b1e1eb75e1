-- MTA-STS policies of other domains (RFC 8461 3.3). See docs/tlspolicy.md. id: of the record that was in DNS when it was fetched;
-- policy: its text; fetched, ends, and tried (the last attempt to fetch it anew) in seconds.
CREATE TABLE sts_policy (
    domain TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    policy TEXT NOT NULL,
    fetched BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    tried BIGINT NOT NULL
);
CREATE INDEX sts_policy_ends ON sts_policy (ends);
CREATE INDEX sts_policy_tried ON sts_policy (tried);
