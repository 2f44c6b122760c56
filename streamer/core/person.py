"""Whom an event is about, as far as order and partitioning are concerned.

One person has one key, taken from the first identifier that is present, in the
order of how little it changes: Customer.io's own id, the workspace's id, the
e-mail address, then what older and unidentified events carry. Lanes, partition
keys and the CloudEvents ``subject`` all go by it. The key is personal data.

Who looks for a person looks at more than the key: an event names somebody by
several identifiers, and each of them finds it.
"""

from __future__ import annotations


def person_key(data: object) -> str | None:
    """Return the key of the person in an event's decoded ``data``; None when nobody is named.

    ``data`` may be any JSON value, and so may what stands where an identifier
    is expected: text and numbers count, blank text and everything else is
    passed over.
    """
    if not isinstance(data, dict):
        return None
    return key_of(data.get("identifiers"), data.get("customer_id"), data.get("recipient"))


def key_of(identifiers: object, customer_id: object, recipient: object) -> str | None:
    """Return the key made of what stands in three fields of ``data``, which may be any JSON."""
    if not isinstance(identifiers, dict):
        return first_identifier(None, None, None, customer_id, recipient)
    return first_identifier(
        identifiers.get("cio_id"),
        identifiers.get("id"),
        identifiers.get("email"),
        customer_id,
        recipient,
    )


def names_person(data: object, wanted: str) -> bool:
    """Tell whether an event's decoded ``data`` names somebody by this identifier, in any place.

    Looked at are all of ``identifiers``, ``customer_id``, ``recipient`` and
    ``email_address``. They are compared whole; of an e-mail address the case
    does not count.
    """
    if not isinstance(data, dict):
        return False
    identifiers = data.get("identifiers")
    places = list(identifiers.values()) if isinstance(identifiers, dict) else []
    places += [data.get(name) for name in ("customer_id", "recipient", "email_address")]
    looked_for = _comparable(wanted)
    return looked_for is not None and any(_comparable(value) == looked_for for value in places)


def _comparable(value: object) -> str | None:
    text = _text(value)
    return text.casefold() if text and "@" in text else text


def first_identifier(
    cio_id: object, id_: object, email: object, customer_id: object, recipient: object
) -> str | None:
    """Return the key made of what stands in the five places, for callers that have them at hand."""
    return (
        _text(cio_id)
        or _text(id_)
        or _lower(_text(email))
        or _text(customer_id)
        or _text(recipient)
    )


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    # JSON's true is an int to Python, and nobody's id.
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def _lower(text: str | None) -> str | None:
    return text.lower() if text else None
