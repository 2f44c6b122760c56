-- The schema as all migrations together leave it. Written by
--     python -m streamer.store.schema
-- and not to be edited: change it with a new migration.

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

CREATE UNIQUE INDEX outbox_by_event_id ON outbox (event_id, source);

CREATE TABLE totals (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    outbox_events    INTEGER NOT NULL DEFAULT 0 CHECK (outbox_events >= 0),
    outbox_bytes     INTEGER NOT NULL DEFAULT 0 CHECK (outbox_bytes >= 0),
    quarantine_rows  INTEGER NOT NULL DEFAULT 0 CHECK (quarantine_rows >= 0),
    quarantine_bytes INTEGER NOT NULL DEFAULT 0 CHECK (quarantine_bytes >= 0)
) STRICT;

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

CREATE TABLE destinations (
    name       TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    configured INTEGER NOT NULL DEFAULT 1 CHECK (configured IN (0, 1)),
    paused_at  INTEGER,                      -- by an operator, ms since 1970
    poked      INTEGER NOT NULL DEFAULT 0,   -- grows when an operator wants a try at once
    mark       TEXT,                         -- the destination's own progress, such as a file's length
    lanes      INTEGER NOT NULL DEFAULT 1 CHECK (lanes >= 1),
    include    TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(include)),
    exclude    TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(exclude)),
    accepted   INTEGER NOT NULL DEFAULT 0,
    buried     INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE replays (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    destination   TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('range', 'events', 'dead_letters')),
    from_position INTEGER NOT NULL,
    to_position   INTEGER NOT NULL,
    since         INTEGER,                   -- received at or after, ms since 1970
    until         INTEGER,                   -- received before, ms since 1970
    include       TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(include)),
    positions     TEXT CHECK (positions IS NULL OR json_valid(positions)),
    state         TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'cancelled')),
    created_at    INTEGER NOT NULL,
    finished_at   INTEGER,
    events        INTEGER NOT NULL,          -- how many it was to send when it was started
    accepted      INTEGER NOT NULL DEFAULT 0,
    buried        INTEGER NOT NULL DEFAULT 0,
    CHECK ((state = 'running') = (finished_at IS NULL)),
    CHECK ((kind = 'range') = (positions IS NULL))
) STRICT;

CREATE INDEX replays_running ON replays (destination) WHERE state = 'running';

CREATE TABLE cursors (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    destination       TEXT NOT NULL,
    replay_id         INTEGER NOT NULL DEFAULT 0,
    lanes             INTEGER NOT NULL DEFAULT 1 CHECK (lanes >= 1),
    lane              INTEGER NOT NULL DEFAULT 0,
    position          INTEGER NOT NULL CHECK (position >= 0),
    ahead             TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(ahead)), -- settled beyond the cursor
    generation        INTEGER NOT NULL DEFAULT 1 CHECK (generation >= 1),
    state             TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'waiting', 'held')),
    attempt           INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    first_deferred_at INTEGER,
    next_attempt_at   INTEGER,
    last_error        TEXT,
    last_error_at     INTEGER,
    moved_at          INTEGER NOT NULL,
    CHECK (lane >= 0 AND lane < lanes),
    CHECK ((state = 'ready') = (next_attempt_at IS NULL)),
    UNIQUE (destination, replay_id, lanes, lane)
) STRICT;

CREATE TABLE dead_letters (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    position    INTEGER NOT NULL,
    source      TEXT NOT NULL,
    event_id    TEXT NOT NULL,
    reason      TEXT NOT NULL,
    detail      TEXT NOT NULL DEFAULT '',
    attempts    INTEGER NOT NULL CHECK (attempts >= 1),
    buried_at   INTEGER NOT NULL,
    state       TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'retrying', 'accepted', 'discarded')),
    closed_at   INTEGER,
    pinned      INTEGER GENERATED ALWAYS AS
                    (CASE WHEN state IN ('open', 'retrying') THEN position END) STORED
                    REFERENCES outbox (position),
    CHECK ((state IN ('accepted', 'discarded')) = (closed_at IS NOT NULL)),
    UNIQUE (destination, position)
) STRICT;

CREATE INDEX dead_letters_pinned ON dead_letters (pinned) WHERE pinned IS NOT NULL;

