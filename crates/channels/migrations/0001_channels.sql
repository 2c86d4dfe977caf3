-- Channels: streams of messages. Times are microseconds since 1970 (UTC).
CREATE TABLE channels (
  id          TEXT   NOT NULL PRIMARY KEY,
  domain_id   TEXT   NOT NULL,
  name        TEXT   NOT NULL,
  route       TEXT,                        -- stands for the id in topics; never changes
  tags        JSONB  NOT NULL,             -- array of text
  metadata    JSONB  NOT NULL,             -- object
  status      BIGINT NOT NULL,             -- 0 enabled, 1 disabled
  created_by  TEXT   NOT NULL,
  created_at  BIGINT NOT NULL,
  updated_by  TEXT,
  updated_at  BIGINT,
  changed_at  BIGINT NOT NULL              -- updated_at, or created_at where there was no update: the default order
);
CREATE UNIQUE INDEX channels_route ON channels (domain_id, route);
-- A page of a domain is read from this index alone, however far in it is.
CREATE INDEX channels_changed ON channels (domain_id, status, changed_at, id);
CREATE INDEX channels_name ON channels (domain_id, status, name, id);
CREATE INDEX channels_created ON channels (domain_id, status, created_at, id);
-- Whatever the status.
CREATE INDEX channels_all ON channels (domain_id, changed_at, id);
