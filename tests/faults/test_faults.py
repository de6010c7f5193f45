"""A slice of the fault search in every test run; ``make faults SCHEDULES=2000`` is the whole of it."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

from airflow_provider_dds.emulator import Emulator, JobOutcome, Readings
from airflow_provider_dds.emulator.recorder import Recorder
from tests.faults.report import Report
from tests.faults.schedule import Clear, Kill, OperatorPlan, Schedule, Strike
from tests.faults.search import play, search
from tests.faults.wires import PATIENCE

SLICE = 150
SEED = 20261124
"""The same schedules each time: a test that fails has to fail again. ``make faults`` draws others."""


def test_promises_hold_whatever_strikes(world, capsys):
    seed = int(os.environ.get("FAULT_SEED", SEED))
    report = search(world, SLICE, seed_number=seed)
    with capsys.disabled():
        print(f"\n{report}")
    assert report.schedules >= SLICE


def test_backup_that_nothing_ever_showed_is_the_only_one_that_may_be_made_twice(world):
    report = Report(seed=0)
    unseen = Readings(new_row_delay_seconds=400, set_lag_seconds=100_000, history="hidden")
    lost = (Strike("reset_after", "CreateBackup"),)
    schedule = Schedule(readings=unseen, outcomes=(JobOutcome(seconds=20),), strikes=lost)
    play(world, schedule, report)
    assert report.counts["backups made"] == 2
    assert sum(report.excluded.values()) == 1
    play(world, replace(schedule, readings=replace(unseen, history="job_id")), report)
    assert report.counts["backups made"] == 3
    assert sum(report.excluded.values()) == 1


def test_many_tries_that_each_end_in_time_are_not_endless(world):
    nothing_ever = (Strike("empty_before", "CreateBackup", times=None),)
    stubborn = Schedule(operator=OperatorPlan(durable=False), strikes=nothing_ever, stubborn=True, pause=0)
    report = Report(seed=0)
    play(world, replace(stubborn, retries=4, clears=(Clear(),)), report)
    assert report.counts["backups made"] == 0


def test_backup_that_only_the_settling_of_its_request_saw_may_be_waited_for_until_the_deadline(world):
    dies_once_it_is_accepted = (Kill("create", 1),)
    then_no_poll = (Strike("500_after", "DescribeBackups", first=2, times=20),)
    waits = OperatorPlan(wait_for_completion=True)
    schedule = Schedule(operator=waits, strikes=then_no_poll, kills=dies_once_it_is_accepted, retries=1, pause=1200)
    report = Report(seed=0)
    play(world, schedule, report)
    assert report.counts["backups made"] == 1


def test_call_that_hangs_waits_for_a_service_that_has_not_seen_it_yet(world, monkeypatch):
    looks, looked_twice = [], threading.Event()
    arrived, requests = Recorder.arrived, Emulator.requests

    def arrived_late(*args):
        assert looked_twice.wait(PATIENCE)
        arrived(*args)

    def looked_at(emulator):
        looks.append(requests(emulator))
        if len(looks) == 2:
            looked_twice.set()
        return looks[-1]

    monkeypatch.setattr(Recorder, "arrived", arrived_late)
    monkeypatch.setattr(Emulator, "requests", looked_at)
    play(world, Schedule(strikes=(Strike("hang_after", None),)), Report(seed=0))
    met = world.scene.story.calls[0].request
    assert (met.fault, met.executed, met.status) == ("hang", True, None)
