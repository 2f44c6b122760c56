"""install.sh, run for real into a tree of its own, with a program that takes no network.

What only a booted systemd can show (restart, rollback) is not here.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

SHIPPED = Path(__file__).parents[2] / "systemd"
PYTHON = Path("/usr/bin/python3")

# A build backend of the standard library alone: a wheel with one module and one command.
BACKEND = """
import zipfile
def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "streamer-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        wheel.write("program.py")
        wheel.writestr("streamer-1.dist-info/METADATA",
            "Metadata-Version: 2.1\\nName: streamer\\nVersion: 1\\n")
        wheel.writestr("streamer-1.dist-info/WHEEL",
            "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("streamer-1.dist-info/entry_points.txt",
            "[console_scripts]\\nstreamer = program:main\\n")
        wheel.writestr("streamer-1.dist-info/RECORD", "")
    return name
"""

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "streamer"
version = "1"
"""


def _can_make_environments() -> bool:
    check = "import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))"
    return (
        PYTHON.exists()
        and subprocess.run([PYTHON, "-c", check], capture_output=True, check=False).returncode == 0
    )


needs_python = pytest.mark.skipif(
    not _can_make_environments(),
    reason="/usr/bin/python3 is not Python 3.11 to 3.13 with venv (apt-get install python3-venv)",
)


