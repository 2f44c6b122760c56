"""Datasets, in Adobe's Catalog."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamer.provision.aep_platform import CATALOG, JSON_PATCH, Call, Platform, path_of
from streamer.provision.aep_step import (
    MARK,
    Change,
    Found,
    Ids,
    not_as_expected,
    unreadable_answer,
)

CONTENT_TYPE = "application/vnd.adobe.xed-full+json;version=1"
"""How a schema's version is named."""

PROFILE_TAGS = ("unifiedProfile", "unifiedIdentity")
_ENABLED = "enabled:true"


class Dataset:
    """Where entities of one schema are kept."""

    what = "dataset"

    def __init__(self, key: str, name: str, *, schema: str, profile: bool) -> None:
        """``schema`` is the key of its schema; ``profile``: the profile reads it."""
        self.key = key
        self.name = name
        self.needs: Sequence[str] = [schema]
        self._profile = profile

    async def find(self, platform: Platform, ids: Ids) -> Found | None:
        """Look it up by its name."""
        async for item in platform.datasets(property=f"name=={self.name}"):
            if item.get("name") == self.name:
                return Found(id=item["id"], document=item)
        return None

    def creation(self, ids: Ids) -> Call:
        """Say the call that makes it."""
        body: dict[str, Any] = {
            "name": self.name,
            "description": MARK,
            "schemaRef": {"id": ids[self.needs[0]], "contentType": CONTENT_TYPE},
        }
        if self._profile:
            body["tags"] = {tag: [_ENABLED] for tag in PROFILE_TAGS}
        return Call(method="POST", path=f"{CATALOG}/dataSets", body=body)

    def created_id(self, answer: Any) -> str:  # noqa: ANN401 - the answer's JSON
        """Read the id out of ``["@/dataSets/ID"]``."""
        front = "@/dataSets/"
        if isinstance(answer, list) and answer and str(answer[0]).startswith(front):
            return str(answer[0]).removeprefix(front)
        raise unreadable_answer(self.what)

    def changes(self, found: Found, ids: Ids) -> Sequence[Change]:
        """Enable it for the profile if that is wanted."""
        schema = (found.document.get("schemaRef") or {}).get("id")
        if schema != ids[self.needs[0]]:
            raise not_as_expected(self.what, self.name, f"has another schema, {schema}")
        tags = found.document.get("tags") or {}
        missing = [tag for tag in PROFILE_TAGS if _ENABLED not in (tags.get(tag) or [])]
        if not self._profile or not missing:
            return []
        if tags:
            operations: list[dict[str, Any]] = [
                {"op": "add", "path": f"/tags/{tag}", "value": [_ENABLED]} for tag in missing
            ]
        else:
            # A patch cannot add to what is not there.
            operations = [
                {"op": "add", "path": "/tags", "value": {tag: [_ENABLED] for tag in missing}}
            ]
        call = Call(
            method="PATCH",
            path=path_of(f"{CATALOG}/dataSets", found.id),
            body=operations,
            headers={"Content-Type": JSON_PATCH},
        )
        return [Change(what="lets the profile and the identity service read it", call=call)]

    def deletion(self, found: Found) -> Call | None:
        """Say the call that deletes it, with all its data."""
        return Call(method="DELETE", path=path_of(f"{CATALOG}/dataSets", found.id))


def is_read_by_profile(dataset: dict[str, Any]) -> bool:
    """Tell whether the profile reads a dataset."""
    return _ENABLED in ((dataset.get("tags") or {}).get(PROFILE_TAGS[0]) or [])
