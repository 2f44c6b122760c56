"""Adobe's books of failed batches, as a server in a thread: catalog, export, and tokens.

A test puts batches and files in as it likes, odd ones too, and says what goes wrong. It runs
beside commands that have an event loop of their own, and beside real processes.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

FAILED_FILE = "part-00000-c000.json"
DATASET = "64f5c1ce8a5c5f28d3434c44"
PAGE_MAX = 100


@dataclass
class FailedBatches:
    """What the books say, and what has been asked of them."""

    url: str = ""
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[tuple[str, str], list[tuple[str, bytes]]] = field(default_factory=dict)
    """Names and contents by batch and place: ``failed``, or ``row_errors``."""
    requests: list[str] = field(default_factory=list)
    """Paths with their queries, without those for tokens."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Statuses for targets, paths with their queries, that contain a text."""
    cut: dict[str, int] = field(default_factory=dict)
    """After how many bytes a file breaks off, by its batch; then the connection ends."""
    stall: dict[str, int] = field(default_factory=dict)
    """The same, but nothing more comes until `go_on` is set."""
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    expires_before: str = ""
    """No token given out so far is good once a target contains this; then it is forgotten."""
    tokens: int = 0
    """How many were given out; only the last one is good."""

    def add(
        self,
        batch_id: str,
        *records: object,
        created: int,
        place: str = "failed",
        dataset: str = DATASET,
        **changed: object,
    ) -> None:
        """Put a batch into the books with failed records, bytes as they are, others as JSON."""
        lines = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in records]
        self.batches[batch_id] = {
            "status": "failed",
            "created": created,
            "completed": created + 1000,
            "relatedObjects": [{"type": "dataSet", "id": dataset}],
            "metrics": {"failedRecordCount": len(lines)},
            **changed,
        }
        listed = self.files.setdefault((batch_id, place), [("_SUCCESS", b"")])
        listed.append((FAILED_FILE, b"".join(line + b"\n" for line in lines)))

    def read_of(self, batch_id: str) -> int:
        """Count how often a file of a batch was asked for."""
        return sum(f"/{batch_id}/" in one and FAILED_FILE in one for one in self.requests)

    def answer(self, target: str) -> tuple[int, Any]:
        """Answer a call of the platform with a document, or with the bytes of a file."""
        for text, status in self.refusals.items():
            if text in target:
                return status, {"title": "scripted"}
        split = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        parts = split.path.removeprefix("/data/foundation/").split("/")
        if parts == ["catalog", "batches"]:
            return self._list(query)
        if parts[:2] == ["export", "batches"]:
            return self._export(parts[2], parts[3], query)
        return 404, {"title": "no such service"}

    def _list(self, query: dict[str, str]) -> tuple[int, Any]:
        limit, start = int(query.get("limit", "20")), int(query.get("start", "0"))
        if not 1 <= limit <= PAGE_MAX or query.get("orderBy") != "asc:created":
            return 400, {"title": "limit is 1 to 100, and the order by created"}
        after = int(query["createdAfter"])
        found = [
            (batch_id, batch)
            for batch_id, batch in sorted(self.batches.items(), key=lambda one: one[1]["created"])
            if batch["created"] > after and _dataset_of(batch) == query["dataSet"]
        ]
        wanted = query["properties"].split(",")
        return 200, {
            batch_id: {key: batch[key] for key in wanted if key in batch}
            for batch_id, batch in found[start : start + limit]
        }

    def _export(self, batch_id: str, place: str, query: dict[str, str]) -> tuple[int, Any]:
        path = query.get("path", "")
        folder, _, name = path.rpartition("/") if place == "meta" else ("failed", "", path)
        if place == "meta" and not folder:
            folder, name = path, ""
        listed = self.files.get((batch_id, folder))
        if listed is None:
            return 404, {"title": "there is nothing"}
        if name:
            return next(((200, content) for each, content in listed if each == name), (404, {}))
        start = int(query.get("start", "0"))
        page = listed[start : start + int(query["limit"])]
        data = [{"name": each, "length": str(len(content))} for each, content in page]
        return 200, {"data": data, "_page": {"count": len(data), "limit": PAGE_MAX}}


def _dataset_of(batch: dict[str, Any]) -> str:
    return str(batch["relatedObjects"][0]["id"])


class _Handler(BaseHTTPRequestHandler):
    """Serves one connection; `protocol_version` keeps it open between requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    books: FailedBatches

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.books.tokens += 1
        self._send(200, {"access_token": f"token-{self.books.tokens}", "expires_in": 86_399})

    def do_GET(self) -> None:
        self.books.requests.append(self.path)
        if self.books.expires_before and self.books.expires_before in self.path:
            self.books.expires_before = ""
            self.books.tokens += 1
        if self.headers["Authorization"] != f"Bearer token-{self.books.tokens}":
            self._send(401, {"title": "Oauth token is not valid"})
            return
        for name in ("x-api-key", "x-gw-ims-org-id", "x-sandbox-name"):
            if name not in self.headers:
                self._send(403, {"title": f"{name} is required"})
                return
        self._send(*self.books.answer(self.path))

    def _send(self, status: int, content: object) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        batch_id = self.path.partition("/batches/")[2].partition("/")[0]
        if isinstance(content, bytes) and batch_id in self.books.cut:
            self.wfile.write(body[: self.books.cut[batch_id]])
            self.close_connection = True
            return
        if isinstance(content, bytes) and batch_id in self.books.stall:
            length = self.books.stall[batch_id]
            self.wfile.write(body[:length])
            self.books.stalled.set()
            self.books.go_on.wait()
            body = body[length:]
        with contextlib.suppress(OSError):  # whoever asked may have been killed meanwhile
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the library
        """Say nothing."""


@contextlib.contextmanager
def failed_batches() -> Iterator[FailedBatches]:
    """Serve books for the length of the block."""
    books = FailedBatches()
    handler = type("Handler", (_Handler,), {"books": books})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    books.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield books
    finally:
        books.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
