-- The authority, and the certificates that it has signed. Times are microseconds since 1970 (UTC).
CREATE TABLE certificate_authorities (
  id           TEXT   NOT NULL PRIMARY KEY,
  kind         TEXT   NOT NULL,         -- `root` or `intermediate`
  generation   BIGINT NOT NULL,         -- the highest of a kind signs; the others are kept for what they have signed
  parent_id    TEXT,                    -- the root that has signed an intermediate
  certificate  TEXT   NOT NULL,         -- PEM; an imported intermediate with what is above it
  key_sealed   BYTEA,                   -- PKCS#8 in PEM, sealed for `certificate_authority:<id>`; none: it only vouches
  not_after    BIGINT NOT NULL,
  created_at   BIGINT NOT NULL
);
-- Two nodes that start at once make one authority.
CREATE UNIQUE INDEX certificate_authorities_generation ON certificate_authorities (kind, generation);

CREATE TABLE certificates (
  id           TEXT   NOT NULL PRIMARY KEY,  -- serial number: lower-case hexadecimal digits without leading zero bytes
  domain_id    TEXT   NOT NULL,
  entity_id    TEXT   NOT NULL,              -- the client
  issuer_id    TEXT   NOT NULL,              -- certificate_authorities.id, or `openbao`
  common_name  TEXT   NOT NULL,
  fingerprint  TEXT   NOT NULL,              -- SHA-256 of the certificate, hexadecimal
  certificate  TEXT   NOT NULL,              -- PEM
  key_sealed   BYTEA,                        -- PKCS#8 in PEM, sealed for `certificate:<id>`; none: we never had it
  not_before   BIGINT NOT NULL,
  not_after    BIGINT NOT NULL,
  created_by   TEXT   NOT NULL,
  created_at   BIGINT NOT NULL,
  revoked_at   BIGINT,
  reason       BIGINT,                       -- CRLReason of RFC 5280 §5.3.1
  warned_at    BIGINT                        -- when its end was announced
);
CREATE INDEX certificates_created ON certificates (domain_id, created_at, id);
CREATE INDEX certificates_of_entity ON certificates (entity_id, created_at, id);
CREATE INDEX certificates_revoked ON certificates (issuer_id, not_after) WHERE revoked_at IS NOT NULL;
-- What is about to end, and was not announced yet.
CREATE INDEX certificates_ending ON certificates (not_after) WHERE revoked_at IS NULL AND warned_at IS NULL;
