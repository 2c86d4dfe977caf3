-- What a profile shows besides names, and which users a provider vouches for.
ALTER TABLE users ADD COLUMN profile_picture TEXT NOT NULL DEFAULT '';  -- URL; empty = none
ALTER TABLE users ADD COLUMN auth_provider TEXT;                        -- `google`; none for our own accounts
CREATE INDEX users_created ON users (status, created_at, id);
-- Who is marked as deleted, oldest first.
CREATE INDEX users_deleted ON users (updated_at, id) WHERE status = 2;
