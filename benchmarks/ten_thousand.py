"""Ten thousand waits in one triggerer: whether all end right and in time, and what a waiting trigger weighs.

Airflow's own TriggerRunner runs 10,000 ``DdsBackupTrigger`` in one process; only the supervisor that would feed it from
a database is cut short. The emulator, in another process, runs 10,000 backups in accelerated time, and one in a hundred
fails. Beside it, in a process of its own, the same runner with 10,000 triggers that only sleep. Memory is what is
resident at the most, over what was there once the SDK was loaded and the first calls had been made; the two sides'
difference, by trigger, is what a wait weighs. A trigger is late by the time from the end of its backup, as the emulator
has it, to its event.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timezone
from typing import Any

from airflow_provider_dds.triggers.dds import DdsBackupTrigger
from benchmarks import triggerer
from benchmarks.result import Curve, Plot, Result, Table, Target, run_alone
from benchmarks.service import EmulatedService, emulated

WAITS = 10_000
RATE = 250
"""``calls_per_second`` of the connection: about what two cores can serve."""
POKE_INTERVAL = 20.0
SPEED = 60.0
SHORTEST, LONGEST = 30.0, 110.0
"""Real seconds that the backups take, evenly spread."""
FAILED_OF = 100
PHASES_BEFORE = 30.0
"""Service seconds that a backup is scheduled and checked before it runs."""
TIME_OUT = 240.0
MOST_KB = 20.0
CALLS_A_LOOK = 2
"""A poll makes two calls at its first time and at its last."""
MOST_THREADS, MOST_SOCKETS = 32, 32


def measure() -> Result:
    """Run both sides."""
    instances = [f"dds-wait-{number:05}" for number in range(WAITS)]
    with emulated(scenario(instances), SPEED) as service:
        service.reset()
        jobs = {job["instance_id"]: job["job_id"] for job in service.state()["jobs"]}
        now = time.time()
        ours = side(
            f"{DdsBackupTrigger.__module__}.{DdsBackupTrigger.__qualname__}",
            [arguments(instance, jobs[instance], now) for instance in instances],
            TIME_OUT,
            service,
        )
        ends = [(job["phase"], moment(job["ended"])) for job in service.state()["jobs"]]
        calls = len(service.requests())
        sleeping = side(f"{triggerer.__name__}.SleepTrigger", [{"seconds": 20.0}] * WAITS, 60.0, service)
    late, wrong = [], 0
    for number, (phase, ended) in enumerate(ends):
        fired, payload = ours.ends.get(number, (0.0, {"outcome": None}))
        if payload["outcome"] != {"Finished": "done", "Failed": "failed"}[phase]:
            wrong += 1
        else:
            late.append(fired - ended)
    return report(ours, sleeping, sorted(late), wrong, calls)


def report(ours: triggerer.Seen, sleeping: triggerer.Seen, late: list[float], wrong: int, calls: int) -> Result:
    """Return what the two sides showed."""
    weight = (ours.memory - sleeping.memory) / WAITS / 1024
    round_of_looks = CALLS_A_LOOK * WAITS / RATE
    limit = 2 * POKE_INTERVAL + round_of_looks
    rows = [
        [
            name,
            f"{seen.memory / WAITS / 1024:.1f}",
            seen.threads,
            seen.files,
            seen.sockets,
            f"{seen.cpu / WAITS * 1e3:.1f}",
        ]
        for name, seen in (("DdsBackupTrigger", ours), ("a trigger that only sleeps", sleeping))
    ]
    median = late[len(late) // 2] if late else 0.0
    shown = [*range(0, len(late) - 1, 50), len(late) - 1] if late else []
    return Result(
        "ten_thousand",
        f"{WAITS:,} waits in one triggerer",
        tables=[
            Table(
                "At the most, in one process",
                ["Trigger", "KB each", "threads", "open files", "of them sockets", "CPU ms each"],
                rows,
            ),
            Table(
                "Ends",
                ["Waits", "right", "median late s", "p99 late s", "most late s", "calls of the API", "for each wait"],
                [
                    [
                        WAITS,
                        WAITS - wrong,
                        f"{median:.1f}",
                        f"{late[int(len(late) * 0.99)] if late else 0:.1f}",
                        f"{late[-1] if late else 0:.1f}",
                        calls,
                        f"{calls / WAITS:.1f}",
                    ]
                ],
            ),
        ],
        targets=[
            Target(f"All {WAITS:,} waits end right", f"{WAITS - wrong:,}", wrong == 0 and not ours.failed),
            Target(
                f"None late by more than two intervals ({2 * POKE_INTERVAL:g} s) beyond the {round_of_looks:g} s that "
                f"a round of polls takes at {RATE} calls a second",
                f"{late[-1] if late else 0:.1f} s",
                bool(late) and late[-1] <= limit,
            ),
            Target(
                f"Memory of a wait over a trigger that only sleeps: at most {MOST_KB:g} KB",
                f"{weight:.1f} KB",
                weight <= MOST_KB,
            ),
            Target(
                f"No thread for each trigger: at most {MOST_THREADS} threads in all",
                f"{ours.threads}",
                ours.threads <= MOST_THREADS,
            ),
            Target(
                f"No socket for each trigger: at most {MOST_SOCKETS} in all",
                f"{ours.sockets}",
                ours.sockets <= MOST_SOCKETS,
            ),
        ],
        plots=[
            Plot(
                "ten_thousand",
                f"How late {WAITS:,} waits end",
                "seconds after the backup's end",
                "share of the waits",
                [Curve("ended", [round(late[place], 1) for place in shown], [(place + 1) / WAITS for place in shown])],
            )
        ],
        notes=[
            "A backup that ends right after a poll is seen at the next, which stands in line after its interval.",
            "Most of what a trigger weighs is Airflow's and asyncio's, and is in both rows.",
        ],
    )


def scenario(instances: list[str]) -> dict[str, Any]:
    """Return a start at which a backup begins on each instance."""
    step = (LONGEST - SHORTEST) / len(instances)
    places = random.Random(0).sample(range(len(instances)), len(instances))
    outcomes = [
        {
            "instance_id": instance,
            "outcome": {
                "seconds": (SHORTEST + step * place) * SPEED - PHASES_BEFORE,
                "fail_at": 50 if place % FAILED_OF == 0 else None,
            },
        }
        for place, instance in zip(places, instances, strict=True)
    ]
    return {"any_instance": True, "outcomes": outcomes, "automatic_backups": instances}


def arguments(instance: str, job: str, now: float) -> dict[str, Any]:
    """Return a trigger's arguments, as a sensor that has just looked leaves them."""
    return {
        "db_instance_id": instance,
        "backup_job_id": job,
        "dds_conn_id": "dds_default",
        "region_id": None,
        "started_at": now,
        "deadline": now + 3600,
        "poke_interval": POKE_INTERVAL,
        "poll_strategy": "fixed",
    }


def side(classpath: str, kwargs: list[dict[str, Any]], seconds: float, service: EmulatedService) -> triggerer.Seen:
    """Run one side in a fresh process."""
    connection = service.connection(calls_per_second=RATE)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(triggerer.run, classpath, kwargs, seconds, connection, "dds-demo-replica").result()


def moment(text: str) -> float:
    """Return epoch seconds of what the emulator writes."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()


if __name__ == "__main__":
    run_alone(measure)
