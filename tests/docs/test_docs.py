"""What the documentation says is true: its links, commands, settings, alarms, queries and words."""

from __future__ import annotations

import contextlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import msgspec
import pytest
from cyclopts import App, CycloptsError

from streamer.cli.commands import app
from streamer.config.model import Config
from streamer.config.reference import render as render_settings
from streamer.core.alarms import ALARMS, Alarm
from streamer.ingest import answers
from streamer.ingest.answers import Answer
from streamer.store import migrate, sqlite
from streamer.store.status import OutboxStatus, Status
from streamer.web.metrics import ProcessFigures, render
from tests.docs import pages
from tests.docs.pages import PAGES, ROOT
from tests.test_tidy import SYNONYMS

DOCS = ROOT / "docs"
OPERATING = DOCS / "operating.md"
GLOSSARY = DOCS / "glossary.md"
MAPPING = DOCS / "mapping.md"
CUSTOMERIO = DOCS / "customerio.md"
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
COMING = frozenset({"customerio"})
"""Commands that settings are there for already, and that a later version brings."""
COMMANDS = sorted({(pages.name(page), call) for page in PAGES for call in pages.commands(page)})


def leaves(group: App, path: tuple[str, ...] = ()) -> Iterator[str]:
    """List every command in full."""
    for word in group:
        if word.startswith("-"):
            continue
        inner = list(leaves(group[word], (*path, word)))
        yield from inner or [" ".join((*path, word))]


def table_rows(text: str) -> list[list[str]]:
    """Read the cells of every table row that is no heading."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if not set(row[0]) <= set(" -:")]


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in pages.links(page):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in pages.anchors(target)):
            lost.append(link)
    assert not lost


@pytest.mark.parametrize(("page", "call"), COMMANDS)
def test_every_command_in_the_docs_is_understood(page: str, call: str) -> None:
    arguments = shlex.split(call)
    _, _, beyond_its_name = app.parse_commands(arguments)
    if beyond_its_name and call not in COMING:
        app.parse_args(arguments, exit_on_error=False, print_error=False)


@pytest.mark.parametrize(
    "call", ["status --jsno", "stauts", "dead-letters retry --yse 1", "serve x"]
)
def test_a_wrong_command_would_be_noticed(call: str) -> None:
    with pytest.raises(CycloptsError):
        app.parse_args(shlex.split(call), exit_on_error=False, print_error=False)


def test_every_command_is_in_the_docs() -> None:
    said = [call for _, call in COMMANDS]
    missing = [
        leaf
        for leaf in leaves(app)
        if not any(call == leaf or call.startswith(f"{leaf} ") for call in said)
    ]
    assert not missing


def test_settings_that_the_docs_name_exist() -> None:
    known = set(re.findall(r"^\| `(\w+)`", render_settings(), flags=re.MULTILINE))
    named = {
        (pages.name(page), quoted)
        for page in PAGES
        for quoted in pages.code(page)
        if re.fullmatch(r"(?:server|admin|outbox|log)\.\w+", quoted)
    }
    assert len(named) > 5
    assert not [(page, at) for page, at in named if at.partition(".")[2] not in known]


@pytest.mark.parametrize(
    ("page", "example"),
    [
        (pages.name(page), block)
        for page in PAGES
        for block in pages.blocks(page, "toml")
        if page != MAPPING  # its examples are mapping files, and tests/docs/test_mapping.py's
    ],
)
def test_every_example_of_a_configuration_is_one(page: str, example: str) -> None:
    jsonschema.validate(tomllib.loads(example), msgspec.json.schema(Config))


def section(code: str) -> tuple[str, str]:
    """Return an alarm's heading and text, of which there must be one."""
    [(title, body)] = re.findall(
        rf'<a id="{code.lower()}"></a>\n\n### {code}: ([^\n]+)\n\n(.*?)(?=\n<a id=|\n## )',
        pages.text(OPERATING),
        flags=re.DOTALL,
    )
    return title, body


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=lambda alarm: alarm.code)
def test_every_alarm_has_a_section_that_agrees_with_the_code(alarm: Alarm) -> None:
    title, body = section(alarm.code)
    assert title == alarm.title
    lasts = "condition" if alarm.lasting else "incident"
    assert body.startswith(f"*{alarm.severity.value.capitalize()} {lasts}.*")
    _, fault, do = re.split(r"\n- \*\*(?:Fault|Do):\*\* ", body)
    assert fault.strip()
    assert do.strip()


def test_no_alarm_is_described_that_cannot_be_raised() -> None:
    assert set(re.findall(r"STR-\d+", "".join(map(pages.text, PAGES)))) == set(ALARMS)


def test_the_table_of_answers_is_the_one_that_senders_get() -> None:
    ours = {
        (str(answer.status), answer.reason)
        for answer in vars(answers).values()
        if isinstance(answer, Answer)
    }
    written = {
        (row[0], row[1].strip("`"))
        for row in table_rows(pages.text(CUSTOMERIO))
        if row[0].isdigit()
    }
    assert written == ours


