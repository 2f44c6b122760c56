"""Help and completion are quick and complete: they load names, not the service.

What is counted is modules, not seconds, so that a busy machine changes nothing;
``benchmarks/startup.py`` measures the time.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import clean_environment, run_command

HEAVY = {"quart", "hypercorn", "aiohttp", "uvloop", "aiosqlite"}
MODULES_RATIO_MAX = 1.5
"""Modules loaded for a command's help, against a program of the same library that does nothing."""

BARE = """
import json, sys
from cyclopts import App
app = App(name="bare", version_flags=["--version"])
@app.command
def status(*, config: str | None = None, json: bool = False):
    "Show something."
try:
    app(["status", "--help"])
except SystemExit:
    pass
sys.stderr.write(json.dumps([{"words": ["status"], "modules": sorted(sys.modules)}]))
"""

HELP = """
import json, sys
from streamer.cli.commands import app

def commands(parent, words):
    for name in parent:
        if not name.startswith("-"):
            yield [*words, name]
            yield from commands(parent[name], [*words, name])

found = []
for words in [json.loads(text) for text in sys.argv[1:]] or [[], *commands(app, [])]:
    try:
        app([*words, "--help"])
    except SystemExit as end:
        assert not end.code, words
    found.append({"words": words, "modules": sorted(sys.modules)})
sys.stderr.write(json.dumps(found))
"""
"""Shows the help of commands one after the other, and tells after each what is loaded by then."""


INTERRUPTED_IN_LOADING = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "cyclopts":
            os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
from streamer.cli import main
main()
"""
"""Presses Ctrl-C at the moment at which the library of commands is about to be loaded."""


def loaded(code: str, *arguments: str) -> list[tuple[list[str], set[str]]]:
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        check=False,
        env=clean_environment(),
        text=True,
        timeout=50,
    )
    assert ended.returncode == 0, ended.stderr
    return [(entry["words"], set(entry["modules"])) for entry in json.loads(ended.stderr)]


def test_no_commands_help_loads_the_service() -> None:
    shown = loaded(HELP)
    assert len(shown) > 20, "every command was found"
    for words, modules in shown:
        assert not HEAVY & modules, f"streamer {' '.join(words)} --help"


@pytest.mark.parametrize(
    "words", [[], ["serve"], ["init"], ["check"], ["doctor"], ["send-sample"], ["status"]]
)
def test_a_commands_help_loads_little_more_than_the_library_of_commands(words: list[str]) -> None:
    [(_, bare)] = loaded(BARE)
    [(_, ours)] = loaded(HELP, json.dumps(words))
    assert len(ours) <= MODULES_RATIO_MAX * len(bare)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_knows_the_commands(home: Path, shell: str) -> None:
    script = completion(home, shell)
    text = script.read_text()
    for word in ("send-sample", "dead-letters", "backup", "bad-signature", "install-completion"):
        assert word in text, word
    if (program := shutil.which(shell)) is not None:
        checked = subprocess.run([program, "-n", str(script)], check=False, capture_output=True)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_whoever_keeps_it_elsewhere(home: Path, shell: str) -> None:
    ended = run_command("--completion", shell)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.strip() == completion(home, shell).read_text().strip()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_installing_completion_leaves_the_shells_own_files_alone(
    tmp_path: Path, shell: str
) -> None:
    kept = [tmp_path / name for name in (".bashrc", ".zshrc", ".profile")]
    for file in kept:
        file.write_text("# mine\n")
    arguments = ("--install-completion", "--shell", shell)
    assert run_command(*arguments, environment={"HOME": str(tmp_path)}).returncode == 0
    assert [file.read_text() for file in kept] == ["# mine\n"] * len(kept)


def test_the_program_loads_next_to_nothing_before_it_can_answer_an_interrupt() -> None:
    code = "import json, sys; before = set(sys.modules); import streamer.cli; " + (
        "own = sorted(set(sys.modules) - before); "
        "sys.stderr.write(json.dumps([{'words': [], 'modules': own}]))"
    )
    [(_, modules)] = loaded(code)
    assert modules == {"streamer", "streamer.cli", "__future__"}


def test_an_interrupt_while_it_loads_ends_it_quietly() -> None:
    """The library of commands takes a quarter of a second, in which people do press Ctrl-C."""
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IN_LOADING],
        capture_output=True,
        check=False,
        env=clean_environment(),
        text=True,
        timeout=20,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_making_completion_loads_no_service(home: Path) -> None:
    code = HELP.replace('[*words, "--help"]', "words")
    arguments = ["--install-completion", "--shell", "fish", "--output", str(home / "other")]
    [(_, modules)] = loaded(code_at_home(code, home), json.dumps(arguments))
    assert (home / "other").exists()
    assert not HEAVY & modules


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("do", "doctor"),
        ("db ba", "backup"),
        ("doctor --u", "--url"),
        ("send-sample --du", "--duplicate"),
    ],
)
def test_bash_completes_what_is_typed(home: Path, typed: str, offered: str) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    words = ["streamer", *typed.split(" ")]
    quoted = " ".join(f"'{word}'" for word in words)
    lines = (
        f"source {completion(home, 'bash')}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        '_streamer; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    ended = subprocess.run([bash, "-c", lines], check=True, capture_output=True, text=True)
    assert ended.stdout.split() == [offered]


def completion(home: Path, shell: str) -> Path:
    """Let the program write its completion for a shell, into a home of its own."""
    path = home / f"completion.{shell}"
    if not path.exists():
        arguments = ("--install-completion", "--shell", shell, "--output", str(path))
        ended = run_command(*arguments, environment={"HOME": str(home)})
        assert ended.returncode == 0, ended.stderr
    return path


def code_at_home(code: str, home: Path) -> str:
    """Put the program's home elsewhere: it adds a line to the shell's start-up file there."""
    return f"import os\nos.environ['HOME'] = {str(home)!r}\n{code}"
