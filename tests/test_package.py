"""What is installed elsewhere is what is here: the wheel's contents and the locks."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ["run.lock", "extras.lock", "dev.lock", "bench.lock"]


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _required(requirements: list[str]) -> set[str]:
    found = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {_normalized(match.group()) for match in found if match}


def _locked(lock: str) -> set[str]:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    return {_normalized(name) for name in re.findall(r"^([\w.-]+)==", text, flags=re.MULTILINE)}


def _metadata(wheel: zipfile.Path) -> zipfile.Path:
    (metadata,) = (path for path in wheel.iterdir() if path.name.endswith(".dist-info"))
    return metadata


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """The declarations of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """The wheel of a copy of the tree that holds one migration and one unit more."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ["pyproject.toml", "LICENSE", "README.md"]:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tree)
    for name in ["streamer", "migrations", "systemd"]:
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ["migrations/9999_probe.sql", "systemd/probe.service", "tests/probe.py"]:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("", encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tree / "built")],
        cwd=tree,
        check=True,
    )
    (built,) = (tree / "built").glob("*.whl")
    return zipfile.Path(built)


def test_the_migrations_are_inside_the_installed_package(wheel: zipfile.Path) -> None:
    inside = (wheel / "streamer" / "migrations").iterdir()
    packed = {path.name for path in inside if path.suffix == ".sql"}
    here = {path.name for path in (ROOT / "migrations").glob("*.sql")}
    assert packed == here | {"9999_probe.sql"}


def test_the_service_units_are_inside_the_installed_package(wheel: zipfile.Path) -> None:
    assert (wheel / "streamer" / "systemd_files" / "probe.service").is_file()


def test_the_wheel_holds_the_package_and_nothing_beside_it(wheel: zipfile.Path) -> None:
    metadata = _metadata(wheel).name
    moved = ("streamer/migrations/", "streamer/systemd_files/")
    packed = {
        name
        for name in wheel.root.namelist()
        if not name.startswith((metadata, *moved)) and not name.endswith("/")
    }
    assert packed == {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "streamer").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_brings_the_command_and_the_licence(wheel: zipfile.Path) -> None:
    metadata = _metadata(wheel)
    assert "streamer = streamer.cli:main" in (metadata / "entry_points.txt").read_text()
    assert "The streamer authors" in (metadata / "licenses" / "LICENSE").read_text()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert "index-url" not in text
    assert "find-links" not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_everything_in_a_lock_has_a_hash(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_run_lock_has_all_that_the_program_needs(
    project: dict[str, Any],
) -> None:
    needed = _required(project["project"]["dependencies"])
    assert needed - _locked("run.lock") == set()


def test_the_lock_with_extras_has_all_that_a_setting_may_need(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"].values()
    needed = _required([one for extra in extras for one in extra])
    assert needed
    assert _locked("extras.lock") == _locked("run.lock") | needed


@pytest.mark.parametrize(
    ("lock", "groups"),
    [("dev.lock", ["build", "dev"]), ("bench.lock", ["build", "dev", "bench"])],
)
def test_a_lock_has_all_that_is_declared_for_it(
    project: dict[str, Any], lock: str, groups: list[str]
) -> None:
    declared = [entry for name in groups for entry in project["dependency-groups"][name]]
    listed = [entry for entry in declared if isinstance(entry, str)]
    needed = _required([*project["project"]["dependencies"], *listed])
    assert needed - _locked(lock) == set()


def test_every_group_is_locked_somewhere(project: dict[str, Any]) -> None:
    assert set(project["dependency-groups"]) == {"build", "dev", "bench"}


@pytest.mark.parametrize(
    ("lock", "within"),
    [("run.lock", "dev.lock"), ("extras.lock", "dev.lock"), ("dev.lock", "bench.lock")],
)
def test_what_runs_is_what_was_tested_and_what_is_measured(lock: str, within: str) -> None:
    """Each version in a lock is in the larger one as well."""
    versions = {
        name: set(re.findall(r"^[\w.-]+==[\w.]+", (ROOT / "requirements" / name).read_text(), re.M))
        for name in (lock, within)
    }
    assert versions[lock] - versions[within] == set()


def test_the_known_holes_stay_closed() -> None:
    """Each floor in constraints.txt holds in the run lock."""
    text = (ROOT / "requirements" / "constraints.txt").read_text(encoding="utf-8")
    floors = re.findall(r"^([\w.-]+)>=([\d.]+)$", text, flags=re.MULTILINE)
    assert floors
    lock = (ROOT / "requirements" / "run.lock").read_text(encoding="utf-8")
    for name, floor in floors:
        found = re.search(rf"^{name}==([\d.]+)", lock, flags=re.MULTILINE)
        assert found, f"{name} is not locked"
        assert _numbers(found.group(1)) >= _numbers(floor), f"{name} is below {floor}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
