"""The functions for times, and the part of Java's date patterns that they understand.

A time is RFC 3339 text in UTC, which is what XDM stores. There is no function for the present
moment: a mapping that looks at the clock would make another event of every retry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from streamer.core.mapping_limits import DATE_PATTERN_CHARACTERS_MAX
from streamer.core.xdm.language.function import Argument, Function, prepared, strict
from streamer.core.xdm.language.paths import Evaluate
from streamer.core.xdm.language.values import number, text_of

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_PART = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z']", re.DOTALL)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Letters:
    """One kind of letters of a pattern: how it is written, and what it looks like when read."""

    def __init__(self, write: Callable[[datetime], str], read: str) -> None:
        self.write = write
        self.read = read


def _offset(moment: datetime, *, colon: bool, zulu: bool, short: bool = False) -> str:
    minutes = int((moment.utcoffset() or timedelta()).total_seconds()) // 60
    if zulu and minutes == 0:
        return "Z"
    hours, rest = divmod(abs(minutes), 60)
    sign = "-" if minutes < 0 else "+"
    if short and not rest:
        return f"{sign}{hours:02d}"
    return f"{sign}{hours:02d}{':' if colon else ''}{rest:02d}"


def _two_digits(name: str) -> _Letters:
    return _Letters(lambda moment: f"{getattr(moment, name):02d}", rf"(?P<{name}>\d\d)")


def _one_digit(name: str) -> _Letters:
    return _Letters(lambda moment: str(getattr(moment, name)), rf"(?P<{name}>\d\d?)")


_ZONE = r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)"

LETTERS: dict[str, _Letters] = {
    "yyyy": _Letters(lambda moment: f"{moment.year:04d}", r"(?P<year>\d{4})"),
    "yy": _Letters(lambda moment: f"{moment.year % 100:02d}", r"(?P<short_year>\d\d)"),
    "MMM": _Letters(lambda moment: _MONTHS[moment.month - 1], r"(?P<month_name>[A-Za-z]{3})"),
    "MM": _two_digits("month"),
    "M": _one_digit("month"),
    "dd": _two_digits("day"),
    "d": _one_digit("day"),
    "HH": _two_digits("hour"),
    "H": _one_digit("hour"),
    "hh": _Letters(lambda moment: f"{(moment.hour + 11) % 12 + 1:02d}", r"(?P<hour12>\d\d)"),
    "h": _Letters(lambda moment: str((moment.hour + 11) % 12 + 1), r"(?P<hour12>\d\d?)"),
    "mm": _two_digits("minute"),
    "m": _one_digit("minute"),
    "ss": _two_digits("second"),
    "s": _one_digit("second"),
    "SSS": _Letters(lambda moment: f"{moment.microsecond // 1000:03d}", r"(?P<millisecond>\d{3})"),
    "a": _Letters(lambda moment: "AM" if moment.hour < 12 else "PM", r"(?P<half>[AaPp][Mm])"),
    "X": _Letters(lambda moment: _offset(moment, colon=False, zulu=True, short=True), _ZONE),
    "XX": _Letters(lambda moment: _offset(moment, colon=False, zulu=True), _ZONE),
    "XXX": _Letters(lambda moment: _offset(moment, colon=True, zulu=True), _ZONE),
    "Z": _Letters(lambda moment: _offset(moment, colon=False, zulu=False), _ZONE),
}
"""What a pattern may be made of, beside signs that stand for themselves."""


def _pieces(pattern: str) -> list[_Letters | str]:
    """Cut a pattern; what is no letters stands for itself."""
    if len(pattern) > DATE_PATTERN_CHARACTERS_MAX:
        raise ValueError(f"a date pattern has at most {DATE_PATTERN_CHARACTERS_MAX} characters")
    pieces: list[_Letters | str] = []
    position = 0
    while position < len(pattern):
        found = _PART.match(pattern, position)
        if found is None:
            raise ValueError("the date pattern does not close a quotation mark")
        position, text = found.end(), found[0]
        if found[1] is None:
            inside = text[1:-1].replace("''", "'") if text.startswith("'") else text
            pieces.append(inside or "'")
        elif text in LETTERS:
            pieces.append(LETTERS[text])
        else:
            raise ValueError(
                f"{text!r} in the date pattern is not supported; supported are "
                + ", ".join(LETTERS)
            )
    return pieces


def _writer(pattern: str) -> Callable[[datetime], str]:
    pieces = _pieces(pattern)

    def write(moment: datetime) -> str:
        return "".join(piece if isinstance(piece, str) else piece.write(moment) for piece in pieces)

    return write


def _reader(pattern: str) -> Callable[[str], datetime]:
    pieces = _pieces(pattern)
    text = "".join(re.escape(piece) if isinstance(piece, str) else piece.read for piece in pieces)
    try:
        regex = re.compile(text, re.ASCII)
    except re.error:
        raise ValueError("the date pattern has the same part twice") from None
    if not {"year", "short_year"} & regex.groupindex.keys():
        raise ValueError("the date pattern has no year")

    def read(written: str) -> datetime:
        found = regex.fullmatch(written)
        if found is None:
            raise ValueError("the text does not have this form")
        return _assembled(found.groupdict())

    return read


def _assembled(parts: dict[str, str | None]) -> datetime:
    def whole(name: str, otherwise: int) -> int:
        return int(parts.get(name) or otherwise)

    month = whole("month", 1)
    if name := parts.get("month_name"):
        month = _MONTHS.index(name.capitalize()) + 1
    hour = whole("hour", 0)
    if parts.get("hour12"):
        hour = whole("hour12", 0) % 12 + (12 if (parts.get("half") or "").lower() == "pm" else 0)
    return datetime(
        whole("year", 2000 + whole("short_year", 0)),
        month,
        whole("day", 1),
        hour,
        whole("minute", 0),
        whole("second", 0),
        whole("millisecond", 0) * 1000,
        tzinfo=_zone(parts.get("zone") or "Z"),
    )


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _read_iso(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _as_rfc3339(moment: datetime) -> str:
    moment = moment.astimezone(UTC)
    rest = f".{moment.microsecond // 1000:03d}" if moment.microsecond >= 1000 else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f"{rest}Z"


def _dformat(pattern: str) -> Callable[..., object]:
    write = _writer(pattern)

    def call(milliseconds: object) -> str:
        found = number(milliseconds)
        if found is None:
            raise ValueError("not a number")
        return write(_EPOCH + timedelta(milliseconds=found))

    return call


def _format(pattern: str) -> Callable[..., object]:
    write = _writer(pattern)
    return lambda date: write(_read_iso(text_of(date)))


def _date(arguments: Sequence[Argument]) -> Evaluate:
    if len(arguments) == 1:
        return strict(lambda date: _as_rfc3339(_read_iso(text_of(date))))(arguments)

    def prepare(pattern: str) -> Callable[..., object]:
        read = _reader(pattern)
        return lambda date: _as_rfc3339(read(text_of(date)))

    written = prepared(prepare, literals=slice(1, 2))(arguments[:2])
    if len(arguments) == 2:
        return written
    given, default = arguments[0].evaluate, strict(text_of)(arguments[2:])

    def evaluate(scope: Mapping[str, Any]) -> object:
        return default(scope) if given(scope) is None else written(scope)

    return evaluate


TIMES = (
    Function(
        name="date",
        arguments=("text", "pattern?", "default?"),
        summary="The time that a text names, which is ISO 8601 unless a pattern says otherwise, "
        "in UTC unless it names an offset; `default` if the text is missing.",
        examples=(
            ('date("2019-10-23 11:24")', "2019-10-23T11:24:00Z"),
            ('date("23.10.2019 13:24 +0200", "dd.MM.yyyy HH:mm Z")', "2019-10-23T11:24:00Z"),
            ('date(null, "yyyy-MM-dd", streamer.time)', "2021-02-11T17:11:29Z"),
        ),
        build=_date,
    ),
    Function(
        name="dformat",
        arguments=("milliseconds", "pattern"),
        summary="The moment so many milliseconds after 1970, written as the pattern says, in UTC.",
        examples=(
            (
                "dformat(1571829875000, \"yyyy-MM-dd'T'HH:mm:ss.SSSX\")",
                "2019-10-23T11:24:35.000Z",
            ),
            ('dformat(timestamp * 1000, "yyyy-MM-dd")', "2021-02-11"),
        ),
        build=prepared(_dformat, literals=slice(1, 2)),
    ),
    Function(
        name="format",
        arguments=("date", "pattern"),
        summary="A time of ISO 8601, written as the pattern says, at its own offset.",
        examples=(
            ('format("2019-10-23T11:24:35+00:00", "yyyy-MM-dd HH:mm:ss")', "2019-10-23 11:24:35"),
        ),
        build=prepared(_format, literals=slice(1, 2)),
    ),
)
