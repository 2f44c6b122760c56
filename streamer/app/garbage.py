"""How often Python looks for garbage in a process that answers calls.

Nearly everything that a call makes is gone by reference counting once it is
answered. The collector is for cycles, and begins whenever some hundred more
objects were made than have gone: with a few dozen calls under way at once that
is all the time, for nothing: some per cent of what a call costs, most of it for
going through modules, classes and settings, which stay as long as the process.
"""

from __future__ import annotations

import gc

NEW_OBJECTS = 20_000
"""Objects more than have gone, before the young are looked through: some megabytes of small ones.
A cycle must hold no body, then: each may have megabytes of its own (`Writer` sees to that)."""
YOUNG_ROUNDS = 20
"""Looks at the young before those that have survived one are looked through as well."""
MIDDLE_ROUNDS = 20
"""Looks at those before everything is."""


def spare_what_stays() -> None:
    """Collect once, take what is left out of all further looks, and look less often from now on.

    To be called when the service has been built and before it serves.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, YOUNG_ROUNDS, MIDDLE_ROUNDS)
