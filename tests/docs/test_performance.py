"""What the documents say of performance is what the results say that are kept."""

from __future__ import annotations

import pytest

from benchmarks import all as every_benchmark
from benchmarks import pages as performance
from benchmarks import plot
from benchmarks.harness import results
from tests.docs import generate, pages
from tests.docs.pages import ROOT


def test_the_generated_parts_are_current() -> None:
    for page, parts in generate.PAGES.items():
        text = pages.text(page)
        assert generate.render(text, parts) == text, "run `python -m tests.docs.generate`"


def test_the_pictures_are_those_of_the_results() -> None:
    kept = {file.name: pages.text(file) for file in plot.DIRECTORY.glob("*.svg")}
    assert kept == plot.files(results.latest()), "run `python -m benchmarks.plot`"


@pytest.mark.parametrize("name", every_benchmark.SCRIPTS)
def test_every_benchmark_is_there_and_explained(name: str) -> None:
    module = ROOT / "benchmarks" / name
    assert module.with_suffix(".py").exists() or (module / "__main__.py").exists()
    assert f"**`{name}`: " in pages.text(performance.BENCHMARKS)


def test_kept_results_are_whole() -> None:
    for file in results.DIRECTORY.glob("*.json"):
        found = results.read(file)
        assert found
        assert set(found) <= set(every_benchmark.SCRIPTS)
        for one in found.values():
            assert one.failure or one.figures, one.benchmark
            assert not one.commit.endswith("-dirty"), f"{one.benchmark} was measured on no commit"


def test_the_report_is_one_command() -> None:
    assert "make bench-report" in pages.text(performance.BENCHMARKS)
    makefile = pages.text(ROOT / "Makefile")
    _, _, target = makefile.partition("\nbench-report:")
    recipe, _, _ = target.partition("\n\n")
    assert "tests.docs.generate" in recipe
    assert "benchmarks.plot" in recipe