CREATE TABLE ledger (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    destination      TEXT NOT NULL,
    replay_id        INTEGER NOT NULL DEFAULT 0,
    lanes            INTEGER NOT NULL DEFAULT 1,
    lane             INTEGER NOT NULL DEFAULT 0,
    first_position   INTEGER NOT NULL,
    last_position    INTEGER NOT NULL CHECK (last_position >= first_position),
    events           INTEGER NOT NULL CHECK (events >= 1),
    attempt          INTEGER NOT NULL CHECK (attempt >= 1),
    first_settled_at INTEGER NOT NULL,
    settled_at       INTEGER NOT NULL,
    duration_ms      INTEGER NOT NULL CHECK (duration_ms >= 0),
    receipt          TEXT
) STRICT;

CREATE INDEX ledger_by_position ON ledger (destination, last_position, first_position);

CREATE TABLE settled_marks (
    position INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL
) STRICT;

CREATE TABLE alarms (
    code     TEXT NOT NULL,
    subject  TEXT NOT NULL DEFAULT '',       -- the source or destination that it is about
    message  TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    times    INTEGER NOT NULL DEFAULT 1 CHECK (times >= 1),
    cleared_at INTEGER,
    PRIMARY KEY (code, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE operator_acts (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    act    TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE drift (
    kind     TEXT NOT NULL CHECK (kind IN
                 ('legacy', 'object_type', 'metric', 'field', 'value', 'unreadable', 'more')),
    type     TEXT NOT NULL CHECK (length(type) <= 150),
    path     TEXT NOT NULL DEFAULT '' CHECK (length(path) <= 350),
    found    TEXT NOT NULL DEFAULT '',       -- kinds of JSON value seen there, in order
    events   INTEGER NOT NULL CHECK (events >= 1),
    first_at INTEGER NOT NULL,               -- receipt of the first, ms since 1970
    last_at  INTEGER NOT NULL CHECK (last_at >= first_at),
    position INTEGER NOT NULL CHECK (position >= 1),
    PRIMARY KEY (kind, type, path)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE reconciliations (
    destination TEXT PRIMARY KEY,
    looked_at   INTEGER NOT NULL,            -- ms since 1970
    until       INTEGER NOT NULL             -- batches begun before this are known, ms since 1970
) STRICT, WITHOUT ROWID;

CREATE VIEW v_events AS
SELECT position,
       strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000.0, 'unixepoch') AS received,
       strftime('%Y-%m-%dT%H:%M:%SZ', occurred_at, 'unixepoch') AS occurred,
       source,
       event_id,
       coalesce(nullif(object_type, ''), 'unknown') || '.'
           || coalesce(nullif(metric, ''), 'unknown') AS type,
       document ->> '$.data.identifiers.cio_id' AS cio_id,
       coalesce(document ->> '$.data.identifiers.id', document ->> '$.data.customer_id')
           AS customer_id,
       document ->> '$.data.identifiers.email' AS email,
       document ->> '$.data.recipient' AS recipient,
       document ->> '$.data.subject' AS subject,
       document ->> '$.data.delivery_id' AS delivery_id,
       document ->> '$.data.campaign_id' AS campaign_id,
       document ->> '$.data.broadcast_id' AS broadcast_id,
       document ->> '$.data.failure_message' AS failure_message,
       length(CAST(body AS BLOB)) AS body_bytes,
       lane_key,
       body
FROM (SELECT *, CASE WHEN json_valid(body) THEN body END AS document FROM outbox);

CREATE VIEW v_outbox AS
SELECT (SELECT min(position) FROM outbox) AS first_position,
       coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0) AS last_position,
       outbox_events AS events,
       outbox_bytes AS bytes,
       quarantine_rows,
       quarantine_bytes,
       (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000.0, 'unixepoch')
        FROM outbox ORDER BY position LIMIT 1) AS oldest_received,
       (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000.0, 'unixepoch')
        FROM outbox ORDER BY position DESC LIMIT 1) AS newest_received
FROM totals;

CREATE VIEW v_cursors AS
SELECT cursors.destination,
       CASE WHEN cursors.replay_id > 0 THEN 'replay ' || cursors.replay_id
            WHEN cursors.lanes = destinations.lanes THEN 'live'
            ELSE 'floor' END AS role,
       cursors.lane,
       cursors.lanes,
       CASE WHEN destinations.paused_at IS NOT NULL THEN 'paused' ELSE cursors.state END AS state,
       cursors.position,
       max(0, (SELECT last_position FROM v_outbox) - cursors.position) AS positions_behind,
       json_array_length(cursors.ahead) AS settled_ahead,
       cursors.attempt,
       strftime('%Y-%m-%dT%H:%M:%fZ', cursors.first_deferred_at / 1000.0, 'unixepoch')
           AS first_deferred,
       strftime('%Y-%m-%dT%H:%M:%fZ', cursors.next_attempt_at / 1000.0, 'unixepoch')
           AS next_attempt,
       cursors.last_error,
       strftime('%Y-%m-%dT%H:%M:%fZ', cursors.last_error_at / 1000.0, 'unixepoch') AS last_error_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', cursors.moved_at / 1000.0, 'unixepoch') AS moved,
       cursors.generation
