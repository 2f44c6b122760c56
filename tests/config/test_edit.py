"""Settings written into a file: what was asked for changes, and nothing else does."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.config.edit import set_table
from streamer.config.load import load
from streamer.config.problems import ConfigurationErrors
from streamer.config.template import render
from streamer.core.errors import ConfigurationError, StreamerError

CUSTOMERIO = ("sources", "customerio")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file that is edited."""
    return tmp_path / "streamer.toml"


def edited(
    file: Path, before: str, path: tuple[str, ...], values: dict[str, Any], *remove: str
) -> str:
    """Edit a text; return what became of it."""
    file.write_bytes(before.encode())
    changed = set_table(file, path, values, remove=remove)
    after = file.read_bytes().decode()
    assert changed == (after != before)
    return after


CASES = {
    "a value changes in its place and keeps its comment": (
        '[a]\nx = "old"   # why\ny = 1\n',
        ("a",),
        {"x": "new"},
        '[a]\nx = "new"   # why\ny = 1\n',
    ),
    "a value that is there already stays as it is written": (
        "[a]\nx = 0x10\ny = 'q'\n",
        ("a",),
        {"x": 16, "y": "q"},
        "[a]\nx = 0x10\ny = 'q'\n",
    ),
    "the value beside one that changes stays as it is written too": (
        "[a]\nx = 0x10\ny = 'q'\n",
        ("a",),
        {"x": 16, "y": "r"},
        '[a]\nx = 0x10\ny = "r"\n',
    ),
    "true is not one, and one is not 1.0": (
        "[a]\nx = 1\ny = 1\n",
        ("a",),
        {"x": True, "y": 1.0},
        "[a]\nx = true\ny = 1.0\n",
    ),
    "a new key goes below the last, not to the next table's comment": (
        "[a]\nx = 1\n# of x\n\n# about b\n[b]\ny = 1\n",
        ("a",),
        {"z": 2},
        "[a]\nx = 1\n# of x\nz = 2\n\n# about b\n[b]\ny = 1\n",
    ),
    "a new key goes below the comment that shows it": (
        "[a]\nx = 1\n#z = 9\n#y = 3\n\n[b]\n",
        ("a",),
        {"z": 2},
        "[a]\nx = 1\n#z = 9\nz = 2\n#y = 3\n\n[b]\n",
    ),
    "several new keys keep their order": (
        "[a]\nx = 1\n",
        ("a",),
        {"y": 1, "z": 2},
        "[a]\nx = 1\ny = 1\nz = 2\n",
    ),
    "a new key goes before the tables below its own": (
        "[a]\nx = 1\n\n[a.b]\ny = 1\n",
        ("a",),
        {"z": 2},
        "[a]\nx = 1\nz = 2\n\n[a.b]\ny = 1\n",
    ),
    "the top of the file is a table too": (
        '# first\ndata = "x"\n\n[a]\n',
        (),
        {"z": 2},
        '# first\ndata = "x"\nz = 2\n\n[a]\n',
    ),
    "an empty file": ("", ("a", "b"), {"z": 2}, "\n[a.b]\nz = 2\n"),
    "a missing table goes to the end": (
        "[a.x]\ny = 1\n[log]\n# the end",
        ("a", "b"),
        {"z": 2},
        "[a.x]\ny = 1\n[log]\n# the end\n\n[a.b]\nz = 2\n",
    ),
    "a table of which only those below it are there": (
        "[a.b]\nx = 1\n",
        ("a",),
        {"z": 2},
        "[a.b]\nx = 1\n\n[a]\nz = 2\n",
    ),
    "names are quoted where they must be": (
        "",
        ("a", "b c"),
        {"d.e": 1},
        '\n[a."b c"]\n"d.e" = 1\n',
    ),
    "dictionaries become inline tables": (
        "[a]\n",
        ("a",),
        {"key": {"credential": "x"}, "keys": [{"file": "/y"}, {"env": "Z"}]},
        '[a]\nkey = { credential = "x" }\nkeys = [{ file = "/y" }, { env = "Z" }]\n',
    ),
    "an inline table is edited in itself": (
        "a = { b = { x = 1 } } # why\n",
        ("a", "b"),
        {"x": 2, "y": 3},
        "a = { b = { x = 2,  y = 3} } # why\n",
    ),
    "a table is made inside an inline one": (
        "a = { x = 1 }\n",
        ("a", "b", "c"),
        {"y": 3},
        "a = { x = 1, b = { c = { y = 3 } }}\n",
    ),
    "dotted keys stay dotted": (
        "a.b.x = 1\na.c = 2\n[d]\n",
        ("a", "b"),
        {"x": 2, "y": 3},
        "a.b.x = 2\na.b.y = 3\na.c = 2\n[d]\n",
    ),
    "of a table in two parts, the one that has the key": (
        "[a.b]\nx = 1\n[log]\n[a.c]\ny = 1\n",
        ("a", "c"),
        {"y": 2},
        "[a.b]\nx = 1\n[log]\n[a.c]\ny = 2\n",
    ),
    "windows line ends stay": (
        "[a]\r\nx = 1\r\n\r\n[b]\r\n",
        ("a",),
        {"x": 2, "y": 3},
        "[a]\r\nx = 2\r\ny = 3\r\n\r\n[b]\r\n",
    ),
    "a list over several lines goes as a whole": (
        "[a]\nx = [\n  1, # one\n  2,\n]\ny = 1\n",
        ("a",),
        {"x": [3]},
        "[a]\nx = [3]\ny = 1\n",
    ),
    "what looks like a table inside a text is none": (
        's = """\n[a]\nx = 1\n"""\n[a]\nx = 1\n',
        ("a",),
        {"x": 2},
        's = """\n[a]\nx = 1\n"""\n[a]\nx = 2\n',
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_text_after_an_edit(
    file: Path, case: tuple[str, tuple[str, ...], dict[str, Any], str]
) -> None:
    before, path, values, after = case
    assert edited(file, before, path, values) == after


def test_keys_are_taken_out_with_their_comments(file: Path) -> None:
    assert edited(file, "[a]\nx = 1 # of x\ny = 2\n", ("a",), {}, "x", "gone") == "[a]\ny = 2\n"


def test_nothing_is_taken_out_of_a_table_that_is_not_there(file: Path) -> None:
    assert edited(file, "[a]\n", ("b", "c"), {}, "x") == "[a]\n"


def test_one_key_takes_another_s_place(file: Path) -> None:
    before = '[a]\nid = 1\nold = "x"\n'
    assert edited(file, before, ("a",), {"new": 2}, "old") == "[a]\nid = 1\nnew = 2\n"


def test_the_file_of_init_takes_a_webhooks_key_where_it_shows_it(
    file: Path, tmp_path: Path
) -> None:
    text = render(tmp_path / "data")
    key = {"file": str(tmp_path / "app-api-key")}
    after = edited(file, text, CUSTOMERIO, {"app_api_key": key})
    added = [line for line in after.splitlines() if line not in text.splitlines()]
    assert added == [f'app_api_key = {{ file = "{tmp_path}/app-api-key" }}']
    lines = after.splitlines()
    assert lines[lines.index(added[0]) - 1].startswith("#app_api_key =")
    config = load(file, environ={}, working_directory=tmp_path).config
    assert config.sources["customerio"].app_api_key is not None


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("[a]\nx = = 2\n", ":2:", "not valid TOML"),
        ("a = 1\n", ":1", "is not a table"),
        ("[[a]]\nx = 1\n", ":1", "is not a table"),
        ("x = 1\nx = 2\n", "", "not valid TOML"),
    ],
)
def test_a_file_that_is_wrong_stays_as_it_is(
    file: Path, text: str, where: str, message: str
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationErrors) as caught:
        set_table(file, ("a",), {"y": 1})
    [problem] = caught.value.problems
    assert problem.message.startswith(message)
    assert where in problem.where
    assert file.read_text() == text


