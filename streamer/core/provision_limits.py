"""The limits of setting up, and of looking after, what is at Customer.io and at Adobe.

Plain constants of the same kind as in `streamer.core.limits`. Most are for
somebody who sits at a terminal and waits: how long, how often, and how much of
an answer, before it is said that it does not work.
"""

from __future__ import annotations

from streamer.core.limits import KIB, MIB

# Customer.io's App API.

APP_API_TRIES_MAX = 4
"""Tries of one call of Customer.io's App API, before whoever asked hears of it."""

APP_API_WAIT_SECONDS_MAX = 60.0
"""Longest wait that the App API may ask of somebody at a terminal; a longer one is told instead."""

APP_API_ANSWER_BYTES_MAX = 4 * MIB
"""A webhook has 2 KiB, and a workspace a few of them."""

APP_API_CONNECT_SECONDS_MAX = 10.0
"""For the name, the connection and TLS."""

APP_API_CALL_SECONDS_MAX = 30.0
"""For one call altogether."""

# Adobe's platform.

ADOBE_CONNECT_SECONDS_MAX = 10.0
"""For the name, the connection and TLS."""

ADOBE_CALL_SECONDS_MAX = 60.0
"""For one call altogether: the Schema Registry takes its time over a full schema."""

ADOBE_TRIES_MAX = 5
"""Tries of one call. With the waits between them that is about a minute, as long as anybody
watches."""

ADOBE_WAIT_SECONDS_MAX = 120.0
"""A service that asks for a longer wait is left alone, and the person told so."""

ADOBE_ANSWER_BYTES_MAX = 16 * MIB
"""The full schema of an ExperienceEvent with many field groups takes a few megabytes."""

ADOBE_PAGES_MAX = 200
"""Pages of one list. 300 schemas or 100 of anything else stand on one."""

ADOBE_CREATIONS_MAX = 3
"""Calls that make one thing, each after a look that found nothing."""

ADOBE_INLET_SECONDS_MAX = 600.0
"""An inlet that has not taken a call so long after the five minutes never will by itself."""

# What Adobe dropped.

ADOBE_BATCH_PAGES_MAX = 1_000
"""Pages of a list of batches, or of a batch's files: 100,000 of either. A batch a minute for the
thirty days that Adobe keeps them is 43,200."""

ADOBE_FILE_SECONDS_MAX = 900.0
"""For one file of failed records, however long it is."""

ADOBE_REFUSAL_BYTES_MAX = 64 * KIB
"""Of the answer that comes in place of a file."""

ADOBE_RECORD_BYTES_MAX = 4 * MIB
"""Bytes of one failed record: Adobe takes messages of up to 1 MB, and adds what is wrong with
them."""

ADOBE_DOCUMENT_BYTES_MAX = 8 * MIB
"""Bytes of a file that is one JSON document over many lines; it is read as a whole."""

ADOBE_BATCH_ID_CHARACTERS_MAX = 128
"""What is kept of a batch's id; Adobe's have 26 characters."""

ADOBE_CODE_CHARACTERS_MAX = 64
"""What is kept of an error's code; Adobe's are such as ``DCVS-1106-400``."""

HASHED_IDS_MAX = 100_000
"""Ids that are hashed to be found again, since a UUID stands for them in Adobe: all are in memory,
and Customer.io sends no such ids."""
