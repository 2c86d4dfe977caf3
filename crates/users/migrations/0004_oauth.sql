-- Logins by way of another provider whose answer has come in: each is good once. Rows go when they have expired.
CREATE TABLE oauth_answers (
  nonce       TEXT   NOT NULL PRIMARY KEY,  -- what the login was started with
  expires_at  BIGINT NOT NULL               -- microseconds since 1970 (UTC)
);
CREATE INDEX oauth_answers_expiry ON oauth_answers (expires_at);
