-- DKIM keys (docs/dkim.md). Times are wall microseconds, 0 for "not yet".
CREATE TABLE dkim_key (
    domain TEXT NOT NULL,
    selector TEXT NOT NULL,
    algorithm TEXT NOT NULL,        -- rsa-sha256, ed25519-sha256
    state TEXT NOT NULL,            -- waiting, published, active, retired, expired, revoked
    private @blob NOT NULL,         -- PKCS #8 DER; empty once the key is expired or revoked
    public TEXT NOT NULL,           -- p= of the record
    by_hand BIGINT NOT NULL,        -- whether somebody said that it is published, which DNS need not confirm
    made BIGINT NOT NULL,
    published BIGINT NOT NULL,      -- since when it is known to be in DNS
    used BIGINT NOT NULL,           -- since when it signs
    retired BIGINT NOT NULL,
    ended BIGINT NOT NULL,          -- expired or revoked
    looked BIGINT NOT NULL,         -- when DNS was asked last
    record TEXT NOT NULL,           -- what it had: ok, missing, other, unknown; empty before the first time
    PRIMARY KEY (domain, selector)
) @clustered;
