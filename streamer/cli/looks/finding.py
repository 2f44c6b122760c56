"""What a look finds, and how one that cannot see still has something to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from streamer.core.errors import StreamerError

State = Literal["ok", "warning", "failed"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    code: str
    """Stable, for scripts: ``url.certificate``."""
    state: State
    """``failed`` costs events or hours, or will soon; a ``warning`` may be meant so."""
    what: str
    detail: str = ""
    hint: str = ""
    """The next thing to do."""


def ok(code: str, what: str, detail: str = "") -> Finding:
    """Make a finding that asks for nothing."""
    return Finding(code, "ok", what, detail)


def warning(code: str, what: str, detail: str = "", hint: str = "") -> Finding:
    """Make a finding that somebody should know of."""
    return Finding(code, "warning", what, detail, hint)


def failed(code: str, what: str, detail: str = "", hint: str = "") -> Finding:
    """Make a finding that somebody has to act on."""
    return Finding(code, "failed", what, detail, hint)


def guarded(code: str, what: str, look: Callable[[], Sequence[Finding]]) -> list[Finding]:
    """Look, and turn what goes wrong into a finding.

    What this user may not see is a warning: it says nothing about the service.
    """
    try:
        return list(look())
    except StreamerError as error:
        if isinstance(error.__cause__, PermissionError):
            return [_out_of_sight(code, what, str(error))]
        return [failed(code, what, str(error), error.hint)]
    except PermissionError as error:
        return [_out_of_sight(code, what, f"{error.filename}: {error.strerror}")]
    except OSError as error:
        return [failed(code, what, str(error))]


def _out_of_sight(code: str, what: str, detail: str) -> Finding:
    hint = "Run the command as the service's user, such as `sudo -u streamer streamer doctor`."
    return warning(code, what, f"not looked at: {detail}", hint)
