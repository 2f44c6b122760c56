"""The configuration needs neither server nor client, so ``streamer check`` stays light."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "aiohttp", "aiosqlite", "anyio", "asyncio", "cyclopts", "hypercorn", "prometheus_client",
    "pysqlite3", "quart", "rich", "sqlite3", "structlog", "uvloop",
}  # fmt: skip


def test_loading_a_configuration_imports_no_server_client_or_database() -> None:
    script = (
        "import sys, streamer.config.load, streamer.config.secrets, streamer.config.changes,"
        "streamer.config.generated, streamer.config.template, streamer.config.reference;"
        "print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = set(run.stdout.split())
    assert "streamer.config.walk" in modules
    assert modules.isdisjoint(HEAVY)
