-- Annotations of mailboxes and of the account (RFC 5464).

-- folder 0: of the account as a whole. owner: whose /private entry it is, the number of an account; 0: /shared. name: the
-- whole name of the entry, "/shared/comment", in small letters. size: of the name and the value, bytes; what all of them take
-- is bounded. They go in the transaction that deletes their folder, and follow it when it is renamed.
CREATE TABLE annotation (
    account BIGINT NOT NULL,
    folder BIGINT NOT NULL,
    owner BIGINT NOT NULL,
    name TEXT NOT NULL,
    size BIGINT NOT NULL,
    value @blob NOT NULL,
    PRIMARY KEY (account, folder, owner, name)
) @clustered;
