"""Every limit of the program, named, with the reason for its number.

Plain constants and nothing else, so that any layer may read them. Some are the
defaults or the outer bounds of a setting (`streamer.config.model` says which);
the rest are fixed. A number that stands for a limit anywhere else in the
program is a mistake: give it a name here first. Not a limit in this sense is
what a format or an interface fixes, such as the last second of the year 9999,
and what a command shows at most: such numbers stand where they are used. The
mapping's limits, and those of setting up, have modules of their own beside this.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
DAY_SECONDS = 86_400

# The sender.

SENDER_TIMEOUT_SECONDS = 4.0
"""Customer.io gives a call up after this long, network and TLS included."""

ANSWER_DEADLINE_SECONDS = 3.0
"""From the headers to our answer. Leaves a second of the sender's four for network and proxy, so
that it reads our 503 (a short wait) and does not hang up (an unknown outcome)."""

ANSWER_DEADLINE_SECONDS_MAX = 3.8
"""The longest deadline that can be set; beyond it the sender has gone before we answer."""

RETRY_AFTER_SECONDS = 5
"""What a 503 asks for. Long enough for one bad commit to pass; the sender is not known to heed
it."""

# One request.

HEADER_BYTES_MAX = 16 * KIB
"""The head of a request, from its method to its last header. Customer.io sends under 1 KiB; common
proxies stop at 8 KiB to 16 KiB."""

PAGE_BODY_BYTES_MAX = 64 * KIB
"""No page wants a body; this much of one is read so that it can be refused politely."""

BODY_BYTES_MAX = 8 * MIB
"""Default of ``body_max_bytes``. A mail with Body Content is one JSON string of well under 1
MiB."""

BODY_BYTES_HARD_MAX = 32 * MIB
"""No setting goes beyond it, and no more of a body is ever kept. Two such bodies fit in the
ingest queue."""

TRUNCATED_COPY_BYTES = 64 * KIB
"""How much is kept of a body that is too large, or comes when the quarantine is full: enough to
see whose event it was."""

EVENT_ID_CHARACTERS_MAX = 512
"""Customer.io's ids have 26 characters. A longer one than this would bloat the unique index."""

# The ingest queue and its commits.

INGEST_QUEUE_BYTES_MAX = 64 * MIB
"""Bodies that wait for their commit. Far below the unit's ``MemoryHigh=768M``, so that a stalled
disk ends in a 503 and not in the OOM killer's hands."""

INGEST_QUEUE_EVENTS_MAX = 10_000
"""Events that wait for their commit: what the HTTP server can take in within one deadline.
Whatever stands further back would be answered too late anyway."""

COMMIT_EVENTS_MAX = 1_000
"""Events in one group commit. The gain of a larger group is below one per cent, and a culprit in
it costs as many single inserts."""

INSERT_ROWS_MAX = 32
"""Events that one statement inserts: there is a statement for each number, and SQLite keeps them
all prepared; more rows in one cost the same for each."""

COMMIT_BYTES_MAX = 32 * MIB
"""Bytes in one group commit: at least the largest body, and half the queue."""

BUSY_TIMEOUT_MILLISECONDS = 500
"""How long SQLite waits for another program's lock. Several tries must fit in the deadline."""

RECEIPT_DISORDER_SECONDS = 2 * ANSWER_DEADLINE_SECONDS_MAX
"""How much earlier than its predecessor in the outbox an event can have been received: a call whose
commit has not begun by its deadline is not stored, and a busy process may notice that late."""

FSYNC_ERRORS_IN_A_ROW_MAX = 5
"""After so many failed syncs, each on a fresh connection, the disk and not the moment is at
fault: the process stops and leaves it to the service manager."""

# The database and its disk.

RETENTION_DAYS = 14
"""Default of ``retention_days``: a week of the sender's retries and a week to notice a loss."""

RETENTION_DAYS_MIN = 8
"""Customer.io repeats an unanswered call for seven days, and the last repeat must still meet the
event it repeats, or it is stored twice."""

WAL_ALARM_BYTES = 256 * MIB
"""Default of ``wal_alarm_bytes``. Passive checkpoints keep the write-ahead log near 4 MiB; at
this size a reader has stood in one SELECT for minutes."""

