"""streamer receives Customer.io's reporting webhooks, keeps them, and delivers them.

One idea carries the program: *a log and cursors*. Every event is appended to
one table, the outbox, and gets a position; only when that is on the disk is
the sender answered 2xx. Each destination has a cursor, the position up to
which everything is settled. To drain is to read behind the cursor, send, learn
what became of each event, and move the cursor. There is no status per event:
pending is what lies behind the cursor, a replay is a second cursor, and a new
destination is a new row.

Read in this order:

1. `streamer.core.event` and `streamer.core.outcome`: the nouns.
2. `streamer.core.settlement`, `streamer.core.drain` and `streamer.core.conclusion`:
   how a cursor moves, what is sent next, and what an answer means. Pure
   functions; everything else carries them out.
3. ``migrations/``: the same truth as tables.
4. `streamer.store.writer`: how one fsync serves many.
5. `streamer.ingest.front` and `streamer.drain.track`: the two loops.
6. `streamer.app.service`: how they are joined, and stopped in the right order.
7. `streamer.core.xdm` and `streamer.destinations.aep`: how an event becomes Adobe's,
   and `streamer.provision`: how the two ends of the way are set up.

The layers, each of which knows only those below it: ``cli``, ``app``,
``provision``, ``config``, ``web``, ``ingest`` beside ``drain``, ``store`` beside
``destinations``, ``observe``, ``clock`` and ``disk``, ``core``.
"""