class Release:
    """An unpacked release of a program that prints one word, with one locked dependency."""

    def __init__(self, directory: Path) -> None:
        self.source = directory / "source"
        self.root = directory / "root"
        self.wheels = directory / "wheels"
        for path in (self.source / "requirements", self.wheels):
            path.mkdir(parents=True)
        for name in ("systemd", "docs"):
            shutil.copytree(SHIPPED.parent / name, self.source / name)
        (self.source / "pyproject.toml").write_text(PYPROJECT)
        (self.source / "backend.py").write_text(BACKEND)
        self.says("one")

        wheel = self.wheels / "locked-1-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("locked.py", "")
            archive.writestr(
                "locked-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: locked\nVersion: 1\n"
            )
            archive.writestr(
                "locked-1.dist-info/WHEEL",
                "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
            archive.writestr("locked-1.dist-info/RECORD", "")
        self.lock(hashlib.sha256(wheel.read_bytes()).hexdigest())

    def lock(self, digest: str) -> None:
        (self.source / "requirements" / "run.lock").write_text(
            f"locked==1 --hash=sha256:{digest}\n"
        )

    def says(self, word: str) -> None:
        """Make it a release whose program prints the word."""
        (self.source / "program.py").write_text(
            f"import locked\ndef main():\n    print({word!r})\n"
        )

    def install(self, *options: str, root: bool = True) -> subprocess.CompletedProcess[str]:
        where = ["--root", str(self.root)] if root else []
        return subprocess.run(
            ["sh", self.source / "systemd" / "install.sh", *where, *options],
            env={
                "PATH": os.environ["PATH"],
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.wheels),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def program(self) -> Path:
        return self.root / "opt" / "streamer"

    def run(self) -> str:
        """Run the installed program with the environment's Python, as its first line would."""
        script = self.program / "bin" / "streamer"
        return subprocess.run(
            [self.program / "bin" / "python", script], capture_output=True, text=True, check=True
        ).stdout.strip()

    def files(self) -> set[str]:
        return {
            str(path.relative_to(self.root))
            for path in self.root.rglob("*")
            if (path.is_symlink() or not path.is_dir()) and "streamer-releases" not in path.parts
        }

    def releases(self) -> list[Path]:
        return sorted((self.root / "opt" / "streamer-releases").iterdir())


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)


@pytest.fixture(scope="module")
def first_install(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with the release installed by somebody with a strict habit; not to be changed."""
    release = Release(tmp_path_factory.mktemp("first"))
    # With accounts, as a real tree has.
    (release.root / "etc").mkdir(parents=True)
    for name in ("passwd", "group"):
        (release.root / "etc" / name).touch()
    before = os.umask(0o077)
    try:
        done = release.install()
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    return release.root


@pytest.fixture
def installed(first_install: Path, tmp_path: Path) -> Release:
    release = Release(tmp_path)
    shutil.copytree(first_install, release.root, symlinks=True)
    return release


OWN_FILES = {
    "etc/streamer/streamer.toml",
    "opt/streamer",
    "usr/local/bin/streamer",
    "usr/local/lib/systemd/system/streamer.service",
    "usr/local/lib/systemd/system/streamer.socket",
    "usr/local/lib/sysusers.d/streamer.conf",
}
KEPT_FILES = {"etc/streamer/streamer.toml", "etc/streamer/credentials/key"}


@needs_python
class TestInstall:
    def test_everything_is_in_its_place(self, installed: Release) -> None:
        assert installed.files() >= OWN_FILES
        assert installed.run() == "one"
        # The path at which it will run is not the one at which it was built.
        first_line = (installed.program / "bin" / "streamer").read_text().splitlines()[0]
        assert first_line.startswith("#!/opt/streamer-releases/")
        units = installed.root / "usr/local/lib/systemd/system"
        for name in ("streamer.service", "streamer.socket"):
            assert (units / name).read_text() == (SHIPPED / name).read_text()

    def test_the_command_is_on_the_path_of_everyone(self, installed: Release) -> None:
        link = installed.root / "usr/local/bin/streamer"
        assert link.readlink() == Path("/opt/streamer/bin/streamer")
        assert os.access(installed.root / link.readlink().relative_to("/"), os.X_OK)

    def test_the_pages_can_be_read_on_the_machine_by_everyone(self, installed: Release) -> None:
        pages = installed.program / "share" / "doc" / "streamer"
        shipped = SHIPPED.parent / "docs"
        wanted = {path.relative_to(shipped) for path in shipped.rglob("*.md")}
        found = {path.relative_to(pages) for path in pages.rglob("*.md")}
        assert found == wanted >= {Path("operating.md"), Path("inspecting.md")}
        for path in (pages, *pages.rglob("*")):
            assert path.stat().st_mode & 0o004, path
            assert path.is_file() or path.stat().st_mode & 0o001, path

    def test_no_page_leads_to_one_that_is_not_on_the_machine(self, installed: Release) -> None:
        pages = installed.program / "share" / "doc" / "streamer"
        for page in pages.rglob("*.md"):
            for link in re.findall(r"\]\(([^)#:]+\.md)[^)]*\)", page.read_text()):
                target = (page.parent / link).resolve()
                assert target.is_relative_to(pages.resolve()), link
                assert target.is_file(), link

    def test_what_the_pages_and_units_name_on_the_machine_is_there(
        self, installed: Release
    ) -> None:
        texts = [*(SHIPPED.parent / "docs").glob("*.md"), *SHIPPED.glob("streamer.*")]
        named = re.findall(r"/opt/streamer/share/[\w/.-]+", "".join(t.read_text() for t in texts))
        assert len(set(named)) >= 3
        for path in named:
            assert (installed.root / path.lstrip("/").rstrip(".")).exists(), path

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to a group")
    def test_secrets_are_for_root_and_settings_for_the_service(self, first_install: Path) -> None:
        etc = first_install / "etc" / "streamer"
        assert (etc / "credentials").stat().st_mode & 0o777 == 0o700
        assert (etc / "streamer.toml").stat().st_mode & 0o777 == 0o640
        group = (first_install / "etc" / "group").read_text()
        number = dict(line.split(":")[0:3:2] for line in group.splitlines())["streamer"]
        assert (etc / "streamer.toml").stat().st_gid == int(number)

    def test_everyone_may_run_the_program_whatever_the_umask(self, installed: Release) -> None:
        for path in (installed.program, installed.program / "bin" / "streamer"):
            assert path.stat().st_mode & 0o005 == 0o005

    def test_an_upgrade_keeps_settings_and_one_way_back(self, installed: Release) -> None:
        settings = installed.root / "etc/streamer/streamer.toml"
        settings.write_text("# mine\n")
        for word in ("two", "three"):
            installed.says(word)
            done = installed.install()
            assert done.returncode == 0, done.stderr
            assert installed.run() == word
        assert settings.read_text() == "# mine\n"
        assert len(installed.releases()) == 2
        assert installed.program.resolve() in installed.releases()

    def test_a_package_with_another_hash_stops_it_and_changes_nothing(
        self, installed: Release
    ) -> None:
        before = installed.releases()
        installed.says("two")
        installed.lock("0" * 64)
        done = installed.install()
        assert done.returncode != 0
        assert "HASH" in done.stderr.upper()
        assert installed.run() == "one"
        assert installed.releases() == before

    def test_uninstalling_keeps_settings_and_secrets(self, installed: Release) -> None:
        (installed.root / "etc/streamer/credentials/key").write_text("secret")
        done = installed.install("--uninstall")
        assert done.returncode == 0, done.stderr
        assert {name for name in installed.files() if "streamer" in name} == KEPT_FILES
        assert list((installed.root / "opt").iterdir()) == []
        for kept in ("/var/lib/streamer", "/etc/streamer", "drop-ins", "the user streamer"):
            assert kept in done.stdout

    def test_it_can_be_removed_without_the_release_it_came_from(self, installed: Release) -> None:
        script = installed.program / "share" / "systemd" / "install.sh"
        done = subprocess.run(
            ["sh", script, "--root", installed.root, "--uninstall"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert "Removed." in done.stdout
        assert list((installed.root / "opt").iterdir()) == []

    def test_running_it_again_changes_nothing_but_the_release(self, installed: Release) -> None:
        def contents() -> dict[str, str]:
            return {
                name: str(path.readlink()) if path.is_symlink() else path.read_text()
                for name in installed.files() - {"opt/streamer"}
                for path in [installed.root / name]
            }

        before = contents()
        done = installed.install()
        assert done.returncode == 0, done.stderr
        assert contents() == before
        assert installed.run() == "one"

    def test_a_directory_that_somebody_else_made_is_left_alone(self, release: Release) -> None:
        release.program.mkdir(parents=True)
        done = release.install()
        assert done.returncode == 1
        assert "is not a link" in done.stderr
        assert list(release.program.iterdir()) == []

    def test_a_rehearsal_changes_nothing(self, release: Release) -> None:
        done = release.install("--dry-run")
        assert done.returncode == 0, done.stderr
        assert "--require-hashes" in done.stdout
        assert not release.root.exists()

    def test_extras_are_installed_when_they_are_asked_for(self, release: Release) -> None:
        lock = release.source / "requirements" / "run.lock"
        lock.rename(lock.with_name("extras.lock"))
        assert release.install().returncode == 1, "not asked for"
        done = release.install("--extras")
        assert done.returncode == 0, done.stderr
        assert release.run() == "one"


class TestRefusals:
    def test_a_tree_without_a_lock_is_not_a_release(self, release: Release) -> None:
        (release.source / "requirements" / "run.lock").unlink()
        done = release.install()
        assert done.returncode == 1
        assert "run.lock" in done.stderr

    @pytest.mark.parametrize(
        "options", [["--nonsense"], ["--root"], ["--python"]], ids=lambda options: options[0]
    )
    def test_a_wrong_option_is_answered_with_the_right_ones(
        self, release: Release, options: list[str]
    ) -> None:
        done = release.install(*options, root=False)
        assert done.returncode == 2
        assert "usage: install.sh" in done.stderr

    @pytest.mark.parametrize("root", ["relative", "/with blank", "/with|bar"])
    def test_a_tree_that_cannot_be_used_is_named(self, release: Release, root: str) -> None:
        done = release.install("--root", root, root=False)
        assert done.returncode == 1
        assert root in done.stderr

    def test_a_python_that_is_none_is_refused(self, release: Release) -> None:
        done = release.install("--python", "/bin/false")
        assert done.returncode == 1
        assert "is not Python 3.11, 3.12 or 3.13" in done.stderr

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
    def test_without_root_it_says_what_is_missing(self, release: Release) -> None:
        # The directory is readable by its owner alone, so the script comes on standard input.
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "sh"],
            input=(SHIPPED / "install.sh").read_text(),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "sudo" in done.stderr
        assert "--dry-run" in done.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say() -> None:
    done = subprocess.run(
        ["shellcheck", SHIPPED / "install.sh"], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
