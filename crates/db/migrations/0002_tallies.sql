-- How many things of a kind a domain holds, by status, so that no list counts a million rows to say how many there are.
-- A count is spread over stripes: writers of one domain seldom wait for each other.
CREATE TABLE tallies (
  kind       TEXT   NOT NULL,
  domain_id  TEXT   NOT NULL,
  status     BIGINT NOT NULL,
  stripe     BIGINT NOT NULL,
  n          BIGINT NOT NULL,             -- may be negative in one stripe; the sum never is
  PRIMARY KEY (kind, domain_id, status, stripe)
);
