"""What the codes mean that Adobe's failed batches carry, and what to do about each.

Adobe documents few of them. Those of the streaming validation (``DCVS-…``) are
as users report them.
"""

from __future__ import annotations

_ADVICE = {
    "DCVS-1101": "A field is null, which XDM does not permit: let its rule leave it out.",
    "DCVS-1104": "A field has another type than the schema says: mend its rule or the schema.",
    "DCVS-1105": "A value has not the format that the schema wants, such as a time: mend its rule.",
    "DCVS-1106": "A value is none of those that the schema permits, or a required field is "
    "missing: mend its rule, or the schema.",
    "DCVS-1111": "A required field is missing. A primary identity makes its field required: give "
    "the field a rule, or take the mark off.",
    "INGEST-1": "Adobe could not read or convert the row: compare the mapping with the schema.",
    "MAPPER-": "The dataflow's mapping in Adobe (Data Prep) failed: mend it there.",
}
"""By the beginning of a code."""

_EXTRANEOUS = "extraneous key"
_NOT_IN_SCHEMA = (
    "The schema does not have a field that is sent: `streamer aep setup` adds those of the "
    "mapping, or drop the field's rule."
)
_GENERAL = "Compare what Adobe says with the mapping and the schema."


def advise(code: str, message: str) -> str:
    """Say what to do about a code; ``message`` is an example of what came with it."""
    if _EXTRANEOUS in message:
        return _NOT_IN_SCHEMA
    return next((text for start, text in _ADVICE.items() if code.startswith(start)), _GENERAL)
