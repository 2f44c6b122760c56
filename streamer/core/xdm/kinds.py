"""What a field of the schema takes, and making a value fit it.

Customer.io sends one id as a number today and as text tomorrow, so a number
becomes text where text is wanted. Nothing else is turned into something else:
text is no integer, a truth value is no text, and what does not fit is no value.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from streamer.core.mapping_limits import ARRAY_ITEMS_MAX, NUMBER_BITS_MAX

Kind = Literal[
    "text", "integer", "number", "boolean", "date-time", "date-time-ms", "uri", "email", "id",
    "json", "array", "devices",
]  # fmt: skip
"""``id`` is a URI reference without a colon; ``date-time-ms`` has milliseconds; ``json`` is text
that takes an object or a list as JSON; ``array`` is one of texts; ``devices`` are the objects of a
push message."""

TENANT_KINDS: tuple[Kind, ...] = ("text", "integer", "number", "boolean", "date-time", "array")
"""The kinds that a user's own field can be of."""

Fit = Callable[[object], object]
"""Returns the value as it goes into the field; None if it does not fit. Never raises."""

EXACT_INTEGER_MAX = 2**53 - 1
"""Adobe's ``long``: what every reader of JSON reads exactly."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_ID = re.compile(r"(?!//)(?:[A-Za-z0-9\-._~!$&'()*+,;=@/?]|%[0-9A-Fa-f]{2})+")
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.\-]*:(?:[A-Za-z0-9\-._~!$&'()*+,;=@/?:]|%[0-9A-Fa-f]{2})+"
    r"(?:#(?:[A-Za-z0-9\-._~!$&'()*+,;=@/?:]|%[0-9A-Fa-f]{2})*)?"
)
_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")


def fit_text(value: object) -> str | None:
    """Take text, and numbers as text; blank text is no value."""
    if type(value) is str:
        return value or None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value) if value.bit_length() <= NUMBER_BITS_MAX else None
    if isinstance(value, float) and math.isfinite(value):
        return (
            str(int(value))
            if value.is_integer() and abs(value) <= EXACT_INTEGER_MAX
            else str(value)
        )
    return None


def fit_json(value: object) -> str | None:
    """Take text, and everything else as the text of its JSON."""
    if isinstance(value, dict | list):
        try:
            return msgspec.json.encode(value).decode()
        except RecursionError:
            return None
    return fit_text(value)


def fit_integer(value: object) -> int | None:
    """Take whole numbers of up to 53 bits."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -EXACT_INTEGER_MAX <= value <= EXACT_INTEGER_MAX else None


def fit_number(value: object) -> int | float | None:
    """Take numbers that a double holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return fit_integer(value)
    return value if math.isfinite(value) else None


def fit_boolean(value: object) -> bool | None:
    """Take true and false alone: an absent mark of a machine is not the same as false."""
    return value if isinstance(value, bool) else None


def fit_time(value: object) -> str | None:
    """Take a moment in RFC 3339, as it is."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        return None
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return None
    return value


def fit_time_in_milliseconds(value: object) -> str | None:
    """Take a moment in RFC 3339, and write it with exactly three digits of the second."""
    text = fit_time(value)
    if text is None:
        return None
    seconds, rest = text[:19], text[19:]
    digits, _, zone = rest.rpartition("Z") if rest.endswith("Z") else (rest[:-6], "", rest[-6:])
    return f"{seconds}.{digits[1:4]:0<3}{zone or 'Z'}"


def fit_uri(value: object) -> str | None:
    """Take a URI with its scheme."""
    return value if isinstance(value, str) and _URI.fullmatch(value) else None


def fit_email(value: object) -> str | None:
    """Take what has the form of an e-mail address; a hash in its place has not."""
    return value if isinstance(value, str) and _EMAIL.fullmatch(value) else None


def fit_id(value: object) -> str | None:
    """Take a URI reference without a colon, and of all other text its SHA-256."""
    text = fit_text(value)
    if text is None or _ID.fullmatch(text):
        return text
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def fit_array(value: object) -> list[str] | None:
    """Take a list, and leave out of it what is no text; one text is a list of one."""
    items = value if isinstance(value, list) else [value]
    return [text for item in items[:ARRAY_ITEMS_MAX] if (text := fit_text(item))] or None


DEVICE_FIELDS = {
    "device_id": "deviceID",
    "device_platform": "devicePlatform",
    "failure_message": "failureMessage",
}
"""Of one entry of ``recipients``: Customer.io's name, and the field's; either is understood."""


def fit_devices(value: object) -> list[dict[str, str]] | None:
    """Take the devices of a push message under the names of XDM."""
    if not isinstance(value, list):
        return None
    return [device for item in value[:ARRAY_ITEMS_MAX] if (device := _device(item))] or None


def _device(item: object) -> dict[str, str]:
    if not isinstance(item, dict):
        return {}
    fitted = (
        (ours, fit_text(item.get(theirs, item.get(ours)))) for theirs, ours in DEVICE_FIELDS.items()
    )
    return {name: text for name, text in fitted if text}


FITS: dict[Kind, Fit] = {
    "text": fit_text,
    "integer": fit_integer,
    "number": fit_number,
    "boolean": fit_boolean,
    "date-time": fit_time,
    "date-time-ms": fit_time_in_milliseconds,
    "uri": fit_uri,
    "email": fit_email,
    "id": fit_id,
    "json": fit_json,
    "array": fit_array,
    "devices": fit_devices,
}


def fit_one_of(values: tuple[str, ...]) -> Fit:
    """Return the function that takes these texts alone."""
    allowed = frozenset(values)

    def fit(value: object) -> object:
        return value if isinstance(value, str) and value in allowed else None

    return fit


def fit_short_text(characters_max: int) -> Fit:
    """Return the function that takes text of up to so many characters."""

    def fit(value: object) -> object:
        text = fit_text(value)
        return text if text is not None and len(text) <= characters_max else None

    return fit
