"""All functions of the mapping language, by name, and those that it has on purpose not.

The names, the order of arguments and the results are those of Adobe's Data Prep, so that
whoever knows one knows the other; the documents' table is made from here, and every example
in it is evaluated by a test.
"""

from __future__ import annotations

from streamer.core.xdm.language.function import Function
from streamer.core.xdm.language.functions_choice import CHOICES
from streamer.core.xdm.language.functions_data import ARRAYS, NUMBERS, OBJECTS
from streamer.core.xdm.language.functions_text import PATTERNS, TEXTS
from streamer.core.xdm.language.functions_time import TIMES
from streamer.core.xdm.language.functions_web import HASHES, URLS

GROUPS: dict[str, tuple[Function, ...]] = {
    "Choosing": CHOICES,
    "Text": TEXTS,
    "Regular expressions": PATTERNS,
    "Hashes": HASHES,
    "URLs": URLS,
    "Times": TIMES,
    "Objects": OBJECTS,
    "Lists": ARRAYS,
    "Numbers": NUMBERS,
}
"""The functions by what they are for, in the order of the documents."""

FUNCTIONS: dict[str, Function] = {
    name: function
    for group in GROUPS.values()
    for function in group
    for name in (function.name, function.alias)
    if name
}
"""Every name that a function can be called by."""

REFUSED = {
    **dict.fromkeys(("uuid", "guid"), "gives another value each time"),
    **dict.fromkeys(("now", "timestamp"), "looks at the clock"),
}
"""Functions of Adobe's that will never be here, and why: an event that is sent again after an
unknown outcome must be the same event, or Adobe keeps both."""

NOT_OFFERED = frozenset({
    "lpad", "rpad", "crc32", "get_url_port", "get_url_query_str", "get_url_encoded",
    "get_url_decoded", "date_part", "set_date_part", "make_date_time", "make_timestamp",
    "zone_date_to_utc", "zone_date_to_zone", "arrays_to_object", "to_object", "str_to_object",
    "get_keys", "get_values", "map_get_values", "upsert_array_append", "upsert_array_replace",
    "fpid_to_ecid", "ua_os_name", "ua_os_version_major", "ua_os_version", "ua_os_name_version",
    "ua_agent_version", "ua_agent_version_major", "ua_agent_name", "ua_device_class",
})  # fmt: skip
"""Functions of Adobe's that Customer.io's events give no use for."""
