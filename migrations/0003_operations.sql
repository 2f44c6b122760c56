-- What operators see and did.

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

-- Every act that changes what is delivered: rewinds, replays, discards,
-- forgotten destinations, restored positions, confirmed clocks.
CREATE TABLE operator_acts (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    act    TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

-- Single facts about this database, such as the last wall time seen.
CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
