"""The collector is told once, for the whole process: so each of these looks at one of its own."""

from __future__ import annotations

import subprocess
import sys

from streamer.app import garbage


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_what_is_there_at_the_start_is_not_looked_through_again() -> None:
    code = "import gc; from streamer.app import garbage as g; g.spare_what_stays(); "
    young = (
        "print(len(gc.get_objects()) < 100, gc.get_freeze_count() > 1_000, gc.get_threshold()[0])"
    )
    assert run(code + young) == f"True True {garbage.NEW_OBJECTS}"


def test_cycles_that_were_there_at_the_start_are_not_kept_for_good() -> None:
    code = (
        "import gc, weakref; from streamer.app.garbage import spare_what_stays\n"
        "class Cycle: pass\n"
        "one = Cycle(); one.me = one; seen = weakref.ref(one); del one\n"
        "gc.disable(); spare_what_stays(); print(seen())"
    )
    assert run(code) == "None"
