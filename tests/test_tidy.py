"""The rules of the house that no linter knows, read from the source itself.

Every check takes text or a syntax tree and returns the places that break a rule, so that the
checks are tested here too: a rule that finds nothing in a bad example guards nothing.
"""

from __future__ import annotations

import ast
import io
import re
import statistics
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "streamer").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CODE = [*SOURCES, *TESTS, *sorted((ROOT / "benchmarks").rglob("*.py"))]

FILE_LINES_MAX = 400
"""What can be read in one sitting."""
FUNCTION_LINES_MAX = 60
"""A function on one screen; longer ones do more than their name says."""
FUNCTION_LINES_P90 = 30
FUNCTION_LINES_MEDIAN = 10

IMPURE_MODULES = {
    "aiohttp", "aiosqlite", "anyio", "asyncio", "hypercorn", "io", "logging", "os", "pathlib",
    "pysqlite3", "quart", "random", "secrets", "socket", "sqlite3", "structlog", "subprocess",
    "sys", "tempfile", "threading", "time",
}  # fmt: skip
"""What `core` must not import. The layer contract says so too; this says it with the line."""

SYNONYMS = {
    "consumer": "drain", "consumers": "drain", "relay": "drain",
    "relays": "drain", "worker": "drain", "workers": "drain",
    "watermark": "cursor", "watermarks": "cursor",
    "endpoint": "destination", "endpoints": "destination", "sink": "destination",
    "sinks": "destination",
    "dlq": "dead letter", "deadletter": "dead letter",
    "seq": "position", "seqno": "position",
    "cfg": "configuration", "conf": "configuration", "ctx": "context", "evt": "event",
    "msg": "event, or message in full", "dest": "destination", "param": "parameter in full",
    "tmp": "a name that says what it holds", "util": "a name that says what it holds",
    "utils": "a name that says what it holds", "misc": "a name that says what it holds",
    "helper": "a name that says what it does", "helpers": "a name that says what it does",
}  # fmt: skip
"""Words that have a better one in the glossary, and that one. Only names we make are looked at."""

ALLOWED_NAMES: dict[str, str] = {}
"""Names that keep such a word because a foreign interface calls for them, each with the reason."""

SLEEPERS = {"anyio", "asyncio", "time", "trio"}
"""Modules whose `sleep` really waits; a `Clock` in a test does not."""

FOREIGN = re.compile(
    r"(?<![\w.])/(?:work|root)/"
    r"|(?:pypi|pythonhosted|npmjs)\.(?:org|com)"
    r"|--(?:extra-)?index-url\s*[= ]\s*\S",
    re.IGNORECASE,
)
"""Paths of the machine that somebody worked on, and addresses that only reach from there."""

FUNCTION_NODES = (ast.FunctionDef, ast.AsyncFunctionDef)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, FUNCTION_NODES))


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _fail_if_any(found: list[str], advice: str) -> None:
    if found:
        pytest.fail(advice + "\n  " + "\n  ".join(found), pytrace=False)


def impure_places(tree: ast.Module) -> list[str]:
    """Find what `core` must not do: wait, or import what does."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                found.append(f"{node.lineno}: waits")
            case ast.Import(names=names):
                modules = {alias.name.partition(".")[0] for alias in names}
                found += [f"{node.lineno}: imports {name}" for name in modules & IMPURE_MODULES]
            case ast.ImportFrom(module=str(module), level=0):
                if module.partition(".")[0] in IMPURE_MODULES:
                    found.append(f"{node.lineno}: imports {module}")
    return found


def sleeping_places(tree: ast.Module) -> list[str]:
    """Find calls that really wait for a number of seconds written on the spot."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=function, args=[ast.Constant(value=value), *_]) if value != 0:
                match function:
                    case ast.Attribute(value=ast.Name(id=module), attr="sleep"):
                        real = module in SLEEPERS
                    case ast.Name(id="sleep"):
                        real = True
                    case _:
                        real = False
                if real:
                    found.append(f"{node.lineno}: sleeps for {value!r} s")
    return found


