-- Events of committed changes that have not been delivered yet. Written in the transaction of the change, deleted by the
-- relay after delivery.
CREATE TABLE outbox (
-- sqlite
  id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, so "greater than" means "later"
-- end
-- postgres
  id          BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
-- end
  entity      TEXT    NOT NULL,          -- what the event is about; events of one entity keep their order
  operation   TEXT    NOT NULL,          -- client.create
  payload     JSONB   NOT NULL,          -- the flat object of the reference
  created_at  BIGINT  NOT NULL           -- microseconds: when the change happened
);
CREATE INDEX outbox_entity ON outbox (entity, id);
