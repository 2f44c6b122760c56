-- Events that a destination lost after it had accepted them, as its own books
-- say (`streamer aep reconcile` reads Adobe's failed batches). One row for each
-- batch and each event in it: reading the same batch again adds nothing.
CREATE TABLE late_failures (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    batch_id    TEXT NOT NULL CHECK (length(batch_id) BETWEEN 1 AND 128), -- the destination's own
    record_id   TEXT NOT NULL CHECK (length(record_id) BETWEEN 1 AND 512), -- the event's id there
    position    INTEGER,                     -- NULL: the outbox has no such event
    source      TEXT,
    event_id    TEXT,
    code        TEXT NOT NULL,
    message     TEXT NOT NULL DEFAULT '',
    lost_at     INTEGER NOT NULL,            -- when the batch was closed there, ms since 1970
    found_at    INTEGER NOT NULL,
    buried      INTEGER NOT NULL DEFAULT 0 CHECK (buried IN (0, 1)), -- made a dead letter once
    CHECK ((position IS NULL) = (source IS NULL) AND (position IS NULL) = (event_id IS NULL)),
    CHECK (buried = 0 OR position IS NOT NULL),
    UNIQUE (destination, batch_id, record_id)
) STRICT;
CREATE INDEX late_failures_by_position ON late_failures (position) WHERE position IS NOT NULL;
CREATE INDEX late_failures_to_bury ON late_failures (destination, position)
    WHERE buried = 0 AND position IS NOT NULL;

-- How far the books of a destination were looked through.
CREATE TABLE reconciliations (
    destination TEXT PRIMARY KEY,
    looked_at   INTEGER NOT NULL,            -- ms since 1970
    until       INTEGER NOT NULL             -- batches begun before this are known, ms since 1970
) STRICT, WITHOUT ROWID;

-- What was lost after it had been accepted, with the event if it is still there.
CREATE VIEW v_late_failures AS
SELECT late.id,
       late.destination,
       late.code,
       late.message,
       late.batch_id,
       strftime('%Y-%m-%dT%H:%M:%fZ', late.lost_at / 1000.0, 'unixepoch') AS lost,
       strftime('%Y-%m-%dT%H:%M:%fZ', late.found_at / 1000.0, 'unixepoch') AS found,
       late.position,
       late.source,
       coalesce(late.event_id, late.record_id) AS event_id,
       CASE WHEN outbox.position IS NOT NULL THEN
           coalesce(nullif(object_type, ''), 'unknown') || '.'
               || coalesce(nullif(metric, ''), 'unknown') END AS type,
       letter.state AS dead_letter
FROM late_failures AS late
    LEFT JOIN outbox ON outbox.position = late.position
    LEFT JOIN dead_letters AS letter
        ON letter.destination = late.destination AND letter.position = late.position;

CREATE VIEW v_reconciliations AS
SELECT destination,
       strftime('%Y-%m-%dT%H:%M:%fZ', looked_at / 1000.0, 'unixepoch') AS looked,
       strftime('%Y-%m-%dT%H:%M:%fZ', until / 1000.0, 'unixepoch') AS until
FROM reconciliations;
