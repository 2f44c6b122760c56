"""How the program logs: one event a line, as JSON under a service manager, readable on a terminal.

Rules for whoever logs: the event's name is dotted and stable; values are
counts, names, positions and codes. No body, address or secret is ever a value,
and an exception is logged with `where`, which leaves out its message, because
messages of foreign exceptions quote what they choked on.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def set_up(
    *,
    level: str,
    form: str,
    under_journal: bool,
    stream: TextIO = sys.stderr,
    process: int | None = None,
) -> None:
    """Send all logging, ours and the libraries', to ``stream``.

    ``form`` is ``json``, ``console`` or ``auto`` (console on a terminal).
    ``under_journal`` puts the priority that journald reads before each line.
    ``process`` says which of several processes it is.
    """
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty() and not os.environ.get("NO_COLOR"))
        if is_for_people(form, stream)
        else structlog.processors.JSONRenderer()
    )
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if process is not None:
        shared.append(_Numbered(process))
    final: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    if under_journal:
        final.append(_Prioritised())
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _without_exception], processors=final
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("aiosqlite", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def is_for_people(form: str, stream: TextIO) -> bool:
    """Tell whether lines are written as text and not as JSON."""
    return form == "console" or (form == "auto" and stream.isatty())


def set_level(level: str) -> None:
    """Change how much is logged, as a reload may."""
    logging.getLogger().setLevel(level.upper())


def culprit(error: BaseException) -> BaseException:
    """Find the exception that a task group wrapped, the first if there are several."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def where(error: BaseException) -> str:
    """Say what an exception is and where it came from, without its message."""
    frames = []
    error = culprit(error)
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return f"{type(error).__name__} at " + " < ".join(reversed(frames[-6:]))


class _Handler(logging.StreamHandler[TextIO]):
    """Loses a line that cannot be written, and says nothing: there is nowhere to say it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Do nothing: the usual report goes to the stream that has just failed."""


class _Prioritised:
    """Puts ``<N>`` before the line, from which journald takes the priority."""

    def __call__(self, _logger: object, name: str, line: object) -> str:
        return f"<{_PRIORITIES.get(name, 6)}>{line}"


class _Numbered:
    """Says with each line which process wrote it."""

    def __init__(self, process: int) -> None:
        self._process = process

    def __call__(
        self, _logger: object, _name: str, entry: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        entry["process"] = self._process
        return entry


def _without_exception(
    _logger: object, _name: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace a library's traceback, which may quote a body, by the places it went through."""
    raised = entry.pop("exc_info", None)
    if isinstance(raised, tuple):
        raised = raised[1]
    if isinstance(raised, BaseException):
        entry["raised"] = where(raised)
    return entry
