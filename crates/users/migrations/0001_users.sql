-- Users: people and programs that manage things. Times are microseconds since 1970 (UTC).
-- Whether a user may act is the account's matter (table `accounts` of access); the status here is what lists show, and
-- both change in one transaction.
CREATE TABLE users (
  id                TEXT   NOT NULL PRIMARY KEY,
  username          TEXT   NOT NULL,
  email             TEXT   NOT NULL,       -- as given
  email_key         TEXT   NOT NULL,       -- in lower case: addresses are compared without case
  first_name        TEXT   NOT NULL,
  last_name         TEXT   NOT NULL,
  password_hash     TEXT,                  -- Argon2id in PHC format; none for accounts of other providers
  tags              JSONB  NOT NULL,       -- array of text
  metadata          JSONB  NOT NULL,       -- object
  private_metadata  JSONB  NOT NULL,       -- object, for the user and administrators only
  role              BIGINT NOT NULL,       -- 0 user, 1 admin
  status            BIGINT NOT NULL,       -- 0 enabled, 1 disabled, 2 deleted
  verified_at       BIGINT,
  created_at        BIGINT NOT NULL,
  updated_by        TEXT,
  updated_at        BIGINT,
  changed_at        BIGINT NOT NULL        -- updated_at, or created_at where there was no update: the default order
);
CREATE UNIQUE INDEX users_username ON users (username);
CREATE UNIQUE INDEX users_email ON users (email_key);
CREATE INDEX users_changed ON users (status, changed_at, id);
