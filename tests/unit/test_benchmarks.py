"""`make bench` runs what there is, tells a missed target, and the page shows what was measured and nothing else."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks import page, plots, record
from benchmarks.record import Record
from benchmarks.result import Curve, Plot, Result, Table, Target

ROOT = Path(__file__).parents[2]
BARS = Plot("speed", "How fast", "", "ms", [Curve("a", [0.0], [1.5]), Curve("b", [0.0], [3.0])], kind="bars")
CURVES = Plot("frontier", "Lag and calls", "calls", "lag, s", [Curve("a", [1.0, 9.0], [9.0, 1.0])], log_x=True)
RESULT = Result(
    "poll",
    "One poll",
    tables=[Table("Cost", ["Side", "CPU ms"], [["ours | all", 1.5], ["theirs", "30"]])],
    targets=[Target("CPU: at most 2 ms", "1.50 ms", met=True)],
    plots=[BARS, CURVES],
    notes=["Read it so."],
)
RECORD = Record(RESULT, "2026-11-24", 12, {"Python": "3.12.1", "Airflow": "3.3.0"}, {"processors": "2 x Slow"})
MODULE = '''"""A benchmark that measures nothing."""
from benchmarks.result import Result, Table, Target, run_alone


def measure():
    """Measure."""
    {body}
    return Result("{name}", "About {name}", [Table("T", ["a"], [[1]])], [Target("at most 1", "{measured}", {met})])


if __name__ == "__main__":
    run_alone(measure)
'''


def test_result_is_the_same_after_a_way_through_json() -> None:
    assert Result.from_json(json.loads(json.dumps(RESULT.to_json()))) == RESULT
    assert Record.from_json(json.loads(json.dumps(asdict(RECORD)))) == RECORD


@pytest.mark.parametrize("name", record.names())
def test_benchmark_says_what_it_measures_and_runs_alone(name: str) -> None:
    text = (ROOT / "benchmarks" / f"{name}.py").read_text()
    tree = ast.parse(text)
    assert len((ast.get_docstring(tree) or "").split()) > 20
    [measure] = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "measure"]
    assert not measure.args.args
    assert text.endswith('\n\nif __name__ == "__main__":\n    run_alone(measure)\n')


def test_machine_is_described_and_not_named() -> None:
    shape = record.machine()
    assert re.fullmatch(r"\d+ x .+", shape["processors"])
    assert set(shape) <= {"processors", "memory", "kernel"}
    assert set(record.versions()) == {"Python", "Airflow", "SDK", "this package"}


# --- the runner -------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose benchmarks are made up."""
    (tmp_path / "benchmarks").mkdir()
    for name in ("__init__", "__main__", "page", "plots", "record", "result"):
        shutil.copy(ROOT / "benchmarks" / f"{name}.py", tmp_path / "benchmarks")
    (tmp_path / "dev").symlink_to(ROOT / "dev")
    add(tmp_path, "good")
    return tmp_path