def names_made(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that the module itself chose, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield node.lineno, name
            case ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.alias(asname=str(name)):
                yield node.lineno, name


def words(name: str) -> list[str]:
    """Split snake_case and CamelCase into lower-case words."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return [part.lower() for part in parts]


def synonyms_in(name: str) -> list[str]:
    """Say which words of a name have a better one."""
    if name in ALLOWED_NAMES:
        return []
    return [f"{word} (say: {SYNONYMS[word]})" for word in words(name) if word in SYNONYMS]


NOQA = re.compile(r"#\s*noqa\b", re.IGNORECASE)
NOQA_WELL = re.compile(r"# noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)* - \S")
TYPE_IGNORE = re.compile(r"#\s*type:\s*ignore")
TYPE_IGNORE_WELL = re.compile(r"# type: ignore\[[a-z-]+(?:, ?[a-z-]+)*\]  # \S")


def bare_ignores(text: str) -> list[str]:
    """Find silenced findings that do not say which finding, or not why."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        comment = token.string
        if (NOQA.search(comment) and not NOQA_WELL.search(comment)) or (
            TYPE_IGNORE.search(comment) and not TYPE_IGNORE_WELL.search(comment)
        ):
            found.append(f"{token.start[0]}: {comment}")
    return found


def foreign_places(text: str) -> list[str]:
    """Find paths and addresses that mean nothing on another machine."""
    return [
        f"{number}: {match.group()}"
        for number, line in enumerate(text.splitlines(), start=1)
        for match in FOREIGN.finditer(line)
    ]


def test_files_are_short_enough_to_read() -> None:
    lengths = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in CODE}
    found = [f"{name}: {lines}" for name, lines in lengths.items() if lines > FILE_LINES_MAX]
    _fail_if_any(found, f"Split these files by purpose; {FILE_LINES_MAX} lines are the limit:")


def test_functions_do_one_thing() -> None:
    found = [
        f"{_name(path)}:{function.lineno}: {function.name} has {_length(function)} lines"
        for path in CODE
        for function in _functions(_tree(path))
        if _length(function) > FUNCTION_LINES_MAX
    ]
    _fail_if_any(found, f"Split these functions; {FUNCTION_LINES_MAX} lines are the limit:")


def test_most_functions_are_small() -> None:
    lengths = [_length(function) for path in SOURCES for function in _functions(_tree(path))]
    assert statistics.median(lengths) <= FUNCTION_LINES_MEDIAN
    assert statistics.quantiles(lengths, n=10)[-1] <= FUNCTION_LINES_P90


def test_each_module_opens_with_its_theory() -> None:
    found = [
        _name(path)
        for path in CODE
        if path.read_text(encoding="utf-8").strip() and not ast.get_docstring(_tree(path))
    ]
    _fail_if_any(found, "Say at the top what the module owns and what it must not know:")


def test_core_neither_waits_nor_touches_the_world() -> None:
    core = [path for path in SOURCES if "core" in path.parts]
    assert core
    found = [f"{_name(path)}:{place}" for path in core for place in impure_places(_tree(path))]
    _fail_if_any(found, "The core decides from its arguments alone; move these to a caller:")


def test_no_test_waits_for_time_to_pass() -> None:
    found = [f"{_name(path)}:{place}" for path in TESTS for place in sleeping_places(_tree(path))]
    _fail_if_any(found, "Wait for an event or drive a clock instead of sleeping:")


def test_names_use_the_words_of_the_glossary() -> None:
    found = [
        f"{_name(path)}:{line}: {name}: {'; '.join(better)}"
        for path in SOURCES
        for line, name in [(1, path.stem), *names_made(_tree(path))]
        if (better := synonyms_in(name))
    ]
    _fail_if_any(found, "One meaning, one word; a foreign interface's names go into ALLOWED_NAMES:")


