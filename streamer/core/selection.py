"""Which event types a destination gets: patterns over ``object_type.metric``.

In a pattern only ``*`` is special, and means any text, full stops included; a
pattern stands for a whole name, and case counts. No include pattern means every
type; an exclude pattern wins. A missing part of a type is ``unknown``.

The rule exists twice, as `Selection.matches` for one event and as
`Selection.sql_condition` for counting the outbox, and both say the same of
every type that can be stored. SQLite stops reading text at a NUL and takes the
two noncharacters U+FFFE and U+FFFF for U+FFFD, so `matches` does too.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import lru_cache

from streamer.core import catalogue
from streamer.core.errors import ConfigurationError
from streamer.core.event import UNKNOWN, type_name
from streamer.core.limits import PATTERNS_MAX

# Object types and metrics come from outside, so what is remembered of them needs bounds: ten
# times the number that is known to exist, and twice the length of the longest.
_REMEMBERED_MAX = 1000
_REMEMBERED_CHARACTERS_MAX = 100

_SQL_NAME = (
    f"coalesce(nullif(object_type, ''), '{UNKNOWN}') || '.' || "
    f"coalesce(nullif(metric, ''), '{UNKNOWN}')"
)
_AS_SQLITE_READS = str.maketrans({"\ufffe": "\ufffd", "\uffff": "\ufffd"})


class Selection:
    """The include and exclude patterns of one destination, made ready once."""

    def __init__(self, *, include: Sequence[str], exclude: Sequence[str]) -> None:
        """Compile the patterns.

        Raises:
            ConfigurationError: there are more than `PATTERNS_MAX` of them.
        """
        if len(include) + len(exclude) > PATTERNS_MAX:
            raise ConfigurationError(
                f"a destination takes at most {PATTERNS_MAX} include and exclude patterns",
                hint="let one pattern stand for many types, such as email.*",
            )
        self._include = tuple(include)
        self._exclude = tuple(exclude)
        self.takes_all = not self._include and not self._exclude
        self._included = _regex(self._include or ("*",))
        self._excluded = _regex(self._exclude)
        self._name_matches = lru_cache(_REMEMBERED_MAX)(self._look_at)

    def matches(self, object_type: str | None, metric: str | None) -> bool:
        """Say whether the destination gets events of this type."""
        name = type_name(object_type, metric)
        if len(name) > _REMEMBERED_CHARACTERS_MAX:
            return self._look_at(name)
        return self._name_matches(name)

    def sql_condition(self) -> tuple[str, list[str]]:
        """Return `matches` as SQL over the columns ``object_type`` and ``metric``.

        Returns:
            A boolean expression that can stand beside ``AND`` and ``NOT`` as it is, and the
            values of its parameters, in order.
        """
        included = _sql_any(len(self._include)) if self._include else "1"
        excluded = _sql_any(len(self._exclude)) if self._exclude else "0"
        return (
            f"({included} AND NOT {excluded})",
            [_glob(pattern) for pattern in self._include + self._exclude],
        )

    def _look_at(self, name: str) -> bool:
        read = _as_sqlite_reads(name)
        return self._included.fullmatch(read) is not None and self._excluded.fullmatch(read) is None


def validate_pattern(pattern: str) -> str | None:
    """Say what is odd about a pattern, or None. It is a warning: a new type may come any day."""
    names = catalogue.type_names()
    known = _regex((pattern,))
    if any(known.fullmatch(name) for name in names):
        return None
    object_types = [f"{object_type}.*" for object_type in catalogue.OBJECT_TYPES]
    near = difflib.get_close_matches(pattern, [*names, *object_types], n=1)
    advice = f"did you mean {near[0]}?" if near else "patterns look like email.* or *.bounced"
    return f"{pattern!r} matches no event type that is known: {advice}"


def _regex(patterns: Sequence[str]) -> re.Pattern[str]:
    """Compile a regular expression for names that at least one pattern matches, whole."""
    if not patterns:
        return re.compile(r"(?!)")
    return re.compile("|".join(map(_regex_text, patterns)), re.DOTALL)


def _regex_text(pattern: str) -> str:
    first, *others = map(re.escape, re.split(r"\*+", _as_sqlite_reads(pattern)))
    if not others:
        return first
    *middle, last = others
    # The first place where a middle part fits is as good as any later one: never trying another
    # keeps a name of a megabyte from taking hours.
    return first + "".join(f"(?>.*?{part})" for part in middle) + ".*" + last


def _sql_any(count: int) -> str:
    return "(" + " OR ".join([f"{_SQL_NAME} GLOB ?"] * count) + ")"


def _glob(pattern: str) -> str:
    """Write a pattern for GLOB, to which a question mark and a bracket are special as well."""
    return re.sub(r"\*+", "*", re.sub(r"[?\[]", r"[\g<0>]", pattern))


def _as_sqlite_reads(text: str) -> str:
    return text.partition("\0")[0].translate(_AS_SQLITE_READS)
