"""Which values fit which kind of field, and as what."""

from __future__ import annotations

from typing import get_args

import pytest

from streamer.core.xdm.kinds import FITS, Kind

NESTED: list[object] = []
for _ in range(100_000):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("kind", "value", "fitted"),
    [
        ("text", "x", "x"),
        ("text", "", None),
        ("text", 7, "7"),
        ("text", 7.0, "7"),
        ("text", -0.5, "-0.5"),
        ("text", 1e300, "1e+300"),
        ("text", float("nan"), None),
        ("text", float("inf"), None),
        ("text", False, None),
        ("text", None, None),
        ("integer", 7, 7),
        ("integer", 7.0, 7),
        ("integer", 2**53 - 1, 2**53 - 1),
        ("integer", -(2**53), None),
        ("integer", 1e300, None),
        ("integer", True, None),
        ("integer", "7", None),
        ("number", 7, 7),
        ("number", 2**60, None),
        ("number", 0.5, 0.5),
        ("number", float("-inf"), None),
        ("number", True, None),
        ("boolean", False, False),
        ("boolean", 0, None),
        ("boolean", "true", None),
        ("date-time", "2025-06-15T15:06:40Z", "2025-06-15T15:06:40Z"),
        ("date-time", "2025-06-15T15:06:40.123456789+02:00", "2025-06-15T15:06:40.123456789+02:00"),
        ("date-time", "2025-02-30T15:06:40Z", None),
        ("date-time", "2025-06-15T15:06:40", None),
        ("date-time", "2025-06-15", None),
        ("date-time", 1750000000, None),
        ("date-time-ms", "2025-06-15T15:06:40Z", "2025-06-15T15:06:40.000Z"),
        ("date-time-ms", "2025-06-15T15:06:40.1Z", "2025-06-15T15:06:40.100Z"),
        ("date-time-ms", "2025-06-15T15:06:40.987654Z", "2025-06-15T15:06:40.987Z"),
        ("date-time-ms", "2025-06-15T15:06:40-02:30", "2025-06-15T15:06:40.000-02:30"),
        ("date-time-ms", "2025-06-15T15:06:40.5+02:30", "2025-06-15T15:06:40.500+02:30"),
        ("date-time-ms", "now", None),
        ("uri", "https://example.com/a?b=c#d", "https://example.com/a?b=c#d"),
        ("uri", "example.com", None),
        ("uri", "https://example.com/a b", None),
        ("email", "a@example.com", "a@example.com"),
        ("email", "a", None),
        ("array", ["a", 7, None, {}, True, ""], ["a", "7"]),
        ("array", "a", ["a"]),
        ("array", [], None),
        ("array", [None], None),
        ("json", {"a": [1]}, '{"a":[1]}'),
        ("json", [], "[]"),
        ("json", "{}", "{}"),
        ("json", 7, "7"),
        ("json", NESTED, None),
        ("devices", [{"device_id": "a"}, {}, 7], [{"deviceID": "a"}]),
        ("devices", [], None),
        ("devices", {"device_id": "a"}, None),
        ("id", "a:b", "6783a31eabf68ccc0660f935c0826282bdd2241f3a80a9f2d10d59aea9ebb5d8"),
        ("id", 7, "7"),
        ("id", None, None),
    ],
)
def test_a_value_fits_or_is_none(kind: Kind, value: object, fitted: object) -> None:
    result = FITS[kind](value)
    assert result == fitted
    assert type(result) is type(fitted)


def test_every_kind_can_be_fitted() -> None:
    assert set(FITS) == set(get_args(Kind))
