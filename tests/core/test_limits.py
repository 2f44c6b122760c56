"""The limits fit each other."""

from __future__ import annotations

import ast
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from streamer.core import intervals, limits, mapping_limits, provision_limits

ROOT = Path(__file__).resolve().parents[2]
MODULES = (limits, mapping_limits, provision_limits, intervals)
SENDER_RETRY_DAYS = 7


def test_we_answer_before_the_sender_hangs_up() -> None:
    assert limits.ANSWER_DEADLINE_SECONDS < limits.ANSWER_DEADLINE_SECONDS_MAX
    assert limits.ANSWER_DEADLINE_SECONDS_MAX < limits.SENDER_TIMEOUT_SECONDS
    assert limits.BUSY_TIMEOUT_MILLISECONDS * 4 < limits.ANSWER_DEADLINE_SECONDS * 1000


def test_a_retry_meets_the_event_that_it_repeats() -> None:
    assert limits.RETENTION_DAYS >= limits.RETENTION_DAYS_MIN > SENDER_RETRY_DAYS


def test_the_largest_body_fits_everywhere_that_it_must_pass() -> None:
    assert limits.BODY_BYTES_MAX <= limits.BODY_BYTES_HARD_MAX
    assert limits.BODY_BYTES_HARD_MAX <= limits.COMMIT_BYTES_MAX <= limits.INGEST_QUEUE_BYTES_MAX
    assert limits.BODY_BYTES_HARD_MAX <= limits.WINDOW_BYTES_MAX


def test_ingest_stops_before_draining_does() -> None:
    assert limits.DRAIN_FLOOR_BYTES < limits.INGEST_FLOOR_BYTES


def test_what_the_reasons_say_of_the_unit_is_what_it_sets() -> None:
    said = re.findall(r"``(\w+)=(\w+)``", "".join(map(inspect.getsource, MODULES)))
    assert {name for name, _ in said} == {"MemoryHigh", "TimeoutStopSec", "WatchdogSec"}
    assert [(name, value) for name, value in said if unit()[name] != value] == []


def test_what_waits_in_memory_stays_far_below_the_units_limit() -> None:
    high = unit()["MemoryHigh"]
    assert high.endswith("M")
    assert int(high[:-1]) * limits.MIB >= limits.INGEST_QUEUE_BYTES_MAX * 4
    assert f"`MemoryHigh=` ({high[:-1]} MiB)" in page("install.md")


def test_the_socket_unit_queues_as_many_connections_as_we_do() -> None:
    assert unit("streamer.socket")["Backlog"] == str(limits.LISTEN_BACKLOG)


def test_the_page_on_destinations_says_how_much_of_an_answer_is_read() -> None:
    base, each = limits.ANSWER_BYTES_MAX // limits.KIB, limits.ANSWER_BYTES_PER_EVENT
    assert f"answer {base} KiB and {each} bytes per event are read" in page("destinations.md")


def unit(name: str = "streamer.service") -> dict[str, str]:
    """Read what a unit sets; of what stands twice, the last."""
    lines = (ROOT / "systemd" / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))


def page(name: str) -> str:
    """Read a page of the documentation, with each run of blanks as one."""
    return " ".join((ROOT / "docs" / name).read_text().split())


@pytest.mark.parametrize("module", MODULES)
def test_every_limit_says_why(module: ModuleType) -> None:
    body = ast.parse(inspect.getsource(module)).body
    units = {"KIB", "MIB", "GIB", "DAY_SECONDS"}
    for statement, reason in zip(body, [*body[1:], None], strict=True):
        if not isinstance(statement, ast.Assign):
            continue
        [name] = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        is_text = isinstance(reason, ast.Expr) and isinstance(reason.value, ast.Constant)
        assert is_text or name in units, name


FIXED_BY_OTHERS = {
    "streamer/config/address.py": {"UNIX_PATH_BYTES_MAX"},
    "streamer/core/customerio.py": {"SECONDS_MAX"},
    "streamer/core/retry_after.py": {"SECONDS_MAX"},
    "streamer/core/xdm/language/values.py": {"LONG_MAX"},
    "streamer/core/xdm/identities.py": {"IDENTITY_CHARACTERS_MAX"},
    "streamer/core/xdm/kinds.py": {"EXACT_INTEGER_MAX"},
    "streamer/core/xdm/mapper.py": {"INTEGER_DIGITS_MAX"},
    "streamer/core/xdm/settings.py": {"ENTITY_BYTES_MAX"},
    "streamer/destinations/aep_options.py": {"REQUEST_BYTES_MAX"},
}
"""Numbers that a format or an interface fixes, by file."""


HOMES = {f"{module.__name__.replace('.', '/')}.py" for module in MODULES}


def sources(*, beside_commands: bool = False) -> Iterator[tuple[str, ast.Module]]:
    """Read the program, without the limits themselves and perhaps without the commands."""
    for path in sorted((ROOT / "streamer").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name in HOMES or (beside_commands and "/cli/" in name):
            continue
        yield name, ast.parse(path.read_text())


def test_each_limit_has_a_user() -> None:
    used = {
        found.id if isinstance(found, ast.Name) else found.attr
        for _, tree in sources()
        for found in ast.walk(tree)
        if isinstance(found, ast.Name | ast.Attribute)
    }
    inside = Counter(
        found.id
        for module in MODULES
        for found in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(found, ast.Name)
    )
    names = {name for module in MODULES for name in vars(module) if name.isupper()}
    assert sorted(name for name in names - used if inside[name] == 1) == []


def test_each_limit_has_one_definition() -> None:
    """A second one would be changed alone; what a command shows at most stands beside it."""
    here = {name for module in MODULES for name in vars(module) if name.isupper()}
    elsewhere = [
        f"{file}: {name}"
        for file, tree in sources(beside_commands=True)
        for name in assigned(tree)
        if re.fullmatch(r"[A-Z][A-Z_]*_(MAX|MIN|LOW)", name)
        and name not in FIXED_BY_OTHERS.get(file, set())
    ]
    assert elsewhere == []
    assert [
        f"{file}: {name}" for file, tree in sources() for name in assigned(tree) if name in here
    ] == []


def assigned(tree: ast.Module) -> list[str]:
    """Name what a module assigns at its top."""
    targets = [
        target
        for statement in tree.body
        for target in (
            statement.targets
            if isinstance(statement, ast.Assign)
            else [statement.target]
            if isinstance(statement, ast.AnnAssign)
            else []
        )
    ]
    return [target.id for target in targets if isinstance(target, ast.Name)]
