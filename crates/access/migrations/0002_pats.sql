-- Personal access tokens and what they are good for (reference 01 §4).

-- PATs and API keys that were made for an older one are void; raised when the password changes.
ALTER TABLE accounts ADD COLUMN credential_generation BIGINT NOT NULL DEFAULT 0;

CREATE TABLE pats (
  id                     TEXT   NOT NULL PRIMARY KEY,
  user_id                TEXT   NOT NULL,
  name                   TEXT   NOT NULL,
  description            TEXT   NOT NULL,
  digest                 BYTEA  NOT NULL,     -- keyed digest of the whole secret (scope `pat:<id>`)
  credential_generation  BIGINT NOT NULL,     -- of the account, when the secret was made
  issued_at              BIGINT NOT NULL,
  expires_at             BIGINT NOT NULL,
  updated_at             BIGINT,
  revoked_at             BIGINT,              -- set: void until the secret is reset
  last_used_at           BIGINT               -- within a minute
);
CREATE INDEX pats_user ON pats (user_id, issued_at, id);

-- `*` stands for any domain or any entity.
CREATE TABLE pat_scopes (
  id           TEXT NOT NULL PRIMARY KEY,
  pat_id       TEXT NOT NULL,
  entity_type  TEXT NOT NULL,
  domain_id    TEXT NOT NULL,
  operation    TEXT NOT NULL,
  entity_id    TEXT NOT NULL
);
CREATE UNIQUE INDEX pat_scopes_what ON pat_scopes (pat_id, entity_type, domain_id, operation, entity_id);
