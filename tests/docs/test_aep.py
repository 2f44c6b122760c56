"""docs/aep.md knows every code that ``streamer aep doctor`` prints, and says what commands say."""

from __future__ import annotations

import ast
import re

from streamer.cli.aep_session import SECRET_VARIABLE
from streamer.provision.aep_plan import DEFAULT_NAME
from streamer.provision.aep_removal import STAYS
from streamer.provision.aep_step import MARK
from tests.docs import pages
from tests.docs.pages import ROOT
from tests.docs.test_operating import codes_of

PAGE = ROOT / "docs" / "aep.md"
CLI = ROOT / "streamer" / "cli"
SOURCES = "".join(
    path.read_text("utf-8")
    for folder in (CLI, ROOT / "streamer" / "provision")
    for path in folder.glob("aep*.py")
)


def test_every_code_of_a_finding_is_in_the_table_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z.]+)` \|", pages.text(PAGE), re.MULTILINE)
    looks = [CLI / "aep_looks.py", CLI / "aep_doctor.py"]
    codes = {code for file in looks for code in codes_of(ast.parse(file.read_text("utf-8")))}
    assert len(rows) == len(set(rows))
    assert set(rows) == codes
    assert len(codes) == 10


def test_what_errors_are_said_to_say_is_what_the_program_says() -> None:
    table = pages.text(PAGE).partition("## When a command fails")[2]
    quoted = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    ours = [text.removesuffix(" …") for text in quoted if text != "invalid_client"]
    assert len(ours) == 6
    joined = re.sub(r'"\s*f?"', "", SOURCES)
    missing = [text for text in ours if text != "answered 403" and text not in joined]
    assert missing == []
    assert " answered {answer.status} to " in SOURCES


def test_names_and_marks_are_those_of_the_program() -> None:
    text = " ".join(pages.text(PAGE).split())
    for said in (DEFAULT_NAME, MARK.replace("`", "`"), SECRET_VARIABLE, STAYS):
        assert said in text
