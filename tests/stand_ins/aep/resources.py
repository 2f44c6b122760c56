"""Resources of one kind, as JSON documents by id, each with an etag that changes with it.

Knows nothing of what a resource means; the services and the ingestion read the documents.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from typing import Any

from tests.stand_ins.aep.rules import Clock

Document = dict[str, Any]


class Names:
    """Identifiers in Adobe's forms, the same ones in each run."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - made up and repeatable, nothing secret

    def uuid(self) -> str:
        """Return an id of the Flow Service."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def digits(self, count: int) -> str:
        """Return hexadecimal digits: 24 name a dataset, 64 an inlet."""
        return f"{self._random.getrandbits(4 * count):0{count}x}"

    def batch(self) -> str:
        """Return the id of a batch, in the form of a ULID."""
        alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
        return "01" + "".join(self._random.choices(alphabet, k=24))


class Documents:
    """Resources by id, in the order in which they were made."""

    def __init__(self, clock: Clock, names: Names) -> None:
        self._clock = clock
        self._names = names
        self._documents: dict[str, Document] = {}

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._documents

    def __iter__(self) -> Iterator[Document]:
        return iter(list(self._documents.values()))

    def __len__(self) -> int:
        return len(self._documents)

    def add(self, identifier: str, document: Document, *, age_seconds: float = 0) -> Document:
        """Keep a document; its times say that it was made ``age_seconds`` ago."""
        made_ms = self._clock.now() - round(age_seconds * 1000)
        etag = self._etag()
        times = {"createdAt": made_ms, "updatedAt": made_ms}
        self._documents[identifier] = {**document, **times, "version": etag, "etag": etag}
        return self._documents[identifier]

    def get(self, identifier: str) -> Document | None:
        """Return a document, or None."""
        return self._documents.get(identifier)

    def touch(self, identifier: str) -> str:
        """Give a document that was changed its new etag."""
        etag = self._etag()
        self._documents[identifier].update(
            {"updatedAt": self._clock.now(), "version": etag, "etag": etag}
        )
        return etag

    def remove(self, identifier: str) -> bool:
        """Forget a document; tell whether it was there."""
        return self._documents.pop(identifier, None) is not None

    def _etag(self) -> str:
        return f'"{self._names.digits(8)}-0000-0200-0000-{self._names.digits(12)}"'
