-- Delivery: how far each destination is, what it would not take, and what it
-- said. There is no status per event: pending is what lies behind the cursor.

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

-- A replay sends a part of the outbox again, beside the live order.
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

-- One cursor for each lane of a destination, and one for each running replay
-- (replay_id > 0). An event is settled for a destination when any cursor row
-- of it, of whatever lane count, has passed it: so the rows of an old lane
-- count stay as floors until the new ones have passed them.
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

-- An event that a destination will never take, or that was given up.
-- The reference keeps the event in the outbox until the letter is closed.
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

-- One row for each settled batch, so that "where is event X?" has an answer.
-- First attempts without a receipt are folded into the row before.
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

-- Up to which position everything was settled everywhere, and since when:
-- retention counts from the later of receipt and last settling.
CREATE TABLE settled_marks (
    position INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL
) STRICT;
