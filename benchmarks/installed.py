"""The state that an installer leaves behind, without which a start measures the compiler.

Installing a wheel compiles its modules. A checkout has to do it on its first
start, and where bytecode is not written (``PYTHONDONTWRITEBYTECODE``) on every one.
"""

from __future__ import annotations

import compileall
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def compile_package() -> None:
    """Write the bytecode of the whole package, as its installation would."""
    if not compileall.compile_dir(ROOT / "streamer", quiet=1):
        raise SystemExit("streamer does not compile; what is said above tells where")
