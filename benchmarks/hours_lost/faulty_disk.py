"""A disk that can be made slow or full for one process, without being root.

`faulty_disk.c` is built with the machine's C compiler and preloaded into the process; orders and
counters are a small file that both map. Whether a fault was really felt is read from the counters,
because a fault that injects nothing would make every server look good.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple, Self

SOURCE = Path(__file__).with_suffix(".c")

_NUMBER = struct.Struct("=q")
_NUMBERS = 8
"""As many as ``struct orders`` has, in its order."""
_DELAY_US, _IS_FULL, _DELAYED, _UNDER_WAY, _REFUSED, _TOLD = range(6)


class Felt(NamedTuple):
    """How often a process has met the faults so far."""

    syncs_delayed: int
    writes_refused: int
    told_full: int


class FaultyDisk:
    """The orders to one preloaded process."""

    def __init__(self, library: Path, orders: Path) -> None:
        """Write new orders, with no fault in them, into a file."""
        orders.write_bytes(bytes(_NUMBERS * _NUMBER.size))
        self._library = library
        self._orders = orders
        with orders.open("r+b") as file:
            self._numbers = mmap.mmap(file.fileno(), 0)

    @classmethod
    def build(cls, directory: Path) -> Self | None:
        """Compile the library into a directory; None where there is no C compiler."""
        compiler = _compiler()
        if compiler is None:
            return None
        library = directory / "faulty_disk.so"
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own source
        return cls(library, directory / "faulty_disk.orders")

    @staticmethod
    def is_possible() -> bool:
        """Say whether there is a C compiler."""
        return _compiler() is not None

    def environment(self, under: Path) -> dict[str, str]:
        """Return what a process needs whose files below a directory are to be concerned."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAULTY_DISK_ORDERS": str(self._orders),
            "FAULTY_DISK_UNDER": str(under.resolve()),
        }

    def slow_down(self, sync_seconds: float) -> None:
        """Make each sync take so much longer; 0: as long as it does."""
        self._write(_DELAY_US, round(sync_seconds * 1_000_000))

    def fill(self, *, full: bool) -> None:
        """Take away all room, or give it back."""
        self._write(_IS_FULL, int(full))

    @property
    def felt(self) -> Felt:
        """Say how often the process has met a fault."""
        return Felt(self._read(_DELAYED), self._read(_REFUSED), self._read(_TOLD))

    @property
    def syncs_under_way(self) -> int:
        """Say how many syncs are being delayed at the moment."""
        return self._read(_UNDER_WAY)

    def forget_under_way(self) -> None:
        """Forget what a process that is no more was in the middle of."""
        self._write(_UNDER_WAY, 0)

    def close(self) -> None:
        """Let go of the orders."""
        self._numbers.close()

    def _read(self, number: int) -> int:
        return int(_NUMBER.unpack_from(self._numbers, number * _NUMBER.size)[0])

    def _write(self, number: int, value: int) -> None:
        _NUMBER.pack_into(self._numbers, number * _NUMBER.size, value)


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")