FROM cursors LEFT JOIN destinations ON destinations.name = cursors.destination;

CREATE VIEW v_destinations AS
SELECT destinations.name AS destination,
       kind,
       CASE WHEN paused_at IS NOT NULL THEN 'paused'
            WHEN max(live.state = 'held') THEN 'held'
            WHEN max(live.state = 'waiting') THEN 'waiting'
            ELSE 'ready' END AS state,
       CASE configured WHEN 1 THEN 'yes' ELSE 'no' END AS configured,
       coalesce(min(live.position), 0) AS cursor,
       max(0, (SELECT last_position FROM v_outbox) - coalesce(min(live.position), 0))
           AS positions_behind,
       coalesce(max(live.attempt), 0) AS attempt,
       strftime('%Y-%m-%dT%H:%M:%fZ', min(live.next_attempt_at) / 1000.0, 'unixepoch')
           AS next_attempt,
       (SELECT last_error FROM cursors AS worst
        WHERE worst.destination = destinations.name AND worst.replay_id = 0
          AND worst.lanes = destinations.lanes AND worst.last_error IS NOT NULL
        ORDER BY worst.last_error_at DESC LIMIT 1) AS last_error,
       (SELECT count(*) FROM dead_letters
        WHERE dead_letters.destination = destinations.name AND pinned IS NOT NULL) AS dead_letters,
       (SELECT count(*) FROM replays
        WHERE replays.destination = destinations.name AND replays.state = 'running') AS replays,
       accepted,
       buried,
       destinations.lanes,
       include,
       exclude,
       strftime('%Y-%m-%dT%H:%M:%fZ', paused_at / 1000.0, 'unixepoch') AS paused,
       mark
FROM destinations LEFT JOIN cursors AS live
    ON live.destination = destinations.name AND live.replay_id = 0
   AND live.lanes = destinations.lanes
GROUP BY destinations.name;

CREATE VIEW v_lag AS
SELECT destinations.name AS destination,
       count(pending.position) AS events,
       min(pending.position) AS first_position,
       strftime('%Y-%m-%dT%H:%M:%fZ', min(pending.received_at) / 1000.0, 'unixepoch')
           AS oldest_received,
       round(coalesce(max(0, (julianday('now') - 2440587.5) * 86400
                             - min(pending.received_at) / 1000.0), 0), 1) AS seconds
FROM destinations LEFT JOIN (
    SELECT cursors.destination, cursors.lanes, outbox.position, outbox.received_at,
           coalesce(nullif(object_type, ''), 'unknown') || '.'
               || coalesce(nullif(metric, ''), 'unknown') AS type
    FROM cursors JOIN outbox
        ON outbox.position > cursors.position AND lane_key % cursors.lanes = cursors.lane
    WHERE cursors.replay_id = 0
      AND outbox.position NOT IN (SELECT value FROM json_each(cursors.ahead))
      AND NOT EXISTS (
          SELECT 1 FROM cursors AS floor
          WHERE floor.destination = cursors.destination AND floor.replay_id = 0
            AND floor.lanes <> cursors.lanes AND lane_key % floor.lanes = floor.lane
            AND (outbox.position <= floor.position
                 OR outbox.position IN (SELECT value FROM json_each(floor.ahead))))
) AS pending
    ON pending.destination = destinations.name AND pending.lanes = destinations.lanes
   AND (destinations.include = '[]' OR EXISTS (
        SELECT 1 FROM json_each(destinations.include)
        WHERE pending.type GLOB replace(replace(value, '[', '[[]'), '?', '[?]')))
   AND NOT EXISTS (
        SELECT 1 FROM json_each(destinations.exclude)
        WHERE pending.type GLOB replace(replace(value, '[', '[[]'), '?', '[?]'))
GROUP BY destinations.name;

