"""Whether many sensors that start in the same second stay within what the service allows, and each gets its turn.

The emulator allows 20 calls in each second and throttles the others with ``Throttling.User``, as the service does. The
hook does not know this limit. A sensor here is what a trigger does while a backup runs: its own hook, which lists the
job and then waits for ``poke_interval``; all of them start in the same second, in one process. Each side runs in a
process of its own; calls are counted by the emulator. Beside it the same without the limiter: then only the hook's
retries, with their back-off, stand between the sensors and the service.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from airflow_provider_dds.client.pace import Limiter
from airflow_provider_dds.exceptions import DdsThrottledError
from airflow_provider_dds.hooks.dds import DdsHook
from benchmarks.result import Curve, Plot, Result, Table, Target, run_alone
from benchmarks.service import EmulatedService, emulated

ALLOWED = 20
SENSORS, CROWD = 2000, 100
POKE_INTERVAL = 1.0
LONGEST, SHORT, ROUNDS = 180.0, 15.0, 20.0
"""Most seconds until each of the crowd has looked once; of the run without the limiter; of several rounds of a few."""
MOST_THROTTLED = 0.02


@dataclass
class Side:
    """What the emulator saw of one run.

    :ivar admitted: moment of each call that it answered, by instance; seconds since the start.
    :ivar throttled: moments of those that it throttled.
    """

    admitted: dict[str, list[float]]
    throttled: list[float]

    @property
    def calls(self) -> int:
        """All calls."""
        return len(self.throttled) + sum(map(len, self.admitted.values()))

    @property
    def share(self) -> float:
        """The share of throttled calls."""
        return len(self.throttled) / self.calls

    @property
    def rate(self) -> float:
        """Answered calls in a second, from the first to the last."""
        moments = sorted(moment for moments in self.admitted.values() for moment in moments)
        return len(moments) / (moments[-1] - moments[0])

    def curve(self, label: str, moments: list[float]) -> Curve:
        """Return calls by second."""
        by_second = Counter(int(moment) for moment in moments)
        seconds = range(int(max(moments, default=0)) + 1)
        return Curve(label, [float(second) for second in seconds], [float(by_second[second]) for second in seconds])


def measure() -> Result:
    """Run all sides."""
    scenario = {"any_instance": True, "readings": {"calls_per_second": ALLOWED}}
    with emulated(scenario, speed=1.0) as service:
        crowd = run(service, SENSORS, LONGEST, once=True)
        few = run(service, CROWD, ROUNDS)
        without = run(service, SENSORS, SHORT, limited=False)
    waits = [moments[0] for moments in crowd.admitted.values()]
    gaps = [later - earlier for each in few.admitted.values() for earlier, later in pairwise(each)]
    mean = sum(gaps) / len(gaps)
    implied = SENSORS / ALLOWED
    rows = [
        row(f"{SENSORS} sensors, until each has looked", crowd),
        row(f"{CROWD} sensors, {ROUNDS:g} s", few),
        row(f"{SENSORS} sensors without the limiter, {SHORT:g} s", without),
    ]
    order = [int(instance.rpartition("-")[2]) for instance, _ in sorted(crowd.admitted.items(), key=lambda it: it[1])]
    displaced = max((place - number for place, number in enumerate(order)), default=0)
    return Result(
        "polite",
        f"{SENSORS} sensors that start in the same second, where the service allows {ALLOWED} calls a second",
        tables=[
            Table("Calls", ["Side", "calls", "throttled", "share", "answered a second", "sensors that looked"], rows),
            Table(
                "Waits in seconds",
                ["What", "longest", "mean"],
                [
                    [f"the first poll of {SENSORS} sensors", f"{max(waits):.1f}", f"{sum(waits) / len(waits):.1f}"],
                    [f"between two polls of one of {CROWD} sensors", f"{max(gaps):.1f}", f"{mean:.1f}"],
                ],
            ),
        ],
        targets=[
            Target(
                f"Throttled calls of {SENSORS} sensors: under {MOST_THROTTLED:.0%}",
                f"{crowd.share:.2%} ({without.share:.0%} without the limiter)",
                crowd.share < MOST_THROTTLED,
            ),
            Target(
                f"Nobody starves: all {SENSORS} have looked within twice the {implied:g} s that the limit implies",
                f"{len(crowd.admitted)} sensors, {max(waits):.0f} s",
                len(crowd.admitted) == SENSORS and max(waits) <= 2 * implied,
            ),
            Target(
                f"Nobody is passed over: the longest wait between two polls of {CROWD} sensors at most twice the mean",
                f"{max(gaps):.1f} s, mean {mean:.1f} s",
                len(few.admitted) == CROWD and max(gaps) <= 2 * mean,
            ),
        ],
        plots=[
            Plot(
                "polite",
                f"Calls of {SENSORS} sensors that start in the same second",
                "seconds",
                "calls in each second",
                [
                    crowd.curve("answered", [moment for each in crowd.admitted.values() for moment in each]),
                    crowd.curve("throttled", crowd.throttled),
                    without.curve("throttled without the limiter", without.throttled),
                ],
            )
        ],
        notes=[
            f"The limit is {ALLOWED} calls in each second of the clock; calls_per_second is left at its default.",
            f"The first poll of a sensor came at most {displaced} places later than it stood in line.",
        ],
    )


def row(name: str, side: Side) -> list[Any]:
    """Return a side's row of the table."""
    return [name, side.calls, len(side.throttled), f"{side.share:.2%}", f"{side.rate:.1f}", len(side.admitted)]


def run(service: EmulatedService, sensors: int, seconds: float, *, once: bool = False, limited: bool = True) -> Side:
    """Run sensors in a fresh process and return what the emulator saw.

    :param seconds: after which they end.
    :param once: whether they end once each has looked.
    :param limited: whether the limiter is there.
    """
    service.reset()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(sense, service.connection(), sensors, seconds, once, limited).result()
    admitted, throttled = defaultdict(list), []
    requests = service.requests()
    begin = requests[0]["time"]
    for each in requests:
        if each["code"]:
            throttled.append(each["time"] - begin)
        else:
            admitted[each["params"]["DBInstanceId"]].append(each["time"] - begin)
    return Side(dict(admitted), throttled)


def sense(connection: str, sensors: int, seconds: float, once: bool, limited: bool) -> None:
    """Run sensors in this process."""
    os.environ["AIRFLOW_CONN_DDS_DEFAULT"] = connection
    if not limited:
        Limiter.aturn = at_once  # type: ignore[method-assign]
    asyncio.run(crowd_of(sensors, seconds, once=once))


async def at_once(*_: Any, **__: Any) -> None:
    """Let a call out as soon as it comes."""


async def crowd_of(sensors: int, seconds: float, *, once: bool) -> None:
    """Start all sensors at once and let them poll until the time is over."""
    tasks = [asyncio.ensure_future(sensor(f"dds-sensor-{number:04}", once=once)) for number in range(sensors)]
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def sensor(instance: str, *, once: bool) -> None:
    """Poll, and poll again; a failed poll is made good by the next one."""
    hook, looked = DdsHook(), False
    while not (looked and once):
        await asyncio.sleep(POKE_INTERVAL)
        try:
            await hook.aget_backup_job(instance, "1")
            looked = True
        except DdsThrottledError:
            continue


if __name__ == "__main__":
    run_alone(measure)