INGEST_FLOOR_BYTES = 512 * MIB
"""Default of ``ingest_floor_bytes``: room for the drains to go on, for pruning and for an
operator's tools, once nothing new is let in."""

DRAIN_FLOOR_BYTES = 64 * MIB
"""Default of ``drain_floor_bytes``: SQLite needs some room to write a checkpoint and a cursor."""

QUARANTINE_BYTES_MAX = GIB
"""Default of ``quarantine_bytes_max``: one captured body, sent again and again with a new
timestamp, must not fill the disk."""

DISK_ALARM_SHARES = (0.50, 0.75, 0.90)
"""Shares of the disk in use at which an alarm says who pins the outbox and when it will be
full."""

PRUNE_EVENTS_MAX = 200
"""Events pruned in one transaction: about two milliseconds, so that no call waits for it longer
than for a commit. With its pauses some thousands go in a second, more than come in."""

SETTLED_MARK_SECONDS = 60
"""How often it is noted what is settled: retention is known to a minute, for one row a minute."""

FINDINGS_MAX = 100
"""Of a check of the database: a damaged file can have a finding for each of its pages."""

SALVAGE_TRIED_ROWS_MAX = 10_000
"""Row numbers in a damaged range that are tried singly: more than pages in a row are damaged by
one fault, and over in a second. A gap left by a restore has a thousand million."""

POSITION_LEAP = 10**9
"""How far restore and salvage move the position sequence: more events than can have been lost."""

CLOCK_JUMP_SECONDS_MAX = DAY_SECONDS
"""A wall clock that moved further than this is not believed, and pruning waits to be
confirmed."""

# Draining.

BATCH_EVENTS_MAX = 10_000
"""The largest ``batch_events_max``."""

WINDOW_BYTES_MAX = 64 * MIB
"""Bytes read for one batch at most; the largest ``batch_bytes_max``. One event larger than a
batch goes alone."""

SCAN_EVENTS_MAX = 10_000
"""Events looked at in one read when a filter or the other lanes let few through: a read must end
soon, because the write-ahead log cannot shrink below it."""

PATTERNS_MAX = 200
"""Include and exclude patterns of one destination. Each is a term of one SQL expression, whose
depth SQLite limits to 1000. Some hundred types are known, so who needs more than that has not found
the asterisk."""

LANES_MAX = 64
"""Each lane holds a batch in memory and a connection to the destination."""

RETRY_AFTER_SECONDS_MAX = 3_600
"""The longest wait that a destination can ask for; a date in the far future is a bug of
theirs."""

ISOLATE_ATTEMPTS_MIN = 10
"""Attempts before an event that is always deferred is set aside and the next one is tried …"""

ISOLATE_SECONDS_MIN = 3_600
"""… and the time that must have passed too, so that an ordinary outage burns nobody's
attempts."""

TRIED_EVENTS_MAX = 160
"""How many events in a row may be bad and still be told from a destination that is. A longer run
is a broken mapping or an outage, and an operator's to judge."""

SILENT_EVENTS_MAX = 2_000
"""Events with nothing to send that are looked past in search of one that may tell whose fault it is
that another is refused. They cost no request; for a record of consent they are most of all."""

REFUSALS_MAX = 5
"""Attempts in a row that were only refused, before the destination is held. One would hold it for
a lone bad event; many would offer it a whole broken mapping."""

PROBED_EVENTS_MIN = 5
"""Events that the first probe of a hold offers one by one while each is rejected. Every probe in
vain doubles it, up to ``TRIED_EVENTS_MAX``, so that a run of bad events is got over."""

HELD_PROBE_SECONDS_MIN = 60
"""First wait before a held destination is tried again."""

HELD_PROBE_SECONDS_MAX = 900
"""Longest wait between such tries: what an operator mends is noticed within a quarter of an hour
even if nobody says ``resume``."""

RECEIPTS_CHARACTERS_MAX = 2_000
"""Receipts in one ledger row: some eighty of Adobe's. A row for each of many runs must not make the
ledger larger than the events."""

