-- Several nodes over one database.
CREATE TABLE cluster_nodes (
  id       BIGINT NOT NULL PRIMARY KEY,    -- new at each start of a node, never used again
  renewed  BIGINT NOT NULL                 -- when the node was last heard of, by the database's own clock
);

-- The last id that a node was given.
CREATE TABLE cluster_last (
  one      BIGINT NOT NULL PRIMARY KEY,    -- 1
  id       BIGINT NOT NULL
);
INSERT INTO cluster_last (one, id) VALUES (1, 0);

-- The node that has the session; NULL: none, as where there is only one node.
ALTER TABLE mqtt_sessions ADD COLUMN owner BIGINT;
CREATE INDEX mqtt_sessions_name ON mqtt_sessions (client_id, name);

-- A message that another node has stored for a session has a place below 0 until the session's own node gives it one.
CREATE INDEX mqtt_queue_unplaced ON mqtt_queue (session_id) WHERE seq < 0;
