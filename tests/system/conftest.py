"""An installation of the program, and somebody who calls it one event at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import KEY, Installation
from tests.support.serial_sender import SerialSender


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """Give one that delivers to files and has not been started."""
    with Installation(tmp_path) as made:
        made.configure(made.file_destination())
        yield made


@pytest.fixture
def sender(installation: Installation) -> Iterator[SerialSender]:
    """Give a sender that knows the key."""
    made = SerialSender(installation.url, KEY)
    yield made
    made.close()
