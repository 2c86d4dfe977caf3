-- When an authority outside was told that a certificate of its own was revoked here; microseconds since 1970 (UTC).
ALTER TABLE certificates ADD COLUMN told_at BIGINT;
-- What is still to be told.
CREATE INDEX certificates_untold ON certificates (revoked_at, id)
  WHERE issuer_id = 'openbao' AND revoked_at IS NOT NULL AND told_at IS NULL;
