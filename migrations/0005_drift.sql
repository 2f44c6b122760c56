-- What came that the catalogue of known types and fields does not expect: one
-- row for each kind of news, counted by events. It never holds a value.
--
-- `position` is that of the last such event, for looking at. The kind 'more'
-- counts the news that found the table full.
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
