-- What `staffetta mailbox import` has brought here: a hash that names the message at its source. A mark is written in the
-- transaction that stores the message, so a second run knows exactly what is missing, whatever became of the message since.
CREATE TABLE imported (
    account BIGINT NOT NULL,
    mark @blob NOT NULL,
    PRIMARY KEY (account, mark)
) @clustered;
