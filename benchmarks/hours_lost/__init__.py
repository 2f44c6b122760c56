"""How many hours does a server make Customer.io wait in a week in which everything goes wrong?

One week of events on a virtual clock, sent by Customer.io's documented rules: one call at a time,
four seconds each, an hour of waiting after what stands on the hour list, an exponential backoff
after the rest, seven days for each event, and everything behind a call waits with it. The calls
are real HTTP to real processes, and so are the faults. Only waiting is virtual: when nothing in
a process is under way, the clock jumps. While something is (a start, a stop, a sync of a slow
disk) it runs with the real one, and the length of each call counts too.

**What is fair.** All servers get the same events at the same virtual times and the same faults.
Each runs as it would under systemd: streamer behind its socket unit and with its ``RestartSec``;
the naive ones bind their port themselves and are started again after systemd's tenth of a second,
so theirs is closed only while they stop and start. They only store and never deliver anything, so
a dead destination costs them nothing; `forwarding` is the same server with delivery inside the
request, which is what a handler without an outbox does. Nobody is left alone with a poison event:
after ``--rescue-hours`` a person has put a handler into place that lets it pass, unstored. What
favours the naive servers is left in: no idle connection is ever closed under the sender, and
whoever waits for an hour is spared the faults that happen meanwhile.

**What is assumed.** The steps of the backoff are not documented: here they double from one second
up to an hour, and the seven days of an event begin with its first try. With such steps an outage of
hours costs about as much by 503 as by answers of the hour list; the difference shows in the short
ones. A key that is not known yet and a disk that is full hold up everybody: what cannot be verified
or stored must not be acknowledged.

**What cannot be seen here.** The processes live for minutes. What takes them hours or days of
their own (a leak, a disk that fills by and by, pruning) does not happen.
"""
