-- The shared queue of linuxguard-bridge, version 1. "SCHEMA." stands for the schema.
-- Times are nanoseconds since 1970; 0 stands for none. Text that comes from outside is bytea: it need not be UTF-8.

-- What every append changes, in one row, whose lock gives the sequences their order.
CREATE TABLE SCHEMA.meta (
  one            boolean PRIMARY KEY DEFAULT true CHECK (one),
  schema_version integer NOT NULL,
  state          text    NOT NULL, -- ready, or moving while a local queue is copied into it
  bridge_id      text    NOT NULL,
  last_seq       bigint  NOT NULL, -- the newest sequence given
  total          bigint  NOT NULL, -- bytes of all events ever
  pruned_seq     bigint  NOT NULL, -- every event up to it is deleted
  pruned_total   bigint  NOT NULL, -- bytes of those
  last_item      bigint  NOT NULL, -- the newest ID of a quarantined item
  forgotten      bigint  NOT NULL, -- every delivery up to that sequence is forgotten
  evicted        bigint  NOT NULL  -- how many of those were younger than the window
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE SCHEMA.event (
  seq         bigint PRIMARY KEY,
  total       bigint NOT NULL, -- bytes of all events up to this one
  size        bigint NOT NULL,
  received_at bigint NOT NULL,
  envelope    bytea  NOT NULL, -- JSON: what is stored beside the body
  body        bytea  NOT NULL
);
ALTER TABLE SCHEMA.event ALTER body SET STORAGE EXTERNAL;

-- Every accepted event's delivery. No index is unique: a re-sent event repeats a body, and nobody signs a delivery ID.
CREATE TABLE SCHEMA.seen (
  seq         bigint PRIMARY KEY,
  endpoint    text   NOT NULL,
  digest      bytea  NOT NULL, -- SHA-256 of the body
  delivery_id bytea  NOT NULL,
  signal_id   bytea  NOT NULL,
  sent_at     bigint NOT NULL, -- the signed timestamp
  received_at bigint NOT NULL,
  received_by text   NOT NULL  -- the bridge
);
CREATE INDEX seen_body ON SCHEMA.seen (digest, endpoint);
CREATE INDEX seen_delivery ON SCHEMA.seen (delivery_id, endpoint, signal_id);
CREATE INDEX seen_signal ON SCHEMA.seen (signal_id);

-- The newest signed timestamp of the deliveries that were forgotten.
CREATE TABLE SCHEMA.horizon (endpoint text PRIMARY KEY, sent_at bigint NOT NULL) WITH (fillfactor = 50);
-- When an endpoint's last new event was received.
CREATE TABLE SCHEMA.heard (endpoint text PRIMARY KEY, at bigint NOT NULL) WITH (fillfactor = 10);

CREATE TABLE SCHEMA.quarantine (
  id          bigint PRIMARY KEY,
  output      text   NOT NULL, -- the one that refused it; empty: quarantined on receipt
  seq         bigint NOT NULL,
  reason      bytea  NOT NULL,
  at          bigint NOT NULL,
  received_at bigint NOT NULL,
  endpoint    text   NOT NULL,
  digest      bytea  NOT NULL,
  delivery_id bytea  NOT NULL,
  signal_id   bytea  NOT NULL,
  size        bigint NOT NULL,
  envelope    bytea  NOT NULL,
  body        bytea  NOT NULL
);
CREATE UNIQUE INDEX quarantine_refused ON SCHEMA.quarantine (output, seq) WHERE output <> '';
CREATE INDEX quarantine_body ON SCHEMA.quarantine (digest, endpoint) WHERE output = '';
-- What became of items that were re-sent: a repeated command gets the same sequence.
CREATE TABLE SCHEMA.resent (id bigint PRIMARY KEY, seq bigint NOT NULL UNIQUE);

CREATE TABLE SCHEMA.output (
  name         text    PRIMARY KEY,
  cursor       bigint  NOT NULL,
  drop_oldest  boolean NOT NULL,
  dropped      bigint  NOT NULL DEFAULT 0,
  unnamed_at   bigint  NOT NULL DEFAULT 0, -- since when no bridge names it
  owner        text,                       -- the process that has it, null: nobody
  owner_bridge text    NOT NULL DEFAULT '',
  -- Counts the owners and replays, and begins at the milliseconds since 1970: above every epoch that an earlier output of this name had.
  epoch        bigint  NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
  beat         bigint  NOT NULL DEFAULT 0  -- counts the owner's signs of life
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- The outputs that each bridge has named last.
CREATE TABLE SCHEMA.declared (bridge text, output text, PRIMARY KEY (bridge, output));

-- What became of events. One that is delivered stays so, else the later line counts.
CREATE TABLE SCHEMA.outcome (
  id      bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  output  text     NOT NULL,
  first   bigint   NOT NULL,
  last    bigint   NOT NULL,
  outcome smallint NOT NULL,
  level   text     NOT NULL,
  at      bigint   NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX outcome_output ON SCHEMA.outcome (output, first);

CREATE TABLE SCHEMA.loss (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at              bigint NOT NULL,
  what            text   NOT NULL,
  first           bigint NOT NULL, -- 0: not known
  last            bigint NOT NULL,
  records         bigint NOT NULL, -- how many at the most; 0: not known
  acknowledged_by text
);

-- The running bridges. One that was killed stays until its name runs again, or for a day.
CREATE TABLE SCHEMA.bridge (
  instance text PRIMARY KEY, -- random for each start
  name     text   NOT NULL,
  host     text   NOT NULL,
  version  text   NOT NULL,
  config   text   NOT NULL, -- hash of the configuration
  seen_at  bigint NOT NULL
) WITH (fillfactor = 20);

-- What one bridge alone does.
CREATE TABLE SCHEMA.role (
  name         text   PRIMARY KEY,
  owner        text,
  owner_bridge text   NOT NULL DEFAULT '',
  epoch        bigint NOT NULL DEFAULT 0,
  beat         bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
