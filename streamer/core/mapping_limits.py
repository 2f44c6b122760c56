"""The limits of the mapping: of its language, of its patterns, and of what it makes.

Plain constants of the same kind as in `streamer.core.limits`. An operator
writes the mapping and strangers write the events, so each of these keeps one
of the two from taking the service's time or memory. None is a setting. What
Adobe's own formats fix, such as the 10 KB of an entity, is no limit of ours and
stands where it is used.
"""

from __future__ import annotations

# What an operator may write.

MAPPING_RULES_MAX = 1_000
"""Rules of one file: twenty times as many as the built-in mapping has for any type."""

EXPRESSION_CHARACTERS_MAX = 4_096
"""Characters of one source: the same as Adobe's Data Prep allows, whose language it is, so that an
expression that works here is not too long there."""

EXPRESSION_DEPTH_MAX = 50
"""Calls and operators within each other: far more than anybody reads, far less than the stack."""

DATE_PATTERN_CHARACTERS_MAX = 100
"""Characters of the pattern that a date is written by: the longest in use have some thirty."""

REGEX_CHARACTERS_MAX = 500
"""A longer regular expression is one that nobody can read."""

REGEX_PIECES_MAX = 200
"""Parts of a regular expression, those of a repeated group counted each time."""

REGEX_CHOICES_MAX = 1_000
"""Ways through its alternatives and optional parts, whatever the text."""

# What an event may cost.

REGEX_STEPS_MAX = 10_000_000
"""Steps of the engine that one search may take: some tenths of a second at the very worst."""

SEARCHED_CHARACTERS_MAX = 100_000
"""No regular expression is tried on a longer text, however simple it is …"""

SEARCHED_CHARACTERS_MIN = 100
"""… and one that could be tried on shorter texts only is refused, being of no use."""

MADE_TEXT_CHARACTERS_MAX = 1_000_000
"""The longest text that a function makes out of shorter ones: a hundred times what an event may
take up in Adobe, and far from filling the memory with a stranger's text."""

MADE_LIST_ELEMENTS_MAX = 10_000
"""The longest list that a function makes, for the same reason."""

MAPPING_PLANS_MAX = 500
"""Types of event whose rules are kept ready: six times as many as are known. Types come from
outside."""

# What goes into an entity.

NUMBER_BITS_MAX = 4_096
"""A larger number is nobody's id, and Python refuses to write one of more than 4,300 digits."""

ARRAY_ITEMS_MAX = 1_000
"""Items of a list that are looked at: no entity has room for more."""

SHED_RECIPIENTS_MAX = 10
"""Devices that are kept of a push message that went to many, once there is no room for all."""

SHED_REASON_BYTES_MAX = 1_024
"""What is then kept of the reason of a failure: more than any mail server says."""

SHED_LINE_BYTES_MAX = 256
"""What is kept of a subject or a link when even that is too much."""
