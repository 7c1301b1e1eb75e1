-- How many messages beyond the first use a content: of those with one message there is no row. A narrow table, because
-- COPY and EXPUNGE change it and must not rewrite the first piece of a message for that. content.refs counts nothing from
-- now on. A content that `loose` names has no message.
CREATE TABLE content_shared (
    account BIGINT NOT NULL,
    content BIGINT NOT NULL,
    extra BIGINT NOT NULL,
    PRIMARY KEY (account, content)
) @clustered;

INSERT INTO content_shared (account, content, extra)
    SELECT account, content, COUNT(*) - 1 FROM message GROUP BY account, content HAVING COUNT(*) > 1;
