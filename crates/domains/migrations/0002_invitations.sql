-- Invitations into domains; at most one for a user and domain. Times are microseconds since 1970 (UTC).
-- Pending: neither confirmed nor rejected.
CREATE TABLE invitations (
  id            TEXT   NOT NULL PRIMARY KEY,  -- never shown: breaks ties in lists
  invitee_id    TEXT   NOT NULL,
  domain_id     TEXT   NOT NULL,
  role_id       TEXT   NOT NULL,              -- the role on the domain that whoever accepts is given
  invited_by    TEXT   NOT NULL,
  created_at    BIGINT NOT NULL,
  updated_at    BIGINT,                       -- when it was sent again
  confirmed_at  BIGINT,
  rejected_at   BIGINT
);
CREATE UNIQUE INDEX invitations_invitee ON invitations (invitee_id, domain_id);
CREATE INDEX invitations_domain ON invitations (domain_id, created_at, id);
CREATE INDEX invitations_of_user ON invitations (invitee_id, created_at, id);