def test_a_file_that_is_missing_is_not_made(file: Path) -> None:
    with pytest.raises(ConfigurationErrors, match="does not exist"):
        set_table(file, ("a",), {"y": 1})
    assert not file.exists()


def test_what_cannot_be_edited_safely_is_left_to_a_person(file: Path) -> None:
    """The editing library gives up on nesting that the reading one still takes."""
    before = f"deep = {'[' * 200}{']' * 200}\n[a.b]\nx = 1\n"
    file.write_text(before)
    with pytest.raises(ConfigurationError, match="cannot be changed without risk") as caught:
        set_table(file, ("a", "b"), {"z": 1, "y": 1}, remove=["x"])
    assert caught.value.hint == "Change it by hand, in [a.b]: x, y, z."
    assert file.read_text() == before


def test_mode_and_link_stay(tmp_path: Path, file: Path) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "file.toml"
    real.write_text("[a]\n")
    real.chmod(0o640)
    file.symlink_to(real)
    assert set_table(file, ("a",), {"y": 1})
    assert file.is_symlink()
    assert real.read_text() == "[a]\ny = 1\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert [one.name for one in real.parent.iterdir()] == ["file.toml"]


def test_whoever_reads_the_file_meanwhile_reads_all_of_the_old(file: Path) -> None:
    file.write_text("[a]\n# a comment\n")
    with file.open() as reader:
        set_table(file, ("a",), {"y": 1})
        assert reader.read() == "[a]\n# a comment\n"


