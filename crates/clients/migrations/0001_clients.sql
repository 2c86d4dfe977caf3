-- Clients: devices and applications. Times are microseconds since 1970 (UTC).
CREATE TABLE clients (
  id                TEXT   NOT NULL PRIMARY KEY,
  domain_id         TEXT   NOT NULL,
  name              TEXT   NOT NULL,
  identity          TEXT   NOT NULL,       -- a label of the user's own; never used to log in
  tags              JSONB  NOT NULL,       -- array of text
  metadata          JSONB  NOT NULL,       -- object
  private_metadata  JSONB  NOT NULL,       -- object; not in lists
  secret_digest     BYTEA  NOT NULL,       -- keyed hash by which the secret is compared and found
  secret_sealed     BYTEA  NOT NULL,       -- the secret, sealed for `client:<id>`, so that it can be shown again
  status            BIGINT NOT NULL,       -- 0 enabled, 1 disabled
  created_by        TEXT   NOT NULL,
  created_at        BIGINT NOT NULL,
  updated_by        TEXT,
  updated_at        BIGINT,
  changed_at        BIGINT NOT NULL        -- updated_at, or created_at where there was no update: the default order
);
-- A secret names one client of its domain, so that a device may log in with the domain and its secret alone.
CREATE UNIQUE INDEX clients_secret ON clients (domain_id, secret_digest);
-- A page of a domain is read from this index alone, however far in it is.
CREATE INDEX clients_changed ON clients (domain_id, status, changed_at, id);
CREATE INDEX clients_name ON clients (domain_id, status, name, id);
CREATE INDEX clients_created ON clients (domain_id, status, created_at, id);
-- Whatever the status.
CREATE INDEX clients_all ON clients (domain_id, changed_at, id);

-- Which client may do what on which channel. Here and not with the channels, so that a client and its connections
-- come and go in one transaction.
CREATE TABLE connections (
  channel_id  TEXT   NOT NULL,
  client_id   TEXT   NOT NULL,
  type        BIGINT NOT NULL,             -- 1 publish, 2 subscribe
  domain_id   TEXT   NOT NULL,
  PRIMARY KEY (channel_id, client_id, type)
);
CREATE INDEX connections_client ON connections (client_id);
