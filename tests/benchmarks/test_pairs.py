"""What is compared is measured in turn, in an order that changes."""

from __future__ import annotations

import pytest

from benchmarks.harness.pairs import interleaved, median_ratio, ratios


def test_every_other_round_goes_backwards() -> None:
    order: list[str] = []

    def measure(name: str) -> int:
        order.append(name)
        return len(order)

    first, second, third = interleaved(
        3, lambda: measure("a"), lambda: measure("b"), lambda: measure("c")
    )
    assert "".join(order) == "abccbaabc"
    assert (first, second, third) == ([1, 6, 7], [2, 5, 8], [3, 4, 9])


def test_ratios_are_taken_within_a_round() -> None:
    # The second round met a machine half as fast: that is no part of the ratio.
    assert ratios([3.0, 6.0], [2.0, 4.0]) == [1.5, 1.5]
    assert median_ratio([3.0, 6.0, 100.0], [2.0, 4.0, 10.0]) == 1.5


def test_rounds_without_a_partner_are_an_error() -> None:
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])
