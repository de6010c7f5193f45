"""Run the tests on every Airflow and Python that this package supports, and print a table.

    make test-matrix
    make test-matrix AIRFLOW=3.0 PYTHON=3.12

An environment consists of what there was on the day in its row, so that a release of last year is tested with what its
users have, and gives the same tomorrow as today. Environments live in build/matrix and are made again when their
ingredients change. The Pythons are those of this machine: none is downloaded.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "matrix"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


@dataclass(frozen=True)
class Row:
    """A release of Airflow, at its newest patch, and what there is to run it with.

    :ivar airflow: the release; ``lowest`` is the lowest version of each dependency that pyproject.toml allows.
    :ivar as_of: day after which no package counts.
    :ivar pythons: the Pythons that it runs on.
    :ivar also: packages that this row has besides.
    :ivar tests: tests of this row besides those of every row.
    """

    airflow: str
    as_of: str
    pythons: Sequence[str]
    also: Sequence[str] = ()
    tests: Sequence[str] = ()


WHOLE = ("tests/e2e/test_scheduler_and_triggerer.py", "tests/e2e/test_clear_after_edit.py")
"""Tests that run a whole Airflow."""
ROWS = (
    Row("lowest", "2026-03-15", PYTHONS[:1], tests=("tests/emulator",)),
    Row("2.11", "2026-03-15", PYTHONS[:3], tests=WHOLE),
    # since 0.118 FastAPI answers before Airflow 3.0 has committed: a task's next call then finds it "running elsewhere"
    Row("3.0", "2026-01-31", PYTHONS[:3], also=("apache-airflow-providers-fab", "fastapi<0.118"), tests=WHOLE),
    Row("3.1", "2026-03-15", PYTHONS),
    Row("3.2", "2026-06-15", PYTHONS),
    Row("3.3", "2026-11-20", PYTHONS),
)
SDK_AS_OF = "2026-11-20"
SDK = (
    "alibabacloud-credentials", "alibabacloud-credentials-api", "alibabacloud-dds20151201", "alibabacloud-tea",
    "alibabacloud-tea-openapi", "alibabacloud-tea-util", "darabonba-core",
)  # fmt: skip
"""The SDK is of one day in all rows: it follows the service and knows no Airflow."""

IN_CI = {"lowest": "3.10", "3.0": "3.11"}
"""What every change is tested on, besides the newest Airflow of ``make test``."""
CLIENT_ONLY = ("--ignore=tests/integration/credentials",)
"""What a change is spared but on the lowest versions: the client knows no Airflow, and ``make test`` has it."""
TESTS = ("tests/unit", "tests/integration", "tests/e2e/test_example_dags.py")


@dataclass
class Cell:
    """One Airflow on one Python, and how its tests went."""

    row: Row
    python: str
    result: str = ""
    seconds: float = 0.0
    failed: bool = False

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"Airflow {self.row.airflow}, Python {self.python}"

    @property
    def log(self) -> Path:
        """What its tests print."""
        return self.home / "tests.log"

    @property
    def home(self) -> Path:
        """The directory of its environment."""
        return HOME / f"airflow-{self.row.airflow}-python-{self.python}"

    @property
    def interpreter(self) -> Path:
        """The Python of its environment."""
        return self.home / "bin" / "python"


def main() -> int:
    """Run what the command line picks, and say how each part of it went."""
    arguments = parse()
    cells = [Cell(row, python) for row, python in picked(arguments)]
    if not cells:
        sys.exit("==> nothing in the matrix is of that Airflow and Python")
    found = {python: find_python(python) for python in sorted({cell.python for cell in cells})}
    for python, path in found.items():
        if path is None:
            say(f"Python {python} is not on this machine: skipped")
    run = partial(run_cell, found=found, arguments=arguments, alone=len(cells) == 1)
    with ThreadPoolExecutor(arguments.at_once) as pool:  # the tests of a cell are one process, which fills one core
        try:
            list(pool.map(run, cells))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    print("\n".join(table(cells)), flush=True)
    return 1 if any(cell.failed for cell in cells) or not any(cell.seconds for cell in cells) else 0


def run_cell(cell: Cell, found: Mapping[str, str | None], arguments: argparse.Namespace, *, alone: bool) -> None:
    """Make the environment of a cell and run its tests. What they print is shown as a whole, unless they run alone."""
    if (path := found[cell.python]) is None:
        cell.result = "skipped: no such Python here"
        return
    begun = time.monotonic()
    cell.log.unlink(missing_ok=True)
    try:
        make_environment(cell, path)
        spared = CLIENT_ONLY if arguments.ci and cell.row.airflow != "lowest" else ()
        run_tests(cell, [*spared, *arguments.pytest], alone=alone)
    except subprocess.CalledProcessError as error:
        cell.failed, cell.result = True, f"FAILED to make the environment (exit code {error.returncode})"
    cell.seconds = time.monotonic() - begun
    if not alone and cell.log.exists():
        print(cell.log.read_text(errors="replace"), flush=True)
    say(f"{cell.name}: {cell.result}, {cell.seconds:.0f} s")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Run the tests on every supported Airflow and Python.")
    parser.add_argument("--airflow", nargs="*", default=[], help="only these, such as 3.0 or lowest")
    parser.add_argument("--python", nargs="*", default=[], help="only these, such as 3.12")
    parser.add_argument("--ci", action="store_true", help="only what every change is tested on")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="how many at a time (one a core)")
    parser.add_argument("--pytest", nargs=argparse.REMAINDER, default=[], help="arguments for pytest, last of all")
    return parser.parse_args()


def picked(arguments: argparse.Namespace) -> Iterator[tuple[Row, str]]:
    """Yield the Airflows and Pythons to run."""
    for row in ROWS:
        for python in row.pythons:
            wanted = not arguments.ci or IN_CI.get(row.airflow) == python
            if arguments.airflow and row.airflow not in arguments.airflow:
                wanted = False
            if arguments.python and python not in arguments.python:
                wanted = False
            if wanted:
                yield row, python


# --- environments -----------------------------------------------------------------------------------------------------


def find_python(python: str) -> str | None:
    """Return the path of a Python of this machine."""
    candidates = [shutil.which(f"python{python}")]
    if pyenv := shutil.which("pyenv"):  # its commands for versions that are not active do not run
        whence = [pyenv, "whence", "--path", f"python{python}"]
        candidates += subprocess.run(whence, capture_output=True, text=True, check=False).stdout.splitlines()
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", ""], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return candidate
    return None


def make_environment(cell: Cell, python: str) -> None:
    """Make the environment of a cell, unless it is there.

    :raises subprocess.CalledProcessError: that did not work; what uv says is on the terminal
    """
    made_of = cell.home / ".made-of"
    wanted = fingerprint(cell.row, python)
    if made_of.exists() and made_of.read_text() == wanted:
        return
    say(f"{cell.name}: making {cell.home.relative_to(ROOT)}")
    uv("venv", "--clear", "--python", python, str(cell.home))
    days = ["--exclude-newer", cell.row.as_of]
    for name in SDK:
        days += ["--exclude-newer-package", f"{name}={SDK_AS_OF}"]
    into = ["--python", str(cell.interpreter)]
    if cell.row.airflow == "lowest":
        pins = cell.home / "lowest.txt"
        lowest = ["--resolution", "lowest-direct", "--extra", "emulator", "--output-file", str(pins)]
        uv("pip", "compile", *into, *days, *lowest, str(ROOT / "pyproject.toml"))
        which = ["--constraint", str(pins)]
    else:
        which = [f"apache-airflow=={cell.row.airflow}.*"]
    uv("pip", "install", *into, *days, *which, *cell.row.also, "--editable", f"{ROOT}[test]")
    made_of.write_text(wanted)


def uv(*arguments: str) -> None:
    """Run uv, which comes with the tools of .venv."""
    beside = Path(sys.executable).with_name("uv")
    command = str(beside) if beside.exists() else "uv"
    subprocess.run([command, "--quiet", "--no-python-downloads", *arguments], cwd=ROOT, check=True)


def fingerprint(row: Row, python: str) -> str:
    """Return what an environment depends on."""
    version = subprocess.run([python, "-VV"], capture_output=True, text=True, check=True).stdout
    parts = (str(row), python, version, SDK_AS_OF, *SDK, str(ROOT), (ROOT / "pyproject.toml").read_text())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


# --- tests ------------------------------------------------------------------------------------------------------------


def run_tests(cell: Cell, options: Sequence[str], *, alone: bool) -> None:
    """Run the tests of a cell and keep how they went."""
    airflow_home = cell.home / "airflow"
    shutil.rmtree(airflow_home, ignore_errors=True)
    airflow_home.mkdir()
    report = cell.home / "report.xml"
    report.unlink(missing_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment = {**kept, "AIRFLOW_HOME": str(airflow_home), "PYTHONDONTWRITEBYTECODE": "1"}
    versions = installed(cell, "apache-airflow", "apache-airflow-providers-common-compat", "alibabacloud-dds20151201")
    say(f"{cell.name}: testing with {versions}")
    command = [str(cell.interpreter), "-m", "pytest", "-q", f"--junitxml={report}"]
    command += [f"--basetemp={cell.home / 'tmp'}", "-o", f"cache_dir={cell.home / 'cache'}"]
    environment["HYPOTHESIS_STORAGE_DIRECTORY"] = str(cell.home / "hypothesis")
    command += [*TESTS, *cell.row.tests, *options]
    with cell.log.open("w") as log:
        said = {} if alone else {"stdout": log, "stderr": subprocess.STDOUT}
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False, **said)
    cell.failed = done.returncode != 0
    result = counts(report)
    cell.result = f"FAILED: {result or f'pytest ended with exit code {done.returncode}'}" if cell.failed else result


def installed(cell: Cell, *names: str) -> str:
    """Return packages of an environment with their versions, as a text."""
    code = "import sys, importlib.metadata as m; print(', '.join(f'{name} {m.version(name)}' for name in sys.argv[1:]))"
    command = [str(cell.interpreter), "-c", code, *names]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def counts(report: Path) -> str:
    """Return how many tests passed, failed and were skipped; empty where pytest wrote no report of any."""
    if not report.exists():
        return ""
    [found] = re.findall(r"<testsuite (.*?)>", report.read_text(errors="replace"))[:1] or [""]
    number = {name: int(value) for name, value in re.findall(r'(\w+)="(\d+)"', found)}
    if not number.get("tests"):
        return ""
    failed = number["failures"] + number["errors"]
    return f"{number['tests'] - failed - number['skipped']} passed, {failed} failed, {number['skipped']} skipped"


def table(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the lines of the table of all cells."""
    yield "==> Airflow  Python  seconds  result"
    for cell in cells:
        yield f"    {cell.row.airflow:<7}  {cell.python:<6}  {cell.seconds:7.0f}  {cell.result}"


def say(line: str) -> None:
    """Tell the user."""
    print(f"==> {line}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
