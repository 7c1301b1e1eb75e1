-- What is counted for the TLS reports (RFC 8460) of each day (days since 1970, UTC): sessions with servers of a domain, by the policy
-- it had. The domain '' stands for all of the day: `successful` is how many domains there are, `listed` how many rows of
-- tls_failure. type: 1 MTA-STS, 2 DANE (enum tlsrpt_policy_type); policy: lines, as a report has them; state: as in dmarc_domain.
CREATE TABLE tls_domain (
    day BIGINT NOT NULL,
    domain TEXT NOT NULL,
    type BIGINT NOT NULL,
    policy TEXT NOT NULL,
    successful BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    listed BIGINT NOT NULL,
    state BIGINT NOT NULL,
    PRIMARY KEY (day, domain, type)
) @clustered;

-- result: enum tls_result's name (RFC 8460 4.3). Addresses and names are empty where they are not known.
CREATE TABLE tls_failure (
    day BIGINT NOT NULL,
    domain TEXT NOT NULL,
    type BIGINT NOT NULL,
    result TEXT NOT NULL,
    mx TEXT NOT NULL,
    receiving TEXT NOT NULL,
    sending TEXT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (day, domain, type, result, mx, receiving, sending)
) @clustered;
