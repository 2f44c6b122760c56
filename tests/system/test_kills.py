"""Nothing acknowledged is lost, doubled or disordered by kills and stops at random moments.

``STREAMER_FULL=1`` sends the full ten thousand calls, ``STREAMER_SEED`` chooses other moments; the
same run by hand is ``python -m tests.system.kills``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.system import kills

SEED = int(os.environ.get("STREAMER_SEED", "20261123"))
CALLS = 10_000 if os.environ.get("STREAMER_FULL") == "1" else 2_000


@pytest.mark.timeout(300)
def test_every_acknowledged_event_survives_25_kills_and_10_stops(tmp_path: Path) -> None:
    result = kills.run(tmp_path, events=CALLS, kills=25, terms=10, seed=SEED)
    assert not result.problems, f"seed {SEED}: {result.problems} {result.figures}"
    assert result.figures["strikes"] == {"SIGKILL": 25, "SIGTERM": 10}


@pytest.mark.timeout(300)
def test_two_processes_lose_nothing_either(tmp_path: Path) -> None:
    result = kills.run(tmp_path, events=CALLS // 5, kills=5, terms=2, seed=SEED, processes=2)
    assert not result.problems, f"seed {SEED}: {result.problems} {result.figures}"
    assert result.figures["strikes"] == {"SIGKILL": 5, "SIGTERM": 2}


@pytest.mark.timeout(300)
def test_the_same_holds_behind_the_other_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMER_SERVER__ENGINE", "uvicorn")
    result = kills.run(tmp_path, events=CALLS // 8, kills=3, terms=3, seed=SEED)
    assert not result.problems, f"seed {SEED}: {result.problems} {result.figures}"
    assert result.figures["strikes"] == {"SIGKILL": 3, "SIGTERM": 3}
