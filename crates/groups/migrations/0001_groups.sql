-- Groups: folders of clients, channels and groups. Times are microseconds since 1970 (UTC).
-- What contains what is not here but in `relations` (`parent_group`), so that a move is one row and no path goes stale.
CREATE TABLE groups (
  id           TEXT   NOT NULL PRIMARY KEY,
  domain_id    TEXT   NOT NULL,
  name         TEXT   NOT NULL,
  description  TEXT,                       -- NULL: never given
  tags         JSONB  NOT NULL,            -- array of text
  metadata     JSONB  NOT NULL,            -- object
  status       BIGINT NOT NULL,            -- 0 enabled, 1 disabled
  created_at   BIGINT NOT NULL,
  updated_by   TEXT,
  updated_at   BIGINT,
  changed_at   BIGINT NOT NULL             -- updated_at, or created_at where there was no update: the default order
);
-- A page of a domain is read from one of these alone, however far in it is.
CREATE INDEX groups_changed ON groups (domain_id, status, changed_at, id);
CREATE INDEX groups_name ON groups (domain_id, status, name, id);
CREATE INDEX groups_created ON groups (domain_id, status, created_at, id);
-- Whatever the status.
CREATE INDEX groups_all ON groups (domain_id, changed_at, id);
