"""The search: play schedules that hypothesis draws until one breaks a promise, and shrink that one."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.faults.clock import EndlessError
from tests.faults.drawing import schedules
from tests.faults.invariants import BrokenError, check, same_end
from tests.faults.report import Report

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from tests.faults.schedule import Schedule
    from tests.faults.story import Story
    from tests.faults.world import World

MODES = ("poke", "reschedule", "deferrable", "from trigger")


def search(
    world: World,
    number: int,
    *,
    seed_number: int,
    shrink: bool = True,
    drawn: SearchStrategy[Schedule] = schedules,
    promises: frozenset[str] = frozenset(),
) -> Report:
    """Play a number of schedules.

    :param drawn: what they are drawn from.
    :param promises: those that it is about; none: all are.
    :raises BrokenError: a schedule breaks a promise; the smallest such schedule is told.
    """
    report = Report(seed_number)
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
    @given(schedule=drawn)
    def played(schedule: Schedule) -> None:
        try:
            play(world, schedule, report)
        except BrokenError as error:
            if not promises or promises.intersection(error.promises):
                raise

    began = time.perf_counter()
    try:
        played()
    except BrokenError as error:
        replay = f"{error}\nReplay: make faults SCHEDULES={number} SEED={seed_number}"
        raise BrokenError(replay, error.schedule, error.promises) from None
    report.seconds = time.perf_counter() - began
    return report


def play(world: World, schedule: Schedule, report: Report) -> None:
    """Play one schedule, its sensor in all modes if it is to, and check it.

    :raises BrokenError: a promise is broken.
    """
    story = _play(world, schedule, report)
    if not (schedule.agree and schedule.sensor and story.tries[-1].task == "sensor"):
        return
    forgets = not schedule.sensor.has_store and schedule.readings.automatic_twin != "none"  # that its job is manual
    for mode in MODES:
        if mode != schedule.sensor.mode and not (forgets and "reschedule" in (mode, schedule.sensor.mode)):
            other = _play(world, replace(schedule, sensor=replace(schedule.sensor, mode=mode)), report)
            report.checks["all modes agree"] += 1
            if not same_end(story.tries[-1], other.tries[-1]):
                said = f"all modes agree: not {schedule.sensor.mode} and {mode}\n{story.tell()}\n{other.tell()}"
                raise BrokenError(f"{schedule!r}\n{said}", schedule, ("all modes agree",))


def _play(world: World, schedule: Schedule, report: Report) -> Story:
    try:
        story = world.play(schedule)
    except EndlessError:
        told = f"it does not end: {schedule!r}\n{world.scene.story.tell()}"
        raise BrokenError(told, schedule, ("every try ends in time",)) from None
    report.add(story)
    check(story, report.checks, report.excluded)
    return story
