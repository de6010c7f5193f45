"""An emulator with a hand-moved clock, and three ways to call it: raw, signed by hand, and by the SDK."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_dds20151201.client import Client
from alibabacloud_tea_openapi.utils_models import Config

from airflow_provider_dds.emulator import Emulator, ManualClock
from tests.support.emulator_calls import Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def clock() -> ManualClock:
    """Midnight UTC after the present: a round moment in the future of no importance."""
    return ManualClock((int(time.time()) // 86_400 + 1) * 86_400)


@pytest.fixture
def emu(clock: ManualClock) -> Iterator[Emulator]:
    """An emulator in which a backup takes 300 seconds of the hand-moved clock: 10 + 20 + 270."""
    with Emulator(speed=1.0, clock=clock) as emulator:
        yield emulator


@pytest.fixture
def call(emu: Emulator) -> Iterator[Caller]:
    caller = Caller(emu)
    with caller.http:
        yield caller


@pytest.fixture
def caller_of() -> Iterator[Callable[[Emulator], Caller]]:
    """Make callers of other emulators."""
    made: list[Caller] = []

    def make(emulator: Emulator) -> Caller:
        made.append(Caller(emulator))
        return made[-1]

    yield make
    for caller in made:
        caller.http.close()


@pytest.fixture
def sdk(emu: Emulator) -> Callable[..., Client]:
    def make(**config: Any) -> Client:
        merged = {
            "access_key_id": emu.access_key_id,
            "access_key_secret": emu.access_key_secret,
            "endpoint": f"127.0.0.1:{emu.port}",
            "protocol": "HTTP",
            **config,
        }
        return Client(Config(**merged))

    return make


@pytest.fixture
def backup(call: Caller) -> Callable[..., str]:
    """Create a backup and return its job id."""

    def create(instance_id: str = "dds-demo-replica", **query: Any) -> str:
        return call("CreateBackup", DBInstanceId=instance_id, **query)["BackupJobId"]

    return create


@pytest.fixture
def row(call: Caller) -> Callable[..., dict[str, Any] | None]:
    """Return the one row of a job in DescribeBackupTasks, None if it has none."""

    def find(job_id: str, instance_id: str = "dds-demo-replica") -> dict[str, Any] | None:
        rows = call("DescribeBackupTasks", DBInstanceId=instance_id, BackupJobId=job_id)["BackupJobs"]
        assert len(rows) <= 1
        return rows[0] if rows else None

    return find


@pytest.fixture
def sets(call: Caller) -> Callable[..., list[dict[str, Any]]]:
    """Return the rows of DescribeBackups."""

    def find(instance_id: str = "dds-demo-replica", **query: Any) -> list[dict[str, Any]]:
        return call("DescribeBackups", DBInstanceId=instance_id, **query)["Backups"]["Backup"]

    return find


@pytest.fixture
def cluster_sets(call: Caller) -> Callable[..., list[dict[str, Any]]]:
    """Return the rows of DescribeClusterBackups."""

    def find(**query: Any) -> list[dict[str, Any]]:
        return call("DescribeClusterBackups", DBInstanceId="dds-demo-cluster", **query)["ClusterBackups"]

    return find
