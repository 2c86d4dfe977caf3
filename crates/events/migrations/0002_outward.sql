-- Events that have been delivered inside, and wait until the bus outside has taken them. Filled by the relay in the
-- transaction that takes them from the outbox, only where there is such a bus; emptied by the forwarder.
CREATE TABLE outbox_outward (
  id          BIGINT  PRIMARY KEY,       -- that of the outbox
  entity      TEXT    NOT NULL,
  operation   TEXT    NOT NULL,
  payload     JSONB   NOT NULL,
  created_at  BIGINT  NOT NULL           -- microseconds: when the change happened
);
