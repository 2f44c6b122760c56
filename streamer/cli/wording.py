"""How commands word numbers, sizes and times for people."""

from __future__ import annotations

from streamer.core.limits import DAY_SECONDS

_UNITS = ("KiB", "MiB", "GiB", "TiB")


def count(number: int, noun: str, plural: str = "") -> str:
    """Write ``1 event`` or ``2,500 events``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size(size_bytes: int) -> str:
    """Write a number of bytes with a unit that suits it."""
    if size_bytes < 1024:
        return count(size_bytes, "byte")
    power = min((size_bytes.bit_length() - 1) // 10, len(_UNITS))
    return f"{size_bytes / 1024**power:.1f} {_UNITS[power - 1]}"


def duration(seconds: float) -> str:
    """Write a length of time by its two largest units, such as ``3 h 20 min``."""
    whole = int(seconds)
    days, rest = divmod(whole, DAY_SECONDS)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((index for index, (number, _) in enumerate(parts) if number), len(parts) - 1)
    shown = [f"{number} {unit}" for number, unit in parts[first : first + 2] if number]
    return " ".join(shown) or "0 s"


def moment_text(at: str | None) -> str:
    """Write an RFC 3339 time without its milliseconds; ``never`` when there is none."""
    return "never" if at is None else at[:19].replace("T", " ") + " UTC"
