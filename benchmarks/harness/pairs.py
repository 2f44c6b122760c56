"""Measurements side by side: a machine's mood hits all of them alike.

Whatever else runs changes from second to second. So what is to be compared is measured in turn,
round by round, in an order that changes too, and ratios are taken within a round.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def interleaved(rounds: int, *measurements: Callable[[], T]) -> list[list[T]]:
    """Measure each in turn, ``rounds`` times, every other round backwards.

    Returns:
        For each measurement its results, in the order of the rounds.
    """
    found: list[list[T]] = [[] for _ in measurements]
    for number in range(rounds):
        order = range(len(measurements))
        for index in order if number % 2 == 0 else reversed(order):
            found[index].append(measurements[index]())
    return found


def ratios(values: Sequence[float], bases: Sequence[float]) -> list[float]:
    """Return how many times its base each value is, round by round."""
    return [value / base for value, base in zip(values, bases, strict=True)]


def median_ratio(values: Sequence[float], bases: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(ratios(values, bases))
