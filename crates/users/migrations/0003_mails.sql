-- Mails that have to be sent, and what the addresses that they go to have to show. Times are microseconds since 1970.

-- No token is kept here: it is made when the mail is sent, for whoever has the address then, so a copy of the database
-- opens no account and a late mail holds a fresh token.
CREATE TABLE mails (
  id          TEXT   NOT NULL PRIMARY KEY,
  kind        BIGINT NOT NULL,              -- 0 password reset, 1 verification of the address
  email_key   TEXT   NOT NULL,              -- in lower case; may belong to nobody
  request     TEXT   NOT NULL,              -- the id of the request, for the event
  attempts    BIGINT NOT NULL,
  due_at      BIGINT NOT NULL,
  created_at  BIGINT NOT NULL
);
-- What is asked for many times is sent once.
CREATE UNIQUE INDEX mails_address ON mails (email_key, kind);
CREATE INDEX mails_due ON mails (due_at, id);

CREATE TABLE email_verifications (
  id          TEXT   NOT NULL PRIMARY KEY,
  user_id     TEXT   NOT NULL,
  email_key   TEXT   NOT NULL,
  otp_digest  BYTEA  NOT NULL,              -- keyed; the one-time password is in the mail only
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  used_at     BIGINT
);
CREATE UNIQUE INDEX email_verifications_otp ON email_verifications (otp_digest);
CREATE INDEX email_verifications_user ON email_verifications (user_id, created_at);
