"""What to do first about each alarm, in one line; its page in ``docs/operating.md`` has more."""

from __future__ import annotations

_ADVICE = {
    "STR-101": "if genuine calls have stopped, put the right key into signing_keys and restart; "
    "otherwise nothing",
    "STR-102": "`streamer quarantine list`, then retry or discard what is there",
    "STR-103": "`streamer quarantine list`: compare it with the event, then discard it",
    "STR-104": "`streamer quarantine list`, and discard what is worthless",
    "STR-105": "nothing while Customer.io catches up; otherwise see `timedatectl`",
    "STR-106": "nothing, if it was once; otherwise look at the disk: `iostat -x 5`",
    "STR-107": "look at the disk: `iostat -x 5`",
    "STR-108": "see whose they are: `ss -tnp | grep streamer`",
    "STR-110": "`streamer catalog drift`; nothing is lost, it was delivered as it came",
    "STR-120": "mend what it says, then `streamer customerio enable --source {subject}`",
    "STR-201": "make room on the disk; it goes on by itself",
    "STR-202": "make room on the disk, at once; it goes on by itself",
    "STR-203": "make room on the disk, or mend what keeps events from being pruned",
    "STR-204": "find the program that reads without an end with `fuser`, and end it",
    "STR-205": "end the program that writes to the database; `fuser` shows it",
    "STR-206": "`journalctl -k`, then `streamer db check`",
    "STR-207": "install the pysqlite3 wheel, or SQLite 3.51.3 or later",
    "STR-208": "`timedatectl`; when the time is right, `streamer db confirm-clock`",
    "STR-209": "mend what it says, such as permissions in the data directory; it goes on by itself",
    "STR-301": "mend what it says, then `streamer destination resume {subject}`",
    "STR-302": "`streamer destination test {subject}`; it is retried by itself",
    "STR-303": "`streamer dead-letters list --destination {subject}`, then retry or discard",
    "STR-304": "find out who changed the files; `streamer replay start {subject}` writes them anew",
    "STR-305": "put it back into the configuration, or `streamer destination forget {subject}`",
    "STR-306": "show the destination's owner what its answer has to look like",
    "STR-307": "`timedatectl`; if this machine's time is right, nothing",
    "STR-308": "`streamer db check`",
    "STR-309": "`streamer db check`; when it is mended, `streamer destination resume {subject}`",
    "STR-320": "nothing; to leave out other things instead, `privacy` or a mapping file can",
    "STR-321": "drop repeats by `_id` when you query the data lake",
}


def advice_for(code: str, subject: str) -> str:
    """Return what to do first about an alarm; its page must do where no line says it."""
    return _ADVICE.get(code, "see its page").replace("{subject}", subject)
