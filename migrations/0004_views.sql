-- For people: readable times, JSON opened into columns. Their names begin with
-- v_ and, like those of the tables, do not change. The program does not read
-- them. They work in SQLite 3.40, the one that Debian 12 has.

-- Events, newest last. A body that SQLite cannot read as JSON shows as NULLs.
-- Look at a few at a time (LIMIT): the bodies are opened one by one.
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

-- The outbox as a whole, from counters: costs nothing at any size.
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

-- One row for each cursor: live lanes, floors of an earlier lane count, replays.
-- positions_behind counts gaps and what the filter leaves out; v_lag does not.
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

-- One row for each destination; its lanes are told by the one that is worst off.
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

-- How many events each destination has still to settle, by its lanes and its
-- filter. Exact, and therefore slow behind a long backlog: it looks at every
-- event there. `streamer status` estimates instead.
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

-- What a destination would not take, with the event if it is still there.
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

-- Calls that could not be stored as events, with the beginning of the body: as
-- text where it is plain ASCII, else in hexadecimal, since it may be no text.
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

-- Settled batches. `positions` spans events of other lanes and types as well.
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

-- Alarms that were raised and not cleared; `streamer status` also leaves out
-- incidents of more than a day ago.
CREATE VIEW v_alarms AS
SELECT code,
       subject,
       message,
       times,
       strftime('%Y-%m-%dT%H:%M:%fZ', first_at / 1000.0, 'unixepoch') AS first_raised,
       strftime('%Y-%m-%dT%H:%M:%fZ', last_at / 1000.0, 'unixepoch') AS last_raised
FROM alarms
WHERE cleared_at IS NULL;

-- What operators did, newest last.
CREATE VIEW v_operator_acts AS
SELECT id,
       strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS at,
       act,
       detail
FROM operator_acts;
