"""Metrics as a StatsD server gets them, of a worker and of the triggerer of a real Airflow."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from dev.waiting import wait_for
from tests.support.versions import AIRFLOW

if TYPE_CHECKING:
    import socket

    from dev.airflow_box import AirflowBox

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 3 runs in the box")]

GATE = "dds_backup_gate_deferrable"
INSTANCE = "dds-measured"


def test_worker_and_triggerer_tell_of_a_gate(box: AirflowBox, metrics_heard: socket.socket) -> None:
    box.emulator.add_instance(INSTANCE)
    told: Counter[str] = Counter()

    def heard() -> Counter[str]:
        while True:
            try:
                packet = metrics_heard.recv(65_536).decode()
            except BlockingIOError:
                return told
            told.update(line.partition(":")[0] for line in packet.splitlines())

    heard()
    told.clear()
    run_id = box.api.start(GATE, {"db_instance_id": INSTANCE})
    assert box.api.wait_for_run(GATE, run_id, timeout=120, on_look=box.check) == "success"

    size = f"airflow.dds.backup.size_bytes,region=cn-hangzhou,db_instance_id={INSTANCE}"
    wait_for(heard, "the metrics", until=lambda seen: seen[size] > 0, timeout=30)

    asked = box.emulator.requests("DescribeBackupTasks", INSTANCE)
    polls = Counter({name: count for name, count in told.items() if name.startswith("airflow.dds.polls,")})
    assert {name for name in polls if "wait=backup_job" in name} == {
        "airflow.dds.polls,wait=backup_job,outcome=wait,region=cn-hangzhou",
        "airflow.dds.polls,wait=backup_job,outcome=done,region=cn-hangzhou",
    }
    assert 2 <= polls.total() <= len(asked), "the worker's, and those of the triggerer, each once"
    assert told["airflow.dds.wait.seconds,wait=backup_job,outcome=done,region=cn-hangzhou"] == 1
    for name in ("age_seconds", "duration_seconds"):
        assert told[f"airflow.dds.backup.{name},region=cn-hangzhou,db_instance_id={INSTANCE}"] == 1
