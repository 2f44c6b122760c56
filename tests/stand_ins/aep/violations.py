"""What the streaming validation finds wrong with an entity, in the words of its error records.

The codes are not in Adobe's documents; they are those that users of the platform report, who
disagree about ``DCVS-1106`` and ``DCVS-1111``: here the first is a forbidden value, and the
second a required field that is missing.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

VIOLATIONS_MAX = 5
"""After so many the validation stops looking at a message."""
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
DATE_TIMES_EXPECTED = (
    "[yyyy-MM-dd'T'HH:mm:ssZ, yyyy-MM-dd'T'HH:mm:ss.[0-9]{1-9}Z,"
    " yyyy-MM-dd'T'HH:mm:ss[+-]HH:mm, yyyy-MM-dd'T'HH:mm:ss.[0-9]{1,9}[+-]HH:mm]"
)
CODES = {
    "null": "DCVS-1101-400",
    "type": "DCVS-1104-400",
    "format": "DCVS-1105-400",
    "enum": "DCVS-1106-400",
    "const": "DCVS-1106-400",
    "required": "DCVS-1111-400",
}
OTHER_CODE = "DCVS-1100-400"
"""Of keywords for which nobody reported a code."""


@dataclasses.dataclass(frozen=True)
class Violation:
    """One thing wrong, and where: ``#/timestamp``."""

    keyword: str
    pointer: str
    message: str

    @property
    def code(self) -> str:
        """The code that goes with the keyword."""
        return CODES.get(self.keyword, OTHER_CODE)

    def record(self) -> dict[str, Any]:
        """Return it as an error record shows it."""
        return {
            "causingExceptions": [],
            "code": self.code,
            "keyword": self.keyword,
            "message": self.message,
            "pointerToViolation": self.pointer,
            "schemaLocation": self.pointer.replace("#/", "#/properties/"),
        }


def is_date_time(text: str) -> bool:
    """Tell whether this is a moment in one of the four forms that are taken."""
    if not DATE_TIME.fullmatch(text):
        return False
    whole = re.sub(r"\.\d+", "", text)
    try:
        datetime.fromisoformat(whole)
    except ValueError:
        return False
    return True


def bad_date_time(pointer: str, value: object) -> Violation:
    """Say that this is no moment."""
    return Violation(
        "format", pointer, f"[{value}] is not a valid date-time. Expected {DATE_TIMES_EXPECTED}"
    )


def find_nulls(value: object, pointer: str = "#") -> Iterator[Violation]:
    """Find every null: none is permitted, wherever it is."""
    if value is None:
        yield Violation("null", pointer, "null is not permitted; leave the field out")
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from find_nulls(inner, f"{pointer}/{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from find_nulls(inner, f"{pointer}/{number}")


def find_basic(entity: dict[str, Any]) -> Iterator[Violation]:
    """Judge by what holds for every ExperienceEvent; it takes none of Adobe's schemas."""
    yield from find_nulls(entity)
    for key in ("_id", "timestamp"):
        value = entity.get(key)
        if key not in entity:
            yield Violation("required", "#", f"required key [{key}] not found")
        elif value is not None and not isinstance(value, str):
            found = type(value).__name__
            yield Violation("type", f"#/{key}", f"expected type: String, found: {found}")
    timestamp = entity.get("timestamp")
    if isinstance(timestamp, str) and not is_date_time(timestamp):
        yield bad_date_time("#/timestamp", timestamp)
