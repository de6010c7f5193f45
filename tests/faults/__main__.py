"""``python -m tests.faults [--schedules N] [--seed N]``: search, and print the report or the schedule that fails.

With ``--parts 2`` it is two searches at a time, each with its share of the schedules and a seed of its own, which the
given one leads to.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile


def main() -> int:
    """Run a search from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--schedules", type=int, default=2000)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--parts", type=int, default=1)
    options = parser.parse_args()
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    if options.parts > 1:
        return in_parts(options.parts, options.schedules, seed)
    print(f"fault search: {options.schedules} schedules, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("AIRFLOW_HOME", home)
        from tests.faults.invariants import BrokenError
        from tests.faults.search import search
        from tests.faults.world import World

        with World() as world:
            try:
                report = search(world, options.schedules, seed_number=seed)
            except BrokenError as broken:
                print(broken)
                return 1
    print(report)
    return 0


def in_parts(parts: int, schedules: int, seed: int) -> int:
    """Search in several processes; print what each has to say once all are over."""
    command = [sys.executable, "-m", "tests.faults", "--schedules", str(-(-schedules // parts)), "--seed"]
    running = [
        subprocess.Popen([*command, str((seed + part) % 2**32)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for part in range(parts)
    ]
    for process in running:
        print(process.communicate()[0].decode(errors="replace"), flush=True)
    return max(abs(process.returncode) for process in running)


if __name__ == "__main__":
    sys.exit(main())
