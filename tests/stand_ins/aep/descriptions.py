"""Adobe's published descriptions of its services, where a directory holds them.

They say which fields a body must have. A server without the directory checks what the services
themselves check, and no more.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.stand_ins.aep.problems import service_problem

FLOW_SERVICE = "flow-service"
DATA_PREP = "data-prep"


class Descriptions:
    """The OpenAPI documents under ``openapi/``; checks nothing without a directory."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def check(self, service: str, name: str, body: dict[str, Any]) -> None:
        """Judge a body by the named schema of a description.

        Raises:
            Refusal: 400, with the first thing wrong.
        """
        components = self._components.get(service)
        if components is None:
            return
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        for error in Draft202012Validator(schema).iter_errors(body):
            where = "/".join(str(key) for key in error.absolute_path) or "the body"
            detail = f"{where}: {error.message} ({name} in Adobe's description)"
            raise service_problem(400, service, "Bad request", detail)

    @cached_property
    def _components(self) -> dict[str, Any]:
        if self._directory is None:
            return {}
        files = (self._directory / "openapi").glob("*.openapi.json")
        return {
            path.name.removesuffix(".openapi.json"): json.loads(path.read_bytes())["components"]
            for path in files
        }