CREATE VIEW v_dead_letters AS
SELECT letter.id,
       letter.destination,
       letter.state,
       strftime('%Y-%m-%dT%H:%M:%fZ', letter.buried_at / 1000.0, 'unixepoch') AS buried,
       letter.reason,
       letter.detail,
       letter.attempts,
       letter.position,
       letter.source,
       letter.event_id,
       coalesce(nullif(object_type, ''), 'unknown') || '.'
           || coalesce(nullif(metric, ''), 'unknown') AS type,
       strftime('%Y-%m-%dT%H:%M:%fZ', outbox.received_at / 1000.0, 'unixepoch') AS received,
       strftime('%Y-%m-%dT%H:%M:%fZ', letter.closed_at / 1000.0, 'unixepoch') AS closed
FROM dead_letters AS letter LEFT JOIN outbox ON outbox.position = letter.position;

CREATE VIEW v_quarantine AS
SELECT id,
       source,
       reason,
       detail,
       event_id,
       strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000.0, 'unixepoch') AS received,
       strftime('%Y-%m-%dT%H:%M:%fZ', last_received_at / 1000.0, 'unixepoch') AS last_received,
       times,
       body_bytes,
       CASE WHEN length(body) < body_bytes THEN 'yes' ELSE 'no' END AS cut,
       content_encoding,
       lower(hex(body_sha256)) AS sha256,
       CASE WHEN instr(substr(body, 1, 200), x'00') = 0
             AND CAST(substr(body, 1, 200) AS TEXT)
                 NOT GLOB '*[^ -~' || char(9, 10, 13) || ']*'
            THEN CAST(substr(body, 1, 200) AS TEXT)
            ELSE quote(substr(body, 1, 200)) END AS beginning
FROM quarantine;

CREATE VIEW v_ledger AS
SELECT id,
       destination,
       CASE WHEN replay_id > 0 THEN 'replay ' || replay_id ELSE 'live' END AS role,
       lane,
       lanes,
       first_position,
       last_position,
       events,
       attempt,
       strftime('%Y-%m-%dT%H:%M:%fZ', first_settled_at / 1000.0, 'unixepoch') AS first_settled,
       strftime('%Y-%m-%dT%H:%M:%fZ', settled_at / 1000.0, 'unixepoch') AS settled,
       duration_ms,
       receipt
FROM ledger;

CREATE VIEW v_replays AS
SELECT replays.id,
       replays.destination,
       replays.kind,
       replays.state,
       replays.events,
       replays.accepted,
       replays.buried,
       cursors.position AS cursor,
       replays.from_position,
       replays.to_position,
       strftime('%Y-%m-%dT%H:%M:%fZ', replays.since / 1000.0, 'unixepoch') AS since,
       strftime('%Y-%m-%dT%H:%M:%fZ', replays.until / 1000.0, 'unixepoch') AS until,
       replays.include,
       strftime('%Y-%m-%dT%H:%M:%fZ', replays.created_at / 1000.0, 'unixepoch') AS created,
       strftime('%Y-%m-%dT%H:%M:%fZ', replays.finished_at / 1000.0, 'unixepoch') AS finished,
       cursors.last_error
FROM replays LEFT JOIN cursors
    ON cursors.destination = replays.destination AND cursors.replay_id = replays.id;

CREATE VIEW v_sources AS
SELECT name AS source,
       strftime('%Y-%m-%dT%H:%M:%fZ', last_received_at / 1000.0, 'unixepoch') AS last_received,
       strftime('%Y-%m-%dT%H:%M:%fZ', last_test_at / 1000.0, 'unixepoch') AS last_test,
       received,
       duplicates,
       quarantined,
       unknown_types,
       bad_signatures,
       refused,
       oldest_call_seconds
FROM sources;

CREATE VIEW v_alarms AS
SELECT code,
       subject,
       message,
       times,
       strftime('%Y-%m-%dT%H:%M:%fZ', first_at / 1000.0, 'unixepoch') AS first_raised,
       strftime('%Y-%m-%dT%H:%M:%fZ', last_at / 1000.0, 'unixepoch') AS last_raised
FROM alarms
WHERE cleared_at IS NULL;

CREATE VIEW v_operator_acts AS
SELECT id,
       strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS at,
       act,
       detail
FROM operator_acts;

CREATE VIEW v_drift AS
SELECT drift.kind,
       drift.type,
       drift.path,
       drift.found,
       drift.events,
       strftime('%Y-%m-%dT%H:%M:%fZ', drift.first_at / 1000.0, 'unixepoch') AS first_seen,
       strftime('%Y-%m-%dT%H:%M:%fZ', drift.last_at / 1000.0, 'unixepoch') AS last_seen,
       drift.position,
       outbox.source,
       outbox.event_id
FROM drift LEFT JOIN outbox ON outbox.position = drift.position;

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