LEDGER_COALESCE_EVENTS_MAX = 10_000
"""Events that one coalesced ledger row may cover, so that it still tells when an event went."""

LEDGER_COALESCE_SECONDS = 60
"""Time that one coalesced ledger row may cover; a minute is as close as a person asks."""

REPLAY_PICKED_EVENTS_MAX = 10_000
"""Events that one replay may be given one by one: they are one list, which is read whenever
anything has changed, and written under the lock with what becomes of their dead letters."""

ANSWER_BYTES_MAX = MIB
"""How much of a destination's answer is read: a list of refusals with a wordy reason fits, an
endless answer does not …"""

ANSWER_BYTES_PER_EVENT = KIB
"""… and so much more for each event that was sent, since each may be refused by name."""

SINGLE_SECONDS_MAX = 10.0
"""How long a `send` that makes several requests begins further ones. Then what was accepted is
settled, so that a crash repeats, and an operator's pause waits for, no more than this."""

ANSWER_LINE_BYTES_MAX = 8_190
"""Of one line of an answer's header, as Apache and nginx have it; there are at most 128."""

DETAIL_CHARACTERS_MAX = 500
"""What is kept of an answer: enough to act on; a destination's error page is not our log."""

FREE_BYTES_LOW = GIB
"""Below this a file destination's self-test complains: a busy workspace writes it in some hours."""

TOKEN_SECONDS_MAX = 15.0
"""How long Adobe's identity service may take to answer: it needs well below one, and a `send` waits
for it."""

FAILURES_MAX = 5
"""Answers of 500 in a row over one event that are waited out, before it may be its own fault. With
the default backoff that takes some fifteen seconds."""

FAILED_EVENTS_MAX = 1_000
"""Events over which failures are counted: one for each batch under way is enough, but an answer may
name many."""

LAG_COUNT_EVENTS_MAX = 5_000
"""Up to here the lag of a filter or a lane is counted; beyond it is estimated: ``status`` must
answer at once, for each of many destinations, when they are far behind."""

LAG_SAMPLES = 10
"""Places in the rest of the outbox that the estimate looks at …"""

LAG_SAMPLE_EVENTS = 500
"""… and events at each: together as many as are counted."""

STORY_COUNT_EVENTS_MAX = 100_000
"""How many events are counted before a pending one that ``events show`` is asked for; that it is
far behind is all that more would say."""

# Starting, stopping, telling.

LAME_DUCK_SECONDS = 2.0
"""Default of ``lame_duck_seconds``. Keep-alive senders hear ``Connection: close`` meanwhile;
without it some met a closed connection, which costs them an hour."""

GRACEFUL_SECONDS = 20.0
"""Default of ``graceful_seconds``. With the lame duck well below the unit's
``TimeoutStopSec=45``."""

CLOSE_SECONDS_MIN = 2.0
"""What is left at least, when requests and batches have used up ``graceful_seconds``, for the last
commit: several tries at a lock that another program holds."""

ALARM_MEMORY_SECONDS = DAY_SECONDS
"""How long an incident stays in ``status``: whoever looks once a day sees each one."""

CONFIG_FILE_BYTES_MAX = MIB
"""A larger configuration file is some other file."""

SECRET_BYTES_MAX = 64 * KIB
"""A larger secret is some other file. systemd's own credentials end at 1 MiB."""

# Reading, writing and looking after.

TYPE_NAME_CHARACTERS_MAX = 128
"""A longer object type or metric is none: known ones have up to 36 characters."""

LINGER_SECONDS = 0.9
"""How long a sender that is still writing may go on after our answer, before the connection ends:
with the deadline of 3 s it stays within the sender's own 4 s."""

CHECKPOINT_BYTES = 4 * MIB
"""Bytes appended between two checkpoints: SQLite's own default of about 1,000 pages."""

CHECKPOINT_TRANSACTIONS = 250
"""Transactions between two checkpoints: small ones append four or five pages each, so the log stays
at about the same 4 MiB."""

WINDOW_BATCHES = 4
"""Batches read from the outbox at once: most of the cost of a read is the way to its thread."""

SAVE_SKIPPED_POSITIONS = 10_000
"""How far a cursor may pass filtered events before that is written down: it only lets them be
pruned, and is not worth a write each."""

