-- User names are taken once, whatever the case: `Ann` and `ann` cannot be two people.
ALTER TABLE users ADD COLUMN username_key TEXT NOT NULL DEFAULT '';  -- in lower case
UPDATE users SET username_key = lower(username);
-- Names that differ in case only may be there already. The oldest keeps the key; later ones keep their spelling, by which they
-- log in, and get a key that no name can have, for no name has a `~`.
UPDATE users SET username_key = username_key || '~' || id
 WHERE id IN (SELECT id
                FROM (SELECT id, row_number() OVER (PARTITION BY lower(username) ORDER BY created_at, id) AS place
                        FROM users) AS placed
               WHERE place > 1);
CREATE UNIQUE INDEX users_username_key ON users (username_key);
