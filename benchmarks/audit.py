"""What it costs to audit 500 instances in one task: calls an instance, seconds at the service's limit, memory.

The emulator, in a process of its own, allows 20 calls in each second, as the hook does by default, and has 500
instances of which each has a backup: 450 replica sets and 50 sharded clusters. One process audits all of them as the
operator does. Beside it the same answers by the hook's public methods, as a task would ask that somebody writes by
hand, for the first 50 instances: the ratio is that of the calls.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import tracemalloc
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.waiting.inventory.audit import Audit, audit_all, instances_to_audit
from airflow_provider_dds.waiting.inventory.freshness import Freshness
from benchmarks.result import Result, Table, Target, run_alone
from benchmarks.service import EmulatedService, emulated

ALLOWED = 20
REPLICAS, CLUSTERS, BY_HAND = 450, 50, 50
MAX_AGE = timedelta(hours=26)
MOST_CALLS, MOST_LATE, MOST_MIB = 6.0, 1.1, 64.0
SECONDS_OF_A_BACKUP = 0.3


def measure() -> Result:
    """Audit all instances, and some of them by hand."""
    kinds = {f"dds-replica-{n:03}": "cloud_replica" for n in range(REPLICAS)}
    kinds |= {f"dds-cluster-{n:03}": "cloud_cluster" for n in range(CLUSTERS)}
    scenario = {
        "default_instances": False,
        "instances": [{"instance_id": name, "kind": kind} for name, kind in kinds.items()],
        "automatic_backups": list(kinds),
        "timing": {"scheduled": 0.0, "checking": 0.0, "backup": SECONDS_OF_A_BACKUP},
        "readings": {"calls_per_second": ALLOWED},
    }
    with emulated(scenario, speed=1.0) as service:
        time.sleep(2 * SECONDS_OF_A_BACKUP)
        ok, seconds, peak = alone(service, audited)
        ours = Counter(each["action"] for each in service.requests())
        throttled = sum(bool(each["code"]) for each in service.requests())
        before = len(service.requests())
        alone(service, by_hand)
        theirs = (len(service.requests()) - before) / BY_HAND
    calls = ours.total() / len(kinds)
    implied = ours.total() / ALLOWED
    return Result(
        "audit",
        f"An audit of {len(kinds)} instances, where the service allows {ALLOWED} calls a second",
        tables=[
            Table("Calls", ["Action", "calls"], [[name, count] for name, count in sorted(ours.items())]),
            Table(
                "An instance",
                ["Side", "calls"],
                [["this package's audit", f"{calls:.2f}"], ["the same by its public methods", f"{theirs:.2f}"]],
            ),
        ],
        targets=[
            Target(f"All {len(kinds)} hold", str(ok), ok == len(kinds)),
            Target(f"Calls an instance: at most {MOST_CALLS:g}", f"{calls:.2f}", calls <= MOST_CALLS),
            Target(
                f"Seconds: at most {MOST_LATE:g} times those that its calls imply",
                f"{seconds:.0f} s, {implied:.0f} s implied, {throttled} throttled",
                seconds <= MOST_LATE * implied,
            ),
            Target(f"Python's memory at its peak: under {MOST_MIB:g} MiB", f"{peak:.1f} MiB", peak < MOST_MIB),
        ],
        notes=["Memory is what Python's allocator counts from the first call on, without what was imported before."],
    )


def alone(service: EmulatedService, side: Any) -> Any:
    """Run a side in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(side, service.connection()).result()


def audited(connection: str) -> tuple[int, float, float]:
    """Audit all instances; return how many hold, the seconds that it took, and the peak of memory in MiB."""
    os.environ["AIRFLOW_CONN_DDS_DEFAULT"] = connection
    hook = DdsHook()
    tracemalloc.start()
    begun = time.monotonic()
    rows = list(
        audit_all(
            hook.run,
            instances_to_audit(hook.run, None, None),
            Audit(Freshness(MAX_AGE.total_seconds()), min_retention_days=7),
            time.time,
        )
    )
    return sum(row.ok is True for row in rows), time.monotonic() - begun, tracemalloc.get_traced_memory()[1] / 2**20


def by_hand(connection: str) -> None:
    """Ask the same of some instances by the hook's methods."""
    os.environ["AIRFLOW_CONN_DDS_DEFAULT"] = connection
    hook = DdsHook()
    since = datetime.now(tz=timezone.utc) - 2 * MAX_AGE
    for number in range(BY_HAND):
        name = f"dds-replica-{number:03}"
        if not any(each.good for each in hook.list_backups(name, since=since)):
            raise RuntimeError(name)
        hook.describe_backup_policy(name)
        hook.describe_backup_storage(name)


if __name__ == "__main__":
    run_alone(measure)