WRITTEN_SECONDS_MAX = 4_096
"""Moments whose text is kept: events come in about the order of their times."""

OUTAGE_ALARM_SECONDS = 900
"""A destination that has deferred for a quarter of an hour is worth a look."""

LISTEN_BACKLOG = 2_048
"""Connections that the kernel holds for us while we are away or busy; the socket unit says the
same."""

KEEP_ALIVE_SECONDS = 75
"""An idle connection is kept longer than any common proxy keeps it, so that the proxy is the one
to close it: the other way round a request meets a closed connection now and then."""

NEWCOMER_SECONDS = 1.0
"""How long a stopping server waits on connections that say nothing: a call that was on its way
when the listener closed is there by then, and is answered."""

NEWCOMER_STEPS = 10
"""In how many pieces it waits: a machine that stood still must not find the whole wait over, and
what came in meanwhile still unread."""

FAREWELL_SECONDS = 1.0
"""How long a cancelled request may take to say so; a sender that reads nothing would take for
ever."""

CONNECTION_REQUESTS_MAX = 1_000_000
"""Requests on one connection before it is closed: practically never, since each closing may hit a
request on its way."""

REQUESTS_WAITING_MAX = 64
"""Requests that wait on one connection behind the one that is being answered. Customer.io waits for
each answer, and so does every proxy; beyond it the connection ends when the others are answered."""

CONNECTIONS_MAX = 4_096
"""Open connections on one listener; who comes beyond them waits in the backlog. An idle one takes
some tens of KiB, so all of them stay well below the unit's ``MemoryHigh=768M``."""

CONNECTIONS_DIVISOR = 2
"""No more than this part of the process's descriptors is for connections: the database, files and
destinations need the rest."""

ADMIN_CONNECTIONS_MAX = 64
"""Open connections on the admin listener: some monitors and a few people."""

ACCEPT_AT_ONCE_MAX = 64
"""Connections accepted in one step of the loop, so that a flood of them does not stop the rest."""

ROOM_DIVISOR = 8
"""Which part of the connections may be closed at once for being idle, to make room."""

IDLE_SECONDS_MIN = 1.0
"""A connection that was idle for less is not closed to make room: a call may be on its way."""

VACUUM_PAGES_MAX = 64
"""Pages given back to the file system in one step: a quarter of a megabyte, about a millisecond."""

VACUUM_BYTES = VACUUM_PAGES_MAX * 4 * KIB
"""What such a step may append to the log: the pages that it moves."""

FREE_PAGES_DIVISOR = 64
"""Which part of the file may be free: more than a minute of pruning leaves, so that what comes
takes the place of what went."""

OUTLOOK_SAMPLES_MAX = 60
"""Minutes of free space that the forecast of a full disk is made from."""

# What is new in events.

DRIFT_NAME_CHARACTERS_MAX = 64
"""Of one name in what a drift tells; Customer.io's longest has 36."""

DRIFT_ROWS_MAX = 1_000
"""Different things that are told one by one; the rest is counted in one row. A sender can invent
names without an end, and nobody reads on."""

SURVEY_EVENTS_MAX = 200
"""Events looked through for drift at once: the drains wait for the same connection, and looking
takes microseconds each."""

SURVEY_BYTES_MAX = MIB
"""Bytes looked through at once, beyond one event: a few milliseconds."""

SURVEY_SAVE_POSITIONS = 10_000
"""How far the survey may be beyond its stored position while it finds nothing: so much is read
again after a crash, which costs less than a write each time."""

PAIRS_REMEMBERED_MAX = 1_024
"""Pairs of object type and metric for which it is remembered what an event is read with. A hundred
are known; a sender may invent others, which only cost looking up again."""

# Several processes.

ACCEPT_AT_ONCE_SHARED = 4
"""Connections accepted in one step where several processes share a listener; the next are another's
while this one pauses. By dozens, one process takes all that come at once."""

CHANNEL_BYTES_MAX = MIB
"""What one process may have said to another that did not listen yet. A thousand times the usual;
beyond it nothing more is said, and the silence tells the watchdog."""
