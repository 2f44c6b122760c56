"""FastAPI on uvicorn, and aiosqlite with one commit for each request.

What most people would write first. Run:
``python -m benchmarks.rivals.fastapi_sqlite --port 8001 --database events.db``
"""

from __future__ import annotations

from benchmarks.rivals import fastapi_receiver, sqlite_store
from benchmarks.rivals.receiver import arguments


def main() -> None:
    """Serve until SIGTERM."""
    parser = arguments("FastAPI on uvicorn, one SQLite commit for each request")
    parser.add_argument("--synchronous", choices=["FULL", "NORMAL"], default="FULL")
    parser.add_argument(
        "--shared", action="store_true", help="INSERT, then commit whatever is inserted by then"
    )
    chosen = parser.parse_args()
    store = sqlite_store.opened(
        chosen.database, synchronous=chosen.synchronous, shared=chosen.shared
    )
    fastapi_receiver.serve(store, chosen.port)


if __name__ == "__main__":
    main()