def add(project: Path, name: str, measured: str = "1", body: str = "pass", *, met: bool = True) -> None:
    text = MODULE.format(name=name, measured=measured, met=met, body=body)
    (project / "benchmarks" / f"{name}.py").write_text(text)


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_runner_runs_all_and_keeps_what_each_measured(project: Path) -> None:
    add(project, "other")
    done = run(project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "## About good" in done.stdout
    assert done.stdout.index("met     good: at most 1: 1") < done.stdout.index("met     other: at most 1: 1")
    out = project / "build" / "bench"
    assert [each.result.name for each in record.read(out / "bench.json")] == ["good", "other"]
    assert json.loads((out / "other.json").read_text())["title"] == "About other"


def test_missed_target_fails_the_run(project: Path) -> None:
    add(project, "slow", "7", met=False)
    done = run(project)
    assert done.returncode == 1
    assert "MISSED  slow: at most 1: 7" in done.stdout
    assert [each.result.name for each in record.read(project / "build" / "bench" / "bench.json")] == ["good", "slow"]


@pytest.mark.parametrize("body", ["raise ValueError", "import os; os._exit(3)"])
def test_benchmark_that_breaks_fails_the_run_and_leaves_no_number(project: Path, body: str) -> None:
    add(project, "broken")
    assert run(project, "broken").returncode == 0
    add(project, "broken", body=body)
    done = run(project)
    assert done.returncode == 1
    assert "BROKE   broken" in done.stdout
    assert [each.result.name for each in record.read(project / "build" / "bench" / "bench.json")] == ["good"]


def test_runner_runs_only_what_is_picked(project: Path) -> None:
    add(project, "slow", met=False)
    done = run(project, "good")
    assert done.returncode == 0
    assert "slow" not in done.stdout
    wrong = run(project, "none")
    assert wrong.returncode == 2
    assert "no benchmark is called none; there are good, slow" in wrong.stderr


# --- the page ---------------------------------------------------------------------------------------------------------

RECORDS = record.read(ROOT / "docs" / page.DATA)
TEXT = (ROOT / "docs" / page.PAGE).read_text()


def test_numbers_on_the_page_are_those_of_the_data() -> None:
    assert page.with_blocks(TEXT, RECORDS) == TEXT


def test_page_has_a_place_for_each_benchmark() -> None:
    assert [name for _, name, _ in page.BLOCK.findall(TEXT)] == ["targets", *record.ORDER]
    assert set(record.names()) <= set(record.ORDER)


def test_plots_on_the_page_are_drawn_from_the_data() -> None:
    drawn = {ROOT / "docs" / page.image_of(plot): plots.mark(plot) for each in RECORDS for plot in each.result.plots}
    assert set((ROOT / "docs" / page.IMAGES).glob("bench-*.svg")) == set(drawn)
    for image, mark in drawn.items():
        assert mark in image.read_text()


def test_section_shows_tables_plots_notes_and_what_the_numbers_depend_on() -> None:
    assert page.section(RECORD).split("\n\n") == [
        "**Cost**",
        "| Side | CPU ms |\n| --- | --- |\n| ours \\| all | 1.5 |\n| theirs | 30 |",
        "![How fast](images/bench-speed.svg)",
        "![Lag and calls](images/bench-frontier.svg)",
        "Read it so.",
        "*Measured on 2026-11-24 in 12 s: Python 3.12.1, Airflow 3.3.0; 2 x Slow.*",
    ]


def test_missed_target_is_shown_on_the_page() -> None:
    missed = replace(RECORD, result=replace(RESULT, targets=[Target("CPU: at most 1 ms", "1.50 ms", met=False)]))
    assert "| [One poll](#poll) | CPU: at most 1 ms | 1.50 ms | **no** |" in page.targets([missed])


def test_what_was_not_measured_again_stays_on_the_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="comes with the extra bench, which the tests do without")
    text = "Before.\n<!-- bench:poll -->\n<!-- /bench:poll -->\n<!-- bench:looks -->\n<!-- /bench:looks -->\nAfter.\n"
    (tmp_path / page.PAGE).write_text(text)
    page.publish(tmp_path, [RECORD])
    looks = replace(RECORD, result=Result("looks", "Looks", notes=["First."]))
    page.publish(tmp_path, [looks])
    page.publish(tmp_path, [replace(looks, result=Result("looks", "Looks", notes=["Second."]))])
    written = (tmp_path / page.PAGE).read_text()
    assert written.startswith("Before.\n")
    assert written.endswith("After.\n")
    assert "Read it so." in written
    assert "Second." in written
    assert "First." not in written
    for plot in (BARS, CURVES):
        assert plots.mark(plot) in (tmp_path / page.image_of(plot)).read_text()
    page.publish(tmp_path, [replace(RECORD, result=Result("poll", "One poll"))])
    assert not list(tmp_path.rglob("*.svg"))