def test_each_silenced_finding_says_which_and_why() -> None:
    found = [
        f"{_name(path)}:{place}"
        for path in CODE
        for place in bare_ignores(path.read_text(encoding="utf-8"))
    ]
    _fail_if_any(found, "Write `# noqa: CODE - reason` or `# type: ignore[code]  # reason`:")


def test_nothing_in_the_tree_points_at_somebodys_machine() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("only a checkout knows which files are part of the project")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    paths = [ROOT / name for name in listed if name and (ROOT / name).is_file()]
    assert ROOT / "pyproject.toml" in paths
    found = [
        f"{_name(path)}:{place}"
        for path in paths
        if path != Path(__file__).resolve()
        for place in foreign_places(path.read_text(encoding="utf-8", errors="replace"))
    ]
    _fail_if_any(found, "Leave out paths and addresses that only one machine knows:")


def test_the_changelog_is_ready_for_the_next_change() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", changelog, flags=re.MULTILINE)
    assert headings[:1] == ["[Unreleased]"], "CHANGELOG.md must begin with ## [Unreleased]"


@pytest.mark.parametrize(
    "source",
    [
        "async def f(): ...",
        "import os.path",
        "from anyio import sleep",
        "def f():\n    import random",
    ],
)
def test_impurity_is_noticed(source: str) -> None:
    assert impure_places(ast.parse(source))


def test_purity_is_left_alone() -> None:
    assert not impure_places(ast.parse("import msgspec\nfrom .time import x\nimport hmac"))


@pytest.mark.parametrize(
    "source", ["time.sleep(0.1)", "await anyio.sleep(1)", "from asyncio import sleep\nsleep(2)"]
)
def test_sleeping_is_noticed(source: str) -> None:
    assert sleeping_places(ast.parse(source))


@pytest.mark.parametrize("source", ["await clock.sleep(5)", "await anyio.sleep(0)", "sleep(wait)"])
def test_what_does_not_sleep_is_left_alone(source: str) -> None:
    assert not sleeping_places(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "class FileSink: ...",
        "def start_worker(): ...",
        "def f(low_watermark): ...",
        "class A:\n    def f(self):\n        self.cfg = 1",
        "import x as utils",
        "for msg in []: ...",
    ],
)
def test_a_synonym_is_noticed_where_a_name_is_made(source: str) -> None:
    assert any(synonyms_in(name) for _, name in names_made(ast.parse(source)))


@pytest.mark.parametrize("source", ["config.workers = 1", "network = sequence = 1"])
def test_foreign_names_and_longer_words_are_left_alone(source: str) -> None:
    assert not any(synonyms_in(name) for _, name in names_made(ast.parse(source)))


@pytest.mark.parametrize(
    ("comment", "well"),
    [
        ("# noqa", False),
        ("# noqa: S311", False),
        ("# noqa: S311 - spreads retries out", True),
        ("# noqa: S311, S101 - two at once", True),
        ("# type: ignore", False),
        ("# type: ignore[arg-type]", False),
        ("# type: ignore[arg-type]  # the stub is wrong", True),
    ],
)
def test_a_silenced_finding_needs_code_and_reason(comment: str, *, well: bool) -> None:
    assert bool(bare_ignores(f"x = 1  {comment}\n")) is not well


def test_a_comment_in_a_string_silences_nothing() -> None:
    assert not bare_ignores('x = "# noqa"\n')


@pytest.mark.parametrize(
    "line",
    [
        "see " + "/".join(["", "root", "x"]),
        "(" + "/".join(["", "work", "shared)"]),
        "pip --" + "-".join(["index", "url=https://x"]),
        ".".join(["files", "pythonhosted", "org"]),
    ],
)
def test_foreign_addresses_are_noticed(line: str) -> None:
    assert foreign_places(line)


@pytest.mark.parametrize("line", ["/webhooks/customerio", "docs/work/x", "src/root/", "/rooted/"])
def test_our_own_paths_are_left_alone(line: str) -> None:
    assert not foreign_places(line)
