-- Keys of the addresses this server signs itself (docs/forwarding.md): return paths of forwarded mail and of its own. The one with the
-- highest id signs, those before it are accepted for a while. made: wall microseconds.
CREATE TABLE path_key (id @id, made BIGINT NOT NULL, secret @blob NOT NULL);

-- What is done about return paths of a domain's own mail: plain, sign, junk, refuse.
ALTER TABLE domain ADD COLUMN return_path TEXT NOT NULL DEFAULT 'plain';
