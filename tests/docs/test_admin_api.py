"""The admin API answers as its page says, to the very command that stands there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.docs import pages
from tests.docs.pages import ROOT
from tests.support.service import CONFIG, Service, running_service

PAGE = ROOT / "docs" / "operating.md"
[CURL] = [line for block in pages.blocks(PAGE, "sh") for line in block.splitlines()
          if "/api/status" in line]  # fmt: skip
BIND, DATA = "http://127.0.0.1:8081", "/var/lib/streamer"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service"), CONFIG) as running:
        yield running


def ask(service: Service, call: str) -> str:
    """Run a call of the page against this service."""
    assert BIND in call
    here = call.replace(BIND, service.admin_url).replace(DATA, str(service.data_dir))
    return subprocess.run(
        ["sh", "-c", here], check=True, capture_output=True, text=True, timeout=20
    ).stdout


pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")


def test_the_call_on_the_page_answers_what_status_prints(service: Service) -> None:
    told = json.loads(ask(service, CURL))
    printed = json.loads(service.run("status", "--json").stdout)
    assert printed.pop("service_running") is True
    assert set(told) == set(printed)
    assert set(told["destinations"]) == {"archive"}


def code_of(service: Service, call: str) -> str:
    return ask(service, call.replace("curl -s", "curl -s -o /dev/null -w '%{http_code}'"))


def test_without_the_token_or_by_another_name_it_answers_as_the_page_says(service: Service) -> None:
    bare = re.sub(r'-H "[^"]*" ', "", CURL)
    assert code_of(service, bare) == "401"
    assert code_of(service, CURL.replace("-H", "-H 'Host: example.com' -H", 1)) == "421"
    assert code_of(service, bare.replace("/api/status", "/livez")) == "200"


def test_the_table_has_every_path(service: Service) -> None:
    paths = re.findall(r"`(/[a-z/]+)`", pages.text(PAGE).partition("### Ask the admin API")[2])
    for path in paths[:4]:
        assert code_of(service, CURL.replace("/api/status", path)) == "200", path
    assert paths[:4] == ["/api/status", "/metrics", "/livez", "/readyz"]
