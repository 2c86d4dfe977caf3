-- What devices fetch when they are started for the first time. Times are microseconds since 1970 (UTC).
CREATE TABLE bootstrap_profiles (
  id               TEXT   NOT NULL PRIMARY KEY,
  domain_id        TEXT   NOT NULL,
  name             TEXT   NOT NULL,
  description      TEXT   NOT NULL,
  content_format   TEXT   NOT NULL,          -- go-template, raw, json, yaml, toml
  content_template TEXT   NOT NULL,
  defaults         JSONB  NOT NULL,          -- object
  binding_slots    JSONB  NOT NULL,          -- array of {name, type, required, fields}
  version          BIGINT NOT NULL,
  created_at       BIGINT NOT NULL,
  updated_at       BIGINT
);
CREATE UNIQUE INDEX bootstrap_profiles_name ON bootstrap_profiles (domain_id, name);
CREATE INDEX bootstrap_profiles_created ON bootstrap_profiles (domain_id, created_at, id);

CREATE TABLE bootstrap_configs (
  id                TEXT   NOT NULL PRIMARY KEY,
  domain_id         TEXT   NOT NULL,
  name              TEXT,                    -- unique in the domain where there is one
  external_id       TEXT   NOT NULL,         -- what the device calls itself
  external_digest   BYTEA  NOT NULL,         -- keyed digest of what the device proves itself with
  content           TEXT   NOT NULL,
  client_cert       TEXT   NOT NULL,
  client_key_sealed BYTEA,
  ca_cert           TEXT   NOT NULL,
  status            BIGINT NOT NULL,         -- 0 enabled, 1 disabled
  profile_id        TEXT,
  render_context    JSONB  NOT NULL,         -- object
  client_id         TEXT,                    -- the client that the device is, of configurations that know one
  created_at        BIGINT NOT NULL,
  updated_at        BIGINT
);
CREATE UNIQUE INDEX bootstrap_configs_external ON bootstrap_configs (external_id);
CREATE UNIQUE INDEX bootstrap_configs_name ON bootstrap_configs (domain_id, name);
CREATE INDEX bootstrap_configs_status ON bootstrap_configs (domain_id, status, id);
CREATE INDEX bootstrap_configs_domain ON bootstrap_configs (domain_id, id);
CREATE INDEX bootstrap_configs_profile ON bootstrap_configs (profile_id);
CREATE INDEX bootstrap_configs_client ON bootstrap_configs (client_id);

-- The channels to which the client of a configuration is connected while that is enabled.
CREATE TABLE bootstrap_channels (
  config_id  TEXT NOT NULL,
  channel_id TEXT NOT NULL,
  PRIMARY KEY (config_id, channel_id)
);
CREATE INDEX bootstrap_channels_channel ON bootstrap_channels (channel_id);

-- What stands in the slots of a configuration's profile. The thing itself is read when it is needed, so none is stale.
CREATE TABLE bootstrap_bindings (
  config_id   TEXT   NOT NULL,
  slot        TEXT   NOT NULL,
  type        TEXT   NOT NULL,               -- client or channel
  resource_id TEXT   NOT NULL,
  updated_at  BIGINT NOT NULL,
  PRIMARY KEY (config_id, slot)
);
CREATE INDEX bootstrap_bindings_resource ON bootstrap_bindings (resource_id);
