-- Domains: the tenants. Times are microseconds since 1970 (UTC).
CREATE TABLE domains (
  id          TEXT   NOT NULL PRIMARY KEY,
  name        TEXT   NOT NULL,
  route       TEXT   NOT NULL,             -- stands for the id in topics; never changes
  tags        JSONB  NOT NULL,             -- array of text
  metadata    JSONB  NOT NULL,             -- object
  status      BIGINT NOT NULL,             -- 0 enabled, 1 disabled, 2 frozen, 3 deleted
  created_by  TEXT   NOT NULL,
  created_at  BIGINT NOT NULL,
  updated_by  TEXT,
  updated_at  BIGINT,
  changed_at  BIGINT NOT NULL              -- updated_at, or created_at where there was no update: the default order
);
CREATE UNIQUE INDEX domains_route ON domains (route);
CREATE INDEX domains_changed ON domains (status, changed_at, id);
