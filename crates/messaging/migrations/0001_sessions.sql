-- What of MQTT outlives the process. Times are microseconds since 1970 (UTC); numbers of sessions are never used again.
CREATE TABLE mqtt_sessions (
  id          BIGINT NOT NULL PRIMARY KEY,
  client_id   TEXT   NOT NULL,             -- the client that it belongs to
  domain_id   TEXT   NOT NULL,             -- where that client lives
  name        TEXT   NOT NULL,             -- the client identifier of MQTT
  expiry      BIGINT NOT NULL,             -- seconds that it outlives its connection
  ends_at     BIGINT,                      -- NULL while it has a connection
  sent        BIGINT NOT NULL,             -- seq up to which messages have been sent; holds while there is no connection
  will        BYTEA,                       -- PUBLISH of MQTT 5
  will_delay  BIGINT NOT NULL,             -- seconds
  will_due    BIGINT
);

CREATE TABLE mqtt_subscriptions (
  session_id    BIGINT NOT NULL,
  filter        TEXT   NOT NULL,           -- as it was written
  domain_id     TEXT   NOT NULL,
  channel_id    TEXT   NOT NULL,
  subtopic      TEXT   NOT NULL,           -- the filter below the channel
  spelling      TEXT   NOT NULL,           -- the filter up to the channel
  share         TEXT,                      -- group of a shared subscription
  options       BIGINT NOT NULL,           -- the byte of SUBSCRIBE
  identifier    BIGINT,
  PRIMARY KEY (session_id, filter)
);

-- Messages that wait for more than one session.
CREATE TABLE mqtt_messages (
  id          BIGINT NOT NULL PRIMARY KEY,
  payload     BYTEA  NOT NULL,
  properties  BYTEA  NOT NULL,             -- as in PUBLISH of MQTT 5
  expires_at  BIGINT
);

-- What waits for a session or is on its way to it. The packet identifier follows from seq.
CREATE TABLE mqtt_queue (
  session_id     BIGINT NOT NULL,
  seq            BIGINT NOT NULL,          -- order of delivery
  released       BOOLEAN NOT NULL,         -- QoS 2: the client has it; only its PUBCOMP is missing
  qos            BIGINT NOT NULL,
  retain         BOOLEAN NOT NULL,
  channel_id     TEXT   NOT NULL,
  topic          TEXT   NOT NULL,          -- as the subscriber spells it
  identifiers    TEXT   NOT NULL,          -- of its subscriptions, separated by commas
  bytes          BIGINT NOT NULL,          -- what it counts against the bounds of the queue
  message_id     BIGINT,                   -- in mqtt_messages; NULL: the message stands here
  payload        BYTEA,
  properties     BYTEA,
  expires_at     BIGINT,
  PRIMARY KEY (session_id, seq)
);
CREATE INDEX mqtt_queue_message ON mqtt_queue (message_id) WHERE message_id IS NOT NULL;

-- QoS 2 messages that a client has sent and not released yet.
CREATE TABLE mqtt_unreleased (
  session_id  BIGINT NOT NULL,
  packet_id   BIGINT NOT NULL,
  PRIMARY KEY (session_id, packet_id)
);

CREATE TABLE mqtt_retained (
  channel_id  TEXT   NOT NULL,
  subtopic    TEXT   NOT NULL,
  qos         BIGINT NOT NULL,
  bytes       BIGINT NOT NULL,             -- what it counts against the bounds of the node
  payload     BYTEA  NOT NULL,
  properties  BYTEA  NOT NULL,
  expires_at  BIGINT,
  PRIMARY KEY (channel_id, subtopic)
);
CREATE INDEX mqtt_retained_expiry ON mqtt_retained (expires_at) WHERE expires_at IS NOT NULL;
