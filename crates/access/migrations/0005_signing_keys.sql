-- Keys that sign tokens follow each other: an old one verifies for as long as what it has signed may be good.
ALTER TABLE signing_keys ADD COLUMN longest_life BIGINT NOT NULL DEFAULT 0; -- microseconds: of all that it may have signed but API keys
ALTER TABLE signing_keys ADD COLUMN ends_at BIGINT; -- null while it signs; from then on it verifies API keys only
-- Which key has signed an API key; null: a secret of the settings.
ALTER TABLE api_keys ADD COLUMN kid TEXT;
UPDATE api_keys SET kid = (SELECT kid FROM signing_keys WHERE active = 1);
CREATE INDEX api_keys_kid ON api_keys (kid);
