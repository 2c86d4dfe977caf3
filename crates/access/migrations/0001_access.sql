-- Who may do what: keys, accounts, sessions, domains' gates, relations, roles.
-- Times are microseconds since 1970 (UTC). Ids of things are canonical UUID text.

-- The keys that sign tokens. The private key is sealed with the master key (context `signing_key:<kid>`).
CREATE TABLE signing_keys (
  kid         TEXT   NOT NULL PRIMARY KEY,
  algorithm   TEXT   NOT NULL,             -- EdDSA
  sealed      BYTEA  NOT NULL,             -- PKCS#8, sealed
  active      BIGINT NOT NULL,             -- 1: signs; 0: only verifies until its tokens have expired
  created_at  BIGINT NOT NULL
);
-- Whoever starts first makes the key; a second node that starts at the same time finds it.
CREATE UNIQUE INDEX signing_keys_active ON signing_keys (active) WHERE active = 1;

-- What authentication must know of a user at every request. The rest of the user is the users crate's.
CREATE TABLE accounts (
  user_id     TEXT   NOT NULL PRIMARY KEY,
  enabled     BIGINT NOT NULL,             -- 1 or 0
  verified    BIGINT NOT NULL,             -- 1: the e-mail address is verified
  generation  BIGINT NOT NULL              -- tokens of an older generation are void; raised to end all sessions
);

-- Logins that may be refreshed. A refresh token's `jti` is the session's id, a dot, and its own token id.
CREATE TABLE sessions (
  id              TEXT   NOT NULL PRIMARY KEY,
  user_id         TEXT   NOT NULL,
  description     TEXT   NOT NULL,
  token_id        TEXT   NOT NULL,         -- of the newest refresh token
  previous_id     TEXT,                    -- of the one that was exchanged last
  previous_until  BIGINT,                  -- until when a repeat of that exchange is honoured
  created_at      BIGINT NOT NULL,
  expires_at      BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id, created_at);

-- What authorization must know of a domain at every request. The rest of the domain is the domains crate's.
CREATE TABLE domain_gates (
  domain_id   TEXT   NOT NULL PRIMARY KEY,
  status      BIGINT NOT NULL              -- 0 enabled, 1 disabled, 2 frozen, 3 deleted
);

-- Relations between things: `object#relation@subject`. What roles grant is not here but in the two tables below,
-- so that it is stored once; the engine sees both as tuples (see `access::graph`).
CREATE TABLE relations (
  object_kind   TEXT NOT NULL,
  object_id     TEXT NOT NULL,
  relation      TEXT NOT NULL,
  subject_kind  TEXT NOT NULL,
  subject_id    TEXT NOT NULL,
  PRIMARY KEY (object_kind, object_id, relation, subject_kind, subject_id)
);
CREATE INDEX relations_subject ON relations (subject_kind, subject_id);

-- A role on a thing. Read as tuples: `<entity_kind>:<entity_id>#<each action>@role:<id>#member`.
CREATE TABLE roles (
  id           TEXT   NOT NULL PRIMARY KEY,
  name         TEXT   NOT NULL,
  entity_kind  TEXT   NOT NULL,            -- domain, group, client, channel, rule, report
  entity_id    TEXT   NOT NULL,
  domain_id    TEXT   NOT NULL,            -- the domain that the thing is in (for a domain: itself)
  actions      JSONB  NOT NULL,            -- array of action names
  built_in     BIGINT NOT NULL,            -- 1: the admin role that came with the thing
  created_by   TEXT   NOT NULL,
  created_at   BIGINT NOT NULL,
  updated_by   TEXT,
  updated_at   BIGINT
);
CREATE UNIQUE INDEX roles_name ON roles (entity_kind, entity_id, name);

-- Who holds a role. Read as tuples: `role:<role_id>#member@user:<domain_id>_<member_id>`.
-- A user holds at most one role on a thing (reference 02 §4.1).
CREATE TABLE role_members (
  role_id    TEXT NOT NULL,
  member_id  TEXT NOT NULL,
  entity_id  TEXT NOT NULL,
  domain_id  TEXT NOT NULL,
  PRIMARY KEY (role_id, member_id)
);
CREATE UNIQUE INDEX role_members_entity ON role_members (member_id, entity_id);
CREATE INDEX role_members_domain ON role_members (member_id, domain_id);
