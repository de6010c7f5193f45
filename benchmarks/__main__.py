"""Run benchmarks, each in a process of its own, and say which of their targets are met.

    make bench                          # all
    make bench BENCHMARKS="polls poll"  # some
    make bench PAGE=1                   # and write docs/waiting.md, with its data and plots

Leaves build/bench/<name>.json for each, a plot for each of its plots, and build/bench/bench.json with all of the run
and what the numbers depend on. The exit code is 1 where a target is missed or a benchmark breaks.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from benchmarks import page, plots
from benchmarks.record import ROOT, Record, machine, names, versions, write
from benchmarks.result import Result
from dev.processes import kill_sessions

if TYPE_CHECKING:
    from pathlib import Path

OUT = ROOT / "build" / "bench"
LONGEST = 900.0
"""Seconds after which a benchmark is taken to hang."""


def main() -> int:
    """Run what the command line names."""
    there = names()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run the benchmarks.")
    parser.add_argument("names", nargs="*", help=f"some of: {', '.join(there)}; all, if none is named")
    parser.add_argument("--page", action="store_true", help="write docs/waiting.md from what was measured")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in there]:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(there)}")
    if arguments.page and not plots.can_draw():
        parser.error("the page needs matplotlib: pip install -e '.[bench]'")
    picked = [name for name in there if name in arguments.names or not arguments.names]
    begun = time.monotonic()
    records = {name: run(name, OUT) for name in picked}
    done = [record for record in records.values() if record]
    write(OUT / "bench.json", done)
    if plots.can_draw():
        for plot in (plot for record in done for plot in record.result.plots):
            plots.draw(plot, OUT / f"{plot.name}.svg")
    else:
        say("no plots: matplotlib is not here, the extra bench has it")
    if arguments.page:
        for path in page.publish(page.DOCS, done):
            say(f"wrote {path.relative_to(ROOT)}")
    print("\n".join(summary(records)))
    say(f"{len(records)} benchmarks in {time.monotonic() - begun:.0f} s; {OUT.relative_to(ROOT)}/bench.json")
    return 0 if all(map(all_met, records.values())) else 1


def run(name: str, out: Path) -> Record | None:
    """Run one benchmark and return what it measured, None where it broke.

    :param name: the benchmark's module.
    :param out: directory for what it writes.
    """
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{name}.json"
    target.unlink(missing_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    begun = time.monotonic()
    say(name)
    with tempfile.TemporaryDirectory(prefix="dds-bench-") as home:
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(target)]
        code = ended(command, {**kept, "AIRFLOW_HOME": home})
    seconds = round(time.monotonic() - begun)
    if not target.exists() or code not in (0, 1):
        say(f"{name} ended with exit code {code} after {seconds} s")
        return None
    print(flush=True)
    result = Result.from_json(json.loads(target.read_text(encoding="utf-8")))
    day = datetime.now(tz=timezone.utc).strftime("%Y-%m-%d")
    return Record(result, day, seconds, versions(), machine())


def ended(command: list[str], environment: dict[str, str]) -> int:
    """Run a command to its end and return its exit code; nothing that it started outlives it."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    try:
        return process.wait(LONGEST)
    except subprocess.TimeoutExpired:
        say(f"not done after {LONGEST:.0f} s: stopped")
        return 124
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)  # lets it clean up
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
        kill_sessions([process.pid])
        process.wait()


def all_met(record: Record | None) -> bool:
    """Say whether a benchmark ran and met all of its targets."""
    return record is not None and all(target.met for target in record.result.targets)


def summary(records: dict[str, Record | None]) -> list[str]:
    """Return the lines that close a run: each target with its verdict.

    :param records: what was measured, by benchmark; None where one broke.
    """
    lines = ["## Targets", ""]
    for name, record in records.items():
        if record is None:
            lines.append(f"BROKE   {name}")
            continue
        lines += [
            f"{'met   ' if target.met else 'MISSED'}  {name}: {target.text}: {target.measured}"
            for target in record.result.targets
        ]
    return [*lines, ""]


def say(line: str) -> None:
    """Tell the user."""
    print(f"==> {line}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
