"""Results are kept line by line, and what the documents say follows from them alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from benchmarks import all as every_benchmark
from benchmarks import pages, plot
from benchmarks.harness import results
from benchmarks.harness.report import Figure
from benchmarks.harness.results import Result, Results
from benchmarks.harness.svg import Bar, Chart, Group, draw

SVG = "{http://www.w3.org/2000/svg}"


def result(name: str, *figures: Figure, **more: object) -> Result:
    """Make the result of a benchmark."""
    about = {
        "benchmark": name,
        "question": f"What does {name} ask?",
        "full": True,
        "date": "2026-11-24T03:00:00+00:00",
        "commit": "0123456789",
        "machine": {"processor": "Any", "cores": 2, "memory_gib": 4.0, "system": "Linux 6"},
        "versions": {"python": "3.11.7"},
        "figures": figures,
        "details": {},
    }
    return msgspec.convert({**about, **more}, Result)


def cpu(ratio: float = 1.5) -> Result:
    """Make a result of the first benchmark."""
    return result(
        "ingest_cpu",
        Figure(name="CPU per event, against the empty app", value=ratio, unit="x", at_most=1.3),
        Figure(name="CPU per event, streamer", value=200 * ratio, unit="µs", note="a | b"),
        Figure(name="CPU per event, empty app", value=200, unit="µs"),
    )


def keyed(*found: Result) -> Results:
    """Key results as a file has them."""
    return {one.benchmark: one for one in found}


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = keyed(cpu(), result("disk", failure="no disk"))
    results.write(tmp_path / "sub" / "2026-11-24.json", found)
    assert results.read(tmp_path / "sub" / "2026-11-24.json") == found
    assert len((tmp_path / "sub" / "2026-11-24.json").read_text().splitlines()) == 4
    assert results.read(tmp_path / "none.json") == {}


def test_the_latest_file_is_that_of_the_last_date(tmp_path: Path) -> None:
    assert results.latest(tmp_path) == {}
    for name, ratio in (("2026-11-24", 1.1), ("2026-12-01", 1.2), ("2025-12-31", 1.3)):
        results.write(tmp_path / f"{name}.json", keyed(cpu(ratio)))
    assert results.latest(tmp_path) == keyed(cpu(1.2))


def test_a_repeated_benchmark_takes_the_place_of_its_old_result() -> None:
    old = keyed(result("startup"), cpu(1.5))
    merged = every_benchmark.merge(old, [result("serial"), cpu(1.2)])
    assert list(merged) == ["ingest_cpu", "serial", "startup"]
    assert merged["ingest_cpu"] == cpu(1.2)


def test_a_benchmark_that_fails_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = argparse.Namespace(directory=tmp_path, full=False)
    found = every_benchmark.measure("no_such_benchmark", options)
    assert "No module named benchmarks.no_such_benchmark" in found.failure
    assert (found.benchmark, found.figures) == ("no_such_benchmark", [])
    assert every_benchmark.summary([found, cpu()]) == (
        "0 met, 1 MISSED, 0 not measured; failed: no_such_benchmark"
    )


def test_the_readme_tells_the_answer_of_each_benchmark() -> None:
    text = pages.summary(keyed(cpu(), result("disk", failure="no disk")))
    assert (
        "| What does ingest_cpu ask? | CPU per event, against the empty app | 1.50 x | ≤ 1.3 "
        "| **missed** |\n" in text
    )
    assert "streamer |" not in text
    assert "disk" not in text
    assert "![CPU of the server per acknowledged event](docs/performance/cpu.svg)" in text
    assert "Measured 2026-11-24 on Any, 2 cores, 4.0 GiB, Linux 6; python 3.11.7" in text
    assert "small" not in text


def test_small_runs_are_said_to_be_small() -> None:
    text = pages.summary(keyed(result("disk", Figure(name="n", value=1, unit="x"), full=False)))
    assert "small runs" in text


def test_a_question_is_asked_once() -> None:
    figures = [
        Figure(name=f"{name}, {side}", value=1, unit="ms", at_most=2)
        for name in ("median", "p99")
        for side in ("streamer", "empty app", "one-row commit")
    ]
    lines = pages.summary(keyed(result("serial", *figures), cpu(1.2)))
    assert lines.count("What does serial ask?") == 1
    assert "|  | p99, streamer | 1.00 ms | ≤ 2 | met |" in lines


def test_a_figure_that_is_gone_is_noticed() -> None:
    gone = result("serial", Figure(name="median", value=1, unit="ms"))
    with pytest.raises(LookupError, match="serial has no figure 'median, streamer'"):
        pages.summary(keyed(gone))


def test_the_benchmarks_page_tells_everything() -> None:
    text = pages.everything(keyed(cpu(), result("disk", failure="no disk", full=False)))
    assert "### ingest_cpu\n\nWhat does ingest_cpu ask? Measured on 2026-11-24 at " in text
    assert "| CPU per event, streamer | 300 µs |  |  | a / b |" in text
    assert "### disk" in text
    assert "It failed." in text


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert pages.summary({}) == pages.everything({}) == pages.NOTHING
    assert plot.files({}) == {}
    assert plot.files(keyed(result("ingest_cpu", failure="no server"))) == {}


def test_pictures_come_and_go_with_results(tmp_path: Path) -> None:
    (tmp_path / "old.svg").touch()
    plot.save(tmp_path, keyed(cpu()))
    assert [file.name for file in tmp_path.iterdir()] == ["cpu.svg"]
    assert (tmp_path / "cpu.svg").read_text() == plot.files(keyed(cpu()))["cpu.svg"]


def test_bars_are_as_long_as_their_values() -> None:
    bars = [Bar("a < b", 50, "50 ms"), Bar("ours", 200, "200 ms", ours=True)]
    root = ElementTree.fromstring(draw(Chart("Title", "About", [Group("One", bars, bound=100)])))  # noqa: S314 - ours
    short, long = [rect for rect in root.iter(f"{SVG}rect") if rect.get("class") != "paper"]
    assert float(long.get("width", "")) == pytest.approx(4 * float(short.get("width", "")), abs=0.2)
    assert (short.get("class"), long.get("class")) == ("bar", "bar ours")
    [line] = root.iter(f"{SVG}line")
    middle = float(long.get("x", "")) + float(long.get("width", "")) / 2
    assert float(line.get("x1", "")) == pytest.approx(middle, abs=0.1)
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts == ["Title", "About", "One", "a < b", "50 ms", "ours", "200 ms"]
    height = float(root.get("height", ""))
    assert all(float(text.get("y", "")) < height for text in root.iter(f"{SVG}text"))
