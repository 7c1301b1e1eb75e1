-- The flags, modseqs and sizes of up to 128 neighbouring messages (uids number * 128 .. + 127) in one row, packed
-- (roles/mailbox/flag_block.h). What stands here for a message counts; of one that does not stand here (it has keywords of late
-- slots, or nothing has touched its block yet) `message` says it. Entries of messages that are gone mean nothing.
CREATE TABLE flag_block (
    account BIGINT NOT NULL,
    folder BIGINT NOT NULL,
    number BIGINT NOT NULL,
    data @blob NOT NULL,
    PRIMARY KEY (account, folder, number)
) @clustered;
