"""What Customer.io is known to send: object types, metrics, and each one's fields.

New object types, metrics and fields appear without notice, so nothing in this
package may decide whether an event is stored or delivered. The catalogue is for
telling what is new, for warning of a filter that matches nothing, for samples,
and for schemas.

Each thing is said once: `tables` says which types there are and what each
carries, `fields` what a field means and what may stand in it. `types` makes
msgspec types of the two, and `schema`, `asyncapi` and `reading` go by those.
Only the tables are loaded with the package: commands that need no types do not
wait for them.
"""

from __future__ import annotations

from streamer.core.catalogue.tables import (
    MESSAGES,
    OBJECT_TYPES,
    PERSON,
    PERSON_METRICS,
    VARIANTS,
    Fields,
    is_known,
    known_types,
    type_names,
    variants,
)

__all__ = [
    "MESSAGES",
    "OBJECT_TYPES",
    "PERSON",
    "PERSON_METRICS",
    "VARIANTS",
    "Fields",
    "is_known",
    "known_types",
    "type_names",
    "variants",
]