def test_the_owner_stays_or_nothing_happens(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever edits a file of somebody else must not take it from them."""
    file.write_text("[a]\n")
    asked = []

    def refuse(descriptor: int, user: int, group: int) -> None:
        asked.append((user, group))
        raise PermissionError(1, "Operation not permitted")

    real = os.fstat

    def of_another(descriptor: int) -> os.stat_result:
        fields = list(real(descriptor))
        fields[4] += 1
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fchown", refuse)
    monkeypatch.setattr(os, "fstat", of_another)
    with pytest.raises(StreamerError, match="cannot be written: Operation not permitted"):
        set_table(file, ("a",), {"y": 1})
    assert asked == [(os.getuid(), os.getgid())]
    assert file.read_text() == "[a]\n"
    assert [one.name for one in file.parent.iterdir()] == [file.name]


names = st.sampled_from(["a", "b", "c", "long-name", "with space", "ü"])
scalars = (
    st.text(max_size=8)
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=True)
)
leaves = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)
)
comments = st.sampled_from(["", "# a comment", "#a = 1", "\n", "#[b]"])


notations = st.sampled_from(["1", "0x1F", "'q'", "[ 1,2 ]", "{ p = 1 }", "1.0"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Texts with tables, comments between them, and values in several notations."""
    lines: list[str] = []
    used: set[tuple[str, ...]] = set()
    for number in range(draw(st.integers(0, 4))):
        path = tuple(draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3)))
        if number and path not in used:
            lines.append(f"[{'.'.join(path)}] {draw(comments).strip()}".rstrip())
        elif number:
            continue
        used.add(path if number else ())
        for key in draw(st.lists(st.sampled_from("xyz"), unique=True)):
            lines.append(draw(comments))
            lines.append(f"{key} = {draw(notations)}")
        lines.append(draw(comments))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


@given(
    text=documents(),
    path=st.lists(st.sampled_from("abc"), max_size=3).map(tuple),
    values=st.dictionaries(st.sampled_from("xyzuvw"), leaves, max_size=3),
    remove=st.sets(st.sampled_from("xyz"), max_size=1),
)
def test_any_edit_does_what_was_asked_for_and_no_more(
    tmp_path_factory: pytest.TempPathFactory,
    text: str,
    path: tuple[str, ...],
    values: dict[str, Any],
    remove: set[str],
) -> None:
    remove -= values.keys()
    file = tmp_path_factory.mktemp("edit") / "file.toml"
    after = edited(file, text, path, values, *remove)
    expected = tomllib.loads(text)
    table = expected
    if values:
        for name in path:
            table = table.setdefault(name, {})
        table.update(values)
    else:
        for name in path:
            table = table.get(name, {})
    for key in remove:
        table.pop(key, None)
    assert repr(sorted_deeply(tomllib.loads(after))) == repr(sorted_deeply(expected))
    kept = [line for line in after.splitlines() if line.lstrip().startswith("#")]
    assert kept == [line for line in text.splitlines() if line.lstrip().startswith("#")]
    untouched = [line for line in text.splitlines() if line.startswith("[")]
    assert [line for line in after.splitlines() if line in untouched] == untouched
    assert edited(file, after, path, values, *remove) == after, "the second time changes nothing"


def sorted_deeply(value: Any) -> Any:  # noqa: ANN401 - any TOML value
    """Order keys, so that two equal documents have one text."""
    if isinstance(value, dict):
        return {key: sorted_deeply(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [sorted_deeply(one) for one in value]
    return value
