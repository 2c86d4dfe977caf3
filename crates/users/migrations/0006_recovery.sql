-- Where the mail with a link to a new password goes: not to every address that somebody with a stolen token has entered.
-- The address of the user's beginning, until a later one is verified and due. Times are microseconds since 1970 (UTC).
ALTER TABLE users ADD COLUMN recovery_email TEXT NOT NULL DEFAULT '';  -- as given
ALTER TABLE users ADD COLUMN recovery_key TEXT NOT NULL DEFAULT '';    -- in lower case
ALTER TABLE users ADD COLUMN recovery_due BIGINT;                      -- when `email` takes over, once it is verified
UPDATE users SET recovery_email = email, recovery_key = email_key;
-- It stays its user's, so that it can become the address again.
CREATE UNIQUE INDEX users_recovery ON users (recovery_key);
CREATE INDEX users_recovery_due ON users (recovery_due) WHERE recovery_due IS NOT NULL;

-- A notice goes to an address that is the user's no more, so it says whose and which.
ALTER TABLE mails ADD COLUMN user_id TEXT;
ALTER TABLE mails ADD COLUMN recipient TEXT;

-- How many mails of a kind an address was sent lately, whether it belongs to anybody or not.
CREATE TABLE mail_counts (
  email_key  TEXT   NOT NULL,
  kind       BIGINT NOT NULL,   -- as in `mails`
  last_at    BIGINT NOT NULL,   -- when the last one was left
  since      BIGINT NOT NULL,   -- the beginning of the hour that is counted
  count      BIGINT NOT NULL,
  PRIMARY KEY (email_key, kind)
);
CREATE INDEX mail_counts_last ON mail_counts (last_at);
