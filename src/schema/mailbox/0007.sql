-- Who else may use a mailbox, and how (RFC 4314).

-- grantee: the number of an account, 0: anyone. negative: 1 takes the rights away from whom other rows give them. rights: one bit each,
-- as in store_acl.h; never 0. The rows go in the transaction that deletes their folder, and follow it when it is renamed.
CREATE TABLE acl (
    account BIGINT NOT NULL,
    folder BIGINT NOT NULL,
    grantee BIGINT NOT NULL,
    negative BIGINT NOT NULL,
    rights BIGINT NOT NULL,
    PRIMARY KEY (account, folder, grantee, negative)
) @clustered;
