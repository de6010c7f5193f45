"""What the import of hooks, operators, sensors and triggers costs a DAG file, beside three other providers.

Each number is of fresh processes that have imported ``airflow.sdk`` and the base classes of common-compat before they
begin to count, all in one environment (build/bench/peers, made at the first run), and all from compiled files. Time is
the CPU's, the median of several processes whose order goes round; memory is what stays allocated, as tracemalloc counts
it, in processes of their own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.result import Curve, Plot, Result, Table, Target, run_alone
from dev.matrix import ROOT, SDK_AS_OF, Cell, Row, make_environment

REPEATS = 11
MEMORY_REPEATS = 3
LIMIT_MS, LIMIT_MB = 30.0, 2.0
FORBIDDEN = ("alibabacloud", "darabonba", "Tea", "aiohttp", "requests", "tenacity", "wtforms")
OURS = "this package"
PEERS = {
    "dbt-cloud": ("apache-airflow-providers-dbt-cloud", "airflow.providers.dbt.cloud", "dbt"),
    "amazon (RDS)": ("apache-airflow-providers-amazon", "airflow.providers.amazon.aws", "rds"),
    "alibaba (AnalyticDB Spark)": (
        "apache-airflow-providers-alibaba",
        "airflow.providers.alibaba.cloud",
        "analyticdb_spark",
    ),
}
KINDS = ("hooks", "operators", "sensors", "triggers")
PROBE = """
import gc, json, resource, sys, time, tracemalloc
import airflow.sdk
from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, BaseSensorOperator
for name in json.loads(sys.argv[3]):
    __import__(name)
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
gc.collect()
before, memory = set(sys.modules), resident()
if sys.argv[1] == "memory":
    tracemalloc.start()
wall, cpu = time.perf_counter(), time.process_time()
for name in json.loads(sys.argv[2]):
    __import__(name)
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
gc.collect()
kept = tracemalloc.get_traced_memory()[0]
print(json.dumps({"cpu": cpu, "wall": wall, "kept": kept, "resident": resident() - memory,
                  "new": sorted(set(sys.modules) - before)}))
"""


class Environment(Cell):
    """The environment that holds this package and its peers."""

    @property
    def home(self) -> Path:
        """Its directory."""
        return ROOT / "build" / "bench" / "peers"


@dataclass(frozen=True)
class Side:
    """What is imported, after what else.

    :ivar modules: those whose import is measured.
    :ivar after: those that are there already, besides Airflow's base classes.
    """

    name: str
    modules: tuple[str, ...]
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cost:
    """What an import cost: milliseconds, megabytes, and the modules it loaded."""

    cpu: float
    wall: float
    kept: float
    resident: float
    new: list[str]


def measure() -> Result:
    """Measure all sides and return what they cost."""
    environment = environment_of_peers()
    ours = tuple(f"airflow_provider_dds.{kind}.dds" for kind in KINDS)
    sides = [Side(OURS, ours), Side(f"{OURS}, after Airflow's base of triggers", ours, ("airflow.triggers.base",))]
    for name, (_, package, module) in PEERS.items():
        root = environment.home / "lib" / f"python{environment.python}" / "site-packages" / Path(*package.split("."))
        kinds = [kind for kind in KINDS if (root / kind / f"{module}.py").exists()]
        sides.append(Side(name, tuple(f"{package}.{kind}.{module}" for kind in kinds)))
    costs = measured(environment, sides)
    own = costs[OURS]
    heavy = sorted({each.partition(".")[0] for each in own.new if each.startswith(FORBIDDEN)})
    airflow = [each for each in own.new if each.partition(".")[0] == "airflow"]
    other = [each for each in own.new if each.partition(".")[0] not in ("airflow", "airflow_provider_dds")]
    rows = [
        [
            name,
            f"{cost.cpu:.1f}",
            f"{cost.cpu / own.cpu:.1f}",
            f"{cost.wall:.1f}",
            f"{cost.kept:.2f}",
            f"{cost.resident:.1f}",
            len(cost.new),
        ]
        for name, cost in costs.items()
    ]
    columns = ["Imported", "CPU ms", "times ours", "wall ms", "MB kept", "MB resident", "new modules"]
    return Result(
        "imports",
        "What an import costs a DAG file",
        tables=[
            Table("Hooks, operators, sensors and triggers, over airflow.sdk and common-compat", columns, rows),
            Table("Versions", ["Package", "Version"], versions(environment)),
        ],
        targets=[
            Target(f"CPU of the import: at most {LIMIT_MS:g} ms", f"{own.cpu:.1f} ms", own.cpu <= LIMIT_MS),
            Target(f"Memory of the import: at most {LIMIT_MB:g} MB", f"{own.kept:.2f} MB", own.kept <= LIMIT_MB),
            Target(f"None newly loaded of {', '.join(FORBIDDEN)}", ", ".join(heavy) or "none", not heavy),
        ],
        plots=[
            Plot(
                "imports",
                "CPU of importing hooks, operators, sensors and triggers",
                "",
                "CPU ms over airflow.sdk and common-compat",
                [Curve(name, [0.0], [cost.cpu]) for name, cost in costs.items() if not name.startswith(f"{OURS},")],
                kind="bars",
            )
        ],
        notes=[
            (
                f"Of the {len(own.new)} modules, {len(airflow)} are Airflow's own ({', '.join(airflow)}), which every "
                "deferrable operator and every operator with a link loads; the second row is the cost where those of "
                f"triggers are loaded already. {len(other)} are neither: {', '.join(other) or 'none'}."
            ),
            f"Median of {REPEATS} processes for times, of {MEMORY_REPEATS} for memory.",
        ],
    )


def environment_of_peers() -> Environment:
    """Return the environment with this package and its peers, made if need be."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    environment = Environment(Row("3.3", SDK_AS_OF, (python,), also=tuple(peer[0] for peer in PEERS.values())), python)
    make_environment(environment, sys.executable)
    return environment


