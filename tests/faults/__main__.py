"""``python -m tests.faults [--schedules N] [--seed N]``: search, and print the report or the schedule that fails."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile


def main() -> int:
    """Run a search from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--schedules", type=int, default=2000)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
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


if __name__ == "__main__":
    sys.exit(main())
