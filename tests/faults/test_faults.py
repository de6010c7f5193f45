"""A slice of the fault search in every test run; ``make faults SCHEDULES=2000`` is the whole of it."""

from __future__ import annotations

import os
import secrets

from tests.faults.search import search

SLICE = 150


def test_promises_hold_whatever_strikes(world, capsys):
    seed = int(os.environ.get("FAULT_SEED", secrets.randbelow(2**32)))
    report = search(world, SLICE, seed_number=seed)
    with capsys.disabled():
        print(f"\n{report}")
    assert report.schedules >= SLICE
