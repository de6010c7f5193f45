"""What was measured, with where and when: the JSON that ``make bench`` leaves."""

from __future__ import annotations

import ast
import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.result import Result

ROOT = Path(__file__).resolve().parent.parent
ORDER = ("imports", "poll", "ten_thousand", "polite", "audit", "isolation", "looks", "gates")
"""The order to run and show benchmarks in; others follow."""
PACKAGES = {
    "Airflow": "apache-airflow",
    "SDK": "alibabacloud-dds20151201",
    "this package": "airflow-provider-dds",
}


@dataclass(frozen=True)
class Record:
    """A result with all that its numbers depend on.

    :ivar date: day of the measurement, in UTC.
    :ivar seconds: how long the benchmark took.
    :ivar versions: of Python, Airflow, the SDK and this package.
    :ivar machine: its shape: processors, memory, kernel. Not its name.
    """

    result: Result
    date: str
    seconds: int
    versions: dict[str, str]
    machine: dict[str, str]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """Return the record that ``dataclasses.asdict`` gave."""
        return cls(**{**data, "result": Result.from_json(data["result"])})


def names() -> list[str]:
    """Return the benchmarks there are: the modules beside this one that can ``measure``."""
    found = {path.stem for path in Path(__file__).parent.glob("*.py") if _measures(path)}
    return [*(name for name in ORDER if name in found), *sorted(found.difference(ORDER))]


def _measures(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(isinstance(each, ast.FunctionDef) and each.name == "measure" for each in body)


def versions() -> dict[str, str]:
    """Return the versions of all that the numbers depend on."""
    return {"Python": platform.python_version(), **{name: version(package) for name, package in PACKAGES.items()}}


def machine() -> dict[str, str]:
    """Return the shape of this machine."""
    models = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shape = {"processors": f"{cores} x {model}"}
    if memory:
        shape["memory"] = f"{int(memory[0]) / 2**20:.0f} GiB"
    return {**shape, "kernel": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"}


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def read(path: Path) -> list[Record]:
    """Return the records of a file; none where there is no such file."""
    return [Record.from_json(each) for each in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def write(path: Path, records: list[Record]) -> None:
    """Write records into a file, in the order in which they are shown."""
    place = {name: number for number, name in enumerate(ORDER)}
    ordered = sorted(records, key=lambda each: (place.get(each.result.name, len(place)), each.result.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(each) for each in ordered], indent=1) + "\n", encoding="utf-8")
