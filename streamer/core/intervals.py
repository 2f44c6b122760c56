"""How often things are done, and how long is waited for what belongs to the machine.

Plain constants of the same kind as in `streamer.core.limits`; those bound how
much, these say how often. None is a setting, and none is a promise: each could
be twice as long without anybody losing an event.
"""

from __future__ import annotations

# Telling.

ALARM_LOG_SECONDS = 60
"""One log line a minute per alarm; the counter has the rest."""

DEFERRAL_LOG_SECONDS_MIN = 60
"""At first a destination that defers writes one log line in this time; each further line doubles
it …"""

DEFERRAL_LOG_SECONDS_MAX = 3_600
"""… up to this."""

# Answering.

ROOM_SECONDS = 0.2
"""How soon a listener whose places are all taken looks whether one is free."""

READY_PROBE_SECONDS = 1.0
"""A readiness probe writes at most this often; others in between get the same answer."""

READY_PROBE_TIMEOUT_SECONDS = 2.0
"""A write probe that takes longer means that calls are about to be answered 503."""

# Draining.

TRACK_TICK_SECONDS = 5.0
"""An idle drain looks up this often, to prove that it is alive and to write down how far it is."""

TRACK_ROUND_SECONDS = 20.0
"""A drain that neither waits nor sends, but reads, and has not come round for this long, hangs."""

SEND_MARGIN_SECONDS = 30.0
"""What a drain may take beyond the longest `send` that its destination states, to put a batch into
words and its outcome on the disk, before it counts as dead."""

SETTLE_RETRY_SECONDS = 1.0
"""First wait before a settlement that failed is written again; each further one doubles it.
Nothing is sent meanwhile."""

SETTLE_RETRY_SECONDS_MAX = 10.0
"""Longest such wait: a disk that has room again must not leave a destination idle for long."""

SAVE_SKIPPED_SECONDS = 30.0
"""How long it may take until a cursor that passed events by its filter alone is written down, when
they are fewer than ``SAVE_SKIPPED_POSITIONS``."""

OPEN_RETRY_SECONDS = 30.0
"""A destination that cannot be opened, such as an unwritable directory, is tried again this
often."""

REFUSED_RETRY_SECONDS = 60.0
"""A replay whose end the database refuses to note is looked at again this often."""

FLOOR_CHECK_SECONDS = 60.0
"""How often the cursors of an earlier lane count are looked at, while there are any."""

TIDY_SECONDS = 10.0
"""How often a destination rotates and compresses what is due."""

STDOUT_LOOK_SECONDS = 0.1
"""How soon a write to a reader that stands still hears that it is given up."""

STDOUT_STANDS_SECONDS = 60.0
"""A reader that has taken nothing for this long makes its destination defer."""

DATA_VERSION_POLL_SECONDS = 0.5
"""How soon an operator's command on the database is noticed. One look costs 3 microseconds."""

CONTROL_ROUND_SECONDS = 30.0
"""A look for such commands that has not come round for this long hangs."""

# Looking after.

JANITOR_SECONDS = 1.0
"""How often counters and alarms are written down and the disk is looked at."""

JANITOR_TICK_SECONDS = 60.0
"""A janitor, or pruning, that has not come round for this long hangs: each of their waits is far
shorter."""

JANITOR_WRITE_SECONDS = 5.0
"""How long they wait for one of their own transactions, ten tries at a lock of another program,
before they look after the rest."""

UPKEEP_ALARM_SECONDS = 60.0
"""How long a step of looking after the data directory may fail before it is an alarm."""

LOOK_AHEAD_SECONDS = 60.0
"""How often it is looked who keeps events, and when the disk will be full."""

CHECKPOINT_IDLE_SECONDS = 30.0
"""A quiet database is checkpointed this often, if anything was written at all."""

PRUNE_SECONDS = 60.0
"""How often old events are looked for."""

PRUNE_PAUSE_SECONDS = 0.02
"""Pause between two steps of pruning, so that calls get the disk in between. There is none while
the disk is too full for calls."""

VACUUM_PAUSE_SECONDS = 0.05
"""Pause between two steps of giving room back: each ends with a sync of its own. There is none
while the disk is too full for calls."""

WATCH_SECONDS = 5.0
"""How often the loops are asked whether they are alive; a third of the watchdog's interval if that
is shorter."""

WRITER_STALL_SECONDS = 20.0
"""A transaction that takes this long hangs in the disk; below the unit's ``WatchdogSec=30``."""

# Starting and reloading.

START_SECONDS_MAX = 1_800
"""How long the service manager is asked to wait while a large database is copied and migrated."""

RELOAD_WRITE_SECONDS = 5.0
"""How long a reload tries to write down what is configured; then it is refused, so that a lock of
another program does not keep a stop from being heard."""

RELOAD_STOP_SECONDS = 5.0
"""How long a drain that a reload replaces may take to finish its batch; then it is sent again."""

# Setting up.

SWITCH_ON_SECONDS = 5.0
"""First wait before a webhook that could not be switched on is tried again; it doubles …"""

SWITCH_ON_SECONDS_MAX = 300.0
"""… up to this: events wait at Customer.io meanwhile, or are not made at all."""

# Looking for drift.

SURVEY_SECONDS = 1.0
"""How soon new events are looked through: nobody waits for it."""

SURVEY_TICK_SECONDS = 60.0
"""How often that is done when nothing is known to have come: another process may store events. It
is also how long a survey that failed waits."""

SURVEY_PAUSE_SECONDS = 0.05
"""Pause between two pieces of a backlog: calls and drains come first. With it some three thousand
events are looked through in a second, for a tenth of a processor."""

# Several processes.

ACCEPT_PAUSE_SECONDS = 0.001
"""How long a process accepts nobody after it has accepted some, where several share a listener:
time for another one to wake up. Four thousand connections a second are left to each."""

COMPANION_START_SECONDS = 60.0
"""How long a further ingest process may take until it could take calls; a fraction of a second is
usual."""

COMPANION_NEWS_SECONDS = 0.05
"""Until a further process tells again that it has stored something, so that the drains hear of it.
The first is told at once; a busy process tells twenty times a second, and not with each commit."""

COMPANION_REPORT_SECONDS = 1.0
"""How often a further process tells its counts and alarms, and that it is alive."""

COMPANION_SILENCE_SECONDS = 15.0
"""A further process that has reported nothing for this long, or only that its loops stand still,
hangs, and is killed."""

COMPANION_END_SECONDS = 6.0
"""What a further process may take to end beyond the configured seconds: for calls that were on
their way, for those that were cancelled, and for its last commit. Then it is killed."""

ORPHANED_SECONDS = 30.0
"""How long a start waits at least for the other processes of a service whose main process was
killed: they still answer the calls that they have, for which the configuration may allow longer."""

TURNS_TOLD_SECONDS = 60.0
"""How long the log says nothing more about turns that were missed, once it has."""

TURN_WAIT_SECONDS = 1.0
"""How long a writer waits for its turn, where several processes write; then it goes on without one.
A line of slow commits must fit in, and it must fit, with SQLite's own wait, in the seconds that are
left for the last commit."""
