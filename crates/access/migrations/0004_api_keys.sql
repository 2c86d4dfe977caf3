-- API keys: tokens that work until they expire or are revoked, which is when their row goes (reference 01 §3).
CREATE TABLE api_keys (
  id                     TEXT   NOT NULL PRIMARY KEY,   -- the token's `jti`
  user_id                TEXT   NOT NULL,
  credential_generation  BIGINT NOT NULL,               -- of the account, when the key was made; void for any other
  issued_at              BIGINT NOT NULL,
  expires_at             BIGINT                         -- null: never
);
CREATE INDEX api_keys_user ON api_keys (user_id, issued_at);
