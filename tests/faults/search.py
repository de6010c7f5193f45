"""The search: play schedules that hypothesis draws until one breaks a promise, and shrink that one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.faults.clock import EndlessError
from tests.faults.invariants import BrokenError, check
from tests.faults.report import Report
from tests.faults.schedule import Schedule, schedules

if TYPE_CHECKING:
    from tests.faults.world import World


def search(world: World, number: int, *, seed_number: int, shrink: bool = True) -> Report:
    """Play a number of schedules.

    :raises BrokenError: a schedule breaks a promise; the smallest such schedule is told.
    """
    report = Report(seed_number)
    broken: list[BrokenError] = []
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)

    @seed(seed_number)
    @settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(schedule=schedules)
    def played(schedule: Schedule) -> None:
        try:
            play(world, schedule, report)
        except BrokenError as error:
            broken.append(error)
            raise

    began = time.perf_counter()
    try:
        played()
    except BrokenError as error:
        raise BrokenError(f"{error}\nReplay: make faults SCHEDULES={number} SEED={seed_number}") from None
    report.seconds = time.perf_counter() - began
    return report


def play(world: World, schedule: Schedule, report: Report) -> None:
    """Play one schedule and check it.

    :raises BrokenError: a promise is broken.
    """
    try:
        story = world.play(schedule)
    except EndlessError:
        raise BrokenError(f"it does not end: {schedule!r}\n{world.scene.story.tell()}") from None
    report.add(story)
    try:
        check(story, report.checks, report.excluded)
    except BrokenError as error:
        raise BrokenError(f"{schedule!r}\n{error}") from None
