"""A slice of the fault search in every test run; ``make faults SCHEDULES=2000`` is the whole of it."""

from __future__ import annotations

import os
import secrets

import pytest

from tests.faults.search import search
from tests.faults.world import World

SLICE = 150


@pytest.fixture(scope="module")
def world():
    with World() as served:
        yield served


def test_promises_hold_whatever_strikes(world, capsys):
    number = int(os.environ.get("FAULT_SCHEDULES", SLICE))
    seed = int(os.environ.get("FAULT_SEED", secrets.randbelow(2**32)))
    report = search(world, number, seed_number=seed)
    with capsys.disabled():
        print(f"\n{report}")
    assert report.schedules >= number