def measured(environment: Environment, sides: list[Side]) -> dict[str, Cost]:
    """Return what each side costs, by its name."""
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {side.name: {"time": [], "memory": []} for side in sides}
    with tempfile.TemporaryDirectory(prefix="dds-bench-") as home:
        for side in sides:
            probe(environment, side, "time", home)  # writes the compiled files
        for what, repeats in (("time", REPEATS), ("memory", MEMORY_REPEATS)):
            for _ in range(repeats):
                for side in sides:
                    runs[side.name][what].append(probe(environment, side, what, home))

    def median(name: str, what: str, key: str, unit: float) -> float:
        return float(statistics.median(run[key] for run in runs[name][what])) * unit

    return {
        name: Cost(
            median(name, "time", "cpu", 1e3),
            median(name, "time", "wall", 1e3),
            median(name, "memory", "kept", 1e-6),
            median(name, "time", "resident", 1e-6),
            found["time"][0]["new"],
        )
        for name, found in runs.items()
    }


def probe(environment: Environment, side: Side, what: str, home: str) -> dict[str, Any]:
    """Import one side in a fresh process and return what it counted."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    process_environment = {**kept, "AIRFLOW_HOME": home, "PYTHONPYCACHEPREFIX": str(environment.home / "compiled")}
    command = [str(environment.interpreter), "-c", PROBE, what, json.dumps(side.modules), json.dumps(side.after)]
    done = subprocess.run(command, capture_output=True, text=True, env=process_environment, cwd=home, check=False)
    if done.returncode:
        raise RuntimeError(f"{side.name} could not be imported:\n{done.stderr}")
    counted: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return counted


def versions(environment: Environment) -> list[list[str]]:
    """Return the packages that were compared with their versions."""
    names = ["apache-airflow", "airflow-provider-dds", *(peer[0] for peer in PEERS.values())]
    code = "import sys, importlib.metadata as m; print('\\n'.join(m.version(name) for name in sys.argv[1:]))"
    command = [str(environment.interpreter), "-c", code, *names]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [list(row) for row in zip(names, found, strict=True)]


if __name__ == "__main__":
    run_alone(measure)