def test_an_answer_costs_an_hour_exactly_if_it_is_on_the_list() -> None:
    [listed] = re.findall(r"^- the answers ([\d, and]+);$", pages.text(CUSTOMERIO), re.MULTILINE)
    hours = set(re.findall(r"\d+", listed))
    assert len(hours) == 11
    for status, _, _, cost in (r for r in table_rows(pages.text(CUSTOMERIO)) if r[0].isdigit()):
        expected = "an hour" if status in hours else "nothing" if status == "200" else "a retry"
        assert cost == expected, status


def test_metrics_that_the_docs_name_exist() -> None:
    status = Status(OutboxStatus(None, 0, 0, 0), {}, {}, 0, [])
    page = render(status, ProcessFigures({}, 0, 0, 0, 0, 0)).decode()
    known = set(re.findall(r"^# TYPE (\w+)", page, flags=re.MULTILINE))
    named = {
        match
        for page in PAGES
        for quoted in pages.code(page)
        for match in re.findall(r"^(streamer_(?!FILENAME)[a-z_]+)(?:\{.*\})?$", quoted)
    }
    assert len(named) >= 7
    assert named <= known


@pytest.mark.parametrize("query", pages.blocks(OPERATING, "sql"))
def test_every_query_runs(query: str) -> None:
    with contextlib.closing(sqlite.open_in_memory()) as db:
        for migration in migrate.load_migrations():
            migrate.apply(db, migration)
        db.execute(query).fetchall()


def test_the_gap_queries_find_a_gap() -> None:
    queries = [query for query in pages.blocks(OPERATING, "sql") if "lag(" in query]
    hour = 3_600
    with contextlib.closing(sqlite.open_in_memory()) as db:
        for migration in migrate.load_migrations():
            migrate.apply(db, migration)
        for number, at in enumerate((1_000, 1_100, 1_100 + 5 * hour), start=1):
            db.execute(
                "INSERT INTO outbox (lane_key, received_at, occurred_at, source, event_id, body)"
                " VALUES (0, ?, ?, 'customerio', ?, '{}')",
                (at * 1000, at, f"{number:026}"),
            )
        by_receipt, by_id = (db.execute(query).fetchall() for query in queries)
    assert by_receipt == [("1970-01-01T00:18:20Z", "1970-01-01T05:18:20Z", 5)]
    assert by_id == [(f"{2:026}", f"{3:026}")]


def glossary() -> list[tuple[str, list[str]]]:
    """Return each word and what it is not to be called."""
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| .+? \|(.*)\|$", pages.text(GLOSSARY), re.MULTILINE)
    return [
        (word, [one.strip() for one in synonyms.split(",") if one.strip()])
        for word, synonyms in rows
    ]


def test_the_glossary_is_in_order_and_whole() -> None:
    words = [word for word, _ in glossary()]
    assert words == sorted(words)
    assert len(words) == len(table_rows(pages.text(GLOSSARY))) - 1


def test_every_word_of_the_glossary_is_used_by_the_code() -> None:
    sources = [*(ROOT / "streamer").rglob("*.py"), *(ROOT / "migrations").glob("*.sql")]
    said = "".join(path.read_text(encoding="utf-8") for path in sources).lower()
    for word, _ in glossary():
        assert re.search(rf"\b{word.replace(' ', '[ _]')}", said), word


def test_what_the_glossary_bans_is_banned() -> None:
    """In names by tests/test_tidy.py; a word that names may have, in the prose of the docs."""
    banned = {synonym.lower() for _, synonyms in glossary() for synonym in synonyms}
    assert banned & set(SYNONYMS)
    banned -= set(SYNONYMS)
    for page in PAGES:
        if page == GLOSSARY:
            continue
        said = re.sub(r"`[^`]*`", "", pages.prose(page)).lower()
        found = [word for word in banned if re.search(rf"\b{re.escape(word)}s?\b", said)]
        assert not found, pages.name(page)


def test_what_is_banned_in_names_for_a_word_of_ours_is_in_the_glossary() -> None:
    words = dict(glossary())
    for synonym, better in SYNONYMS.items():
        if better in words and synonym.removesuffix("s") not in SYNONYMS:
            assert synonym in words[better], synonym


def test_decisions_are_numbered_and_have_one_shape() -> None:
    for number, page in enumerate(DECISIONS, start=1):
        assert page.name.startswith(f"{number:04}-")
        assert pages.text(page).startswith(f"# {number:04}: ")
        assert "\nStatus: " in pages.text(page)
        headings = re.findall(r"^## (.+)$", pages.text(page), flags=re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequence"], page.name


def test_pages_that_the_code_points_to_exist() -> None:
    for source in (ROOT / "streamer").rglob("*.py"):
        for named in re.findall(r"docs/[\w/-]+\.md", source.read_text(encoding="utf-8")):
            assert (ROOT / named).is_file(), f"{source.name}: {named}"
