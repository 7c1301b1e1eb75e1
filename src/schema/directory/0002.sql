-- Who has granted whom something in his mailboxes (IMAP's ACL): where to look when somebody lists what others share with him. A hint:
-- what is granted stands in the owner's own database. grantee 0: anyone.
CREATE TABLE share (
    grantee BIGINT NOT NULL,
    owner BIGINT NOT NULL,
    PRIMARY KEY (grantee, owner)
) @clustered;
CREATE INDEX share_owner ON share (owner, grantee);
