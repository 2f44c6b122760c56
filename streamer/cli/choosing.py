"""Which numbered things a command means: those that are named, or all that fit a filter.

Dead letters and quarantine are chosen from in the same way, and by accident
from neither: it is one or the other, and nothing found is a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from streamer.core.errors import UsageError
from streamer.store.sqlite import Connection


class Choice(Protocol):
    """The options that choose: beside this one a command has filters, where None means any."""

    @property
    def every(self) -> bool:
        """Tell whether all are meant that fit the filters."""


T = TypeVar("T")
Which = TypeVar("Which", bound=Choice)


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[T, Which]):
    """One kind of thing that is kept under numbers until an operator deals with it."""

    name: str
    plural: str
    place: str = ""
    """Where there is none of a number, such as `` in quarantine``."""
    list_command: str
    load: Callable[[Connection, int], T | None]
    find: Callable[[Connection, Which], list[T]]
    """Return those that an operator may choose from, narrowed by filters."""

    def one(self, db: Connection, number: int) -> T:
        """Return the one of a number; raises `UsageError` when there is none."""
        found = self.load(db, number)
        if found is None:
            raise UsageError(f"there is no {self.name} {number}{self.place}", hint=self._see)
        return found

    def choose(self, db: Connection, numbers: Sequence[int], which: Which) -> list[T]:
        """Return those that are meant; raises `UsageError` unless it is clear which."""
        if which.every == bool(numbers):
            raise UsageError(f"say which {self.plural}: their numbers, or --all", hint="Not both.")
        if numbers:
            filters = [name for name in vars(which) if name != "every"]
            if any(getattr(which, name) is not None for name in filters):
                options = " and ".join(f"--{name}" for name in filters)
                raise UsageError(f"{options} go with --all, not with numbers", hint=self._see)
            return [self.one(db, number) for number in dict.fromkeys(numbers)]
        chosen = self.find(db, which)
        if not chosen:
            raise UsageError(f"no {self.name} fits", hint=self._see)
        return chosen

    @property
    def _see(self) -> str:
        return f"See `{self.list_command}`."
