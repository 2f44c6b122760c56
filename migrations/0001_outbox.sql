-- The log: every event that was acknowledged, in the order of its commit.
--
-- A position is never reused, even when pruning empties the table
-- (AUTOINCREMENT): a cursor that stands at 500 must never meet a new event
-- with position 400. There is one writer at a time, so positions become
-- visible in order and no lower one can appear later. Gaps mean nothing.
--
-- The small columns come first, so that counting and filtering do not touch
-- the pages that a long body spills over to.
CREATE TABLE outbox (
    position    INTEGER PRIMARY KEY AUTOINCREMENT,
    lane_key    INTEGER NOT NULL CHECK (lane_key BETWEEN 0 AND 4294967295),
    received_at INTEGER NOT NULL,            -- ms since 1970
    occurred_at INTEGER,                     -- s since 1970, by the event's own clock
    object_type TEXT,
    metric      TEXT,
    source      TEXT NOT NULL,
    event_id    TEXT NOT NULL CHECK (length(event_id) BETWEEN 1 AND 512),
    body        TEXT NOT NULL                -- the webhook's body, as received
) STRICT;

-- The idempotency key. The id comes first because it differs early, and
-- because people look for an event by its id alone.
CREATE UNIQUE INDEX outbox_by_event_id ON outbox (event_id, source);

-- What counting two million rows would take seconds to tell.
CREATE TABLE totals (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    outbox_events    INTEGER NOT NULL DEFAULT 0 CHECK (outbox_events >= 0),
    outbox_bytes     INTEGER NOT NULL DEFAULT 0 CHECK (outbox_bytes >= 0),
    quarantine_rows  INTEGER NOT NULL DEFAULT 0 CHECK (quarantine_rows >= 0),
    quarantine_bytes INTEGER NOT NULL DEFAULT 0 CHECK (quarantine_bytes >= 0)
) STRICT;
INSERT INTO totals (id) VALUES (1);

-- One row for each source that ever sent us something.
CREATE TABLE sources (
    name             TEXT PRIMARY KEY,
    last_received_at INTEGER,                -- last signed call, ms since 1970
    last_test_at     INTEGER,                -- last canned test event, ms since 1970
    received         INTEGER NOT NULL DEFAULT 0,  -- events stored
    duplicates       INTEGER NOT NULL DEFAULT 0,
    quarantined      INTEGER NOT NULL DEFAULT 0,
    unknown_types    INTEGER NOT NULL DEFAULT 0,
    bad_signatures   INTEGER NOT NULL DEFAULT 0,
    refused          INTEGER NOT NULL DEFAULT 0,  -- calls answered 503
    oldest_call_seconds INTEGER NOT NULL DEFAULT 0 -- greatest age of a signature seen
) STRICT, WITHOUT ROWID;

-- Signed calls that could not be stored as events, with their raw bytes.
CREATE TABLE quarantine (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    source           TEXT NOT NULL,
    reason           TEXT NOT NULL,
    detail           TEXT NOT NULL DEFAULT '',
    event_id         TEXT,
    received_at      INTEGER NOT NULL,
    last_received_at INTEGER NOT NULL,
    times            INTEGER NOT NULL DEFAULT 1 CHECK (times >= 1),
    body_sha256      BLOB NOT NULL CHECK (length(body_sha256) = 32),
    body_bytes       INTEGER NOT NULL CHECK (body_bytes >= 0),
    content_encoding TEXT,
    body             BLOB NOT NULL CHECK (length(body) <= body_bytes),
    UNIQUE (source, body_sha256)
) STRICT;
