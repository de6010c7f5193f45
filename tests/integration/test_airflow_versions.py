"""What docs/compatibility.md says about the Airflow that is here. Where it has more, that is what is tested."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow import __version__
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_dds.compat import first_poll_at
from airflow_provider_dds.emulator import Emulator, Readings
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsBackupOutcomeUnknownError
from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor
from airflow_provider_dds.triggers.dds import DdsBackupTrigger
from tests.support.runner import REPLICA
from tests.support.versions import AIRFLOW, HAS_RETRY_POLICIES, HAS_TASK_STATE_STORE, AirflowSensorTimeout

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
no_store = pytest.mark.skipif(HAS_TASK_STATE_STORE, reason="this Airflow has a task state store")


def test_airflow_is_one_that_the_page_names() -> None:
    named = re.findall(r"^\| (\d+\.\d+) \|", PAGE.read_text(), re.MULTILINE)
    assert ".".join(map(str, AIRFLOW)) in named, __version__


# --- a retry --------------------------------------------------------------------------------------------------------


def fail_once_the_backup_is_asked_for(emulator: Emulator) -> None:
    emulator.service.next_job(REPLICA, seconds=400)
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks", after=2)


def test_retry_goes_on_with_its_backup_where_there_is_a_store(emulator: Emulator, operator: Any, clock: Any) -> None:
    fail_once_the_backup_is_asked_for(emulator)
    run = operator(wait_for_completion=True)
    with pytest.raises(DdsAccessDeniedError):
        run.once()
    clock.advance(600)  # the backup has ended: another can be made
    run.retry()
    assert len(emulator.service.jobs(REPLICA)) == (1 if HAS_TASK_STATE_STORE else 2)


@no_store
def test_without_a_store_the_log_says_so_once(emulator: Emulator, operator: Any, logged: Any) -> None:
    operator(wait_for_completion=True, deferrable=True).once()
    assert logged().count("This Airflow has no task state store (3.3 and later)") == 1


def test_without_a_store_a_lost_answer_is_still_settled_within_the_try(emulator: Emulator, operator: Any) -> None:
    emulator.add_fault("reset_after", action="CreateBackup")
    run = operator()
    run.store = None
    assert [run.once()] == [job.job_id for job in emulator.service.jobs(REPLICA)]


def test_request_that_cannot_be_settled_is_not_retried_without_a_store(emulator: Emulator, operator: Any) -> None:
    emulator.add_fault("reset_after", action="CreateBackup")
    emulator.add_fault(
        "error", status=503, code="ServiceUnavailable", action="DescribeBackupTasks", after=1, times=None
    )
    with pytest.raises(DdsBackupOutcomeUnknownError) as caught:
        operator().once()
    assert isinstance(caught.value, AirflowFailException) != HAS_TASK_STATE_STORE


@no_store
def test_cleared_task_makes_a_new_backup_even_while_its_old_one_runs(emulator: Emulator, operator: Any) -> None:
    run = operator()
    first = run.once()
    assert run.clear() != first


@no_store
def test_sensor_that_is_rescheduled_says_at_each_look_what_it_would_say_once(
    emulator: Emulator, hook: Any, sensor: Any, logged: Any
) -> None:
    emulator.service.next_job(REPLICA, unknown_word="Pondering", unknown_at=10, stuck_at=50)
    job_id = hook.create_backup(REPLICA)
    with pytest.raises(AirflowSensorTimeout):
        sensor(job_id, "reschedule", timeout=900).once()
    assert logged().count("'Pondering' is none that the service documents") > 1


@pytest.mark.parametrize("stored", [True, False])
def test_sensor_that_is_rescheduled_holds_its_worker_for_a_grace_without_a_store(
    emulator: Emulator, hook: Any, sensor: Any, stored: bool
) -> None:
    if stored and not HAS_TASK_STATE_STORE:
        pytest.skip("this Airflow has no task state store (3.3 and later)")
    emulator.service.readings = Readings(finished_row_seconds=0, set_lag_seconds=120)
    run = sensor(hook.create_backup(REPLICA), "reschedule")
    if not stored:
        run.store = None
    assert run.once()["status"] == "Success"
    assert (run.starts == emulator.calls("DescribeBackupTasks")) == stored


# --- the default retry policy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [DdsCreateBackupOperator, DdsBackupSensor])
def test_default_retry_policy_is_there_where_airflow_has_policies(cls: Any) -> None:
    arguments = {"backup_job_id": "1"} if cls is DdsBackupSensor else {}
    task = cls(task_id="task", db_instance_id=REPLICA, **arguments)
    assert (getattr(task, "retry_policy", None) is not None) == HAS_RETRY_POLICIES


# --- a deferral -----------------------------------------------------------------------------------------------------


def test_sensor_whose_triggerer_never_answers_times_out_and_is_not_retried(
    emulator: Emulator, hook: Any, sensor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(self: Any) -> Any:
        await self.clock.asleep(100_000)
        yield

    monkeypatch.setattr(DdsBackupTrigger, "run", never)
    emulator.service.next_job(REPLICA, stuck_at=50)
    with pytest.raises(AirflowSensorTimeout, match="Backuping 50 %"):
        sensor(hook.create_backup(REPLICA), "deferrable").once()


def test_sensor_that_asks_for_the_triggerer_begins_on_a_worker_where_airflow_has_no_other_way(
    emulator: Emulator, hook: Any, sensor: Any, logged: Any
) -> None:
    run = sensor(hook.create_backup(REPLICA), "deferrable", start_from_trigger=True)
    assert run.task.start_from_trigger == (AIRFLOW >= (3, 3))
    assert (run.task.start_trigger_args is None) == (AIRFLOW < (3, 3))
    assert run.once()["status"] == "Success"  # as airflow dags test runs it on all of them
    assert run.starts == 2
    assert logged().count("Begun on a worker in spite of start_from_trigger") == 1


def test_start_of_a_wait_is_read_as_airflow_3_0_tells_it_under_dags_test() -> None:
    began = datetime(2026, 11, 24, 5, 3, 28, 178835, tzinfo=timezone.utc)
    ti = SimpleNamespace(get_first_reschedule_date=lambda _: "2026-11-24T05:03:28.178835Z")
    assert first_poll_at({"ti": ti}, 0) == began


# --- arguments of Airflow's own -------------------------------------------------------------------------------------


def test_sensor_takes_none_for_the_default_timeout_where_airflow_does() -> None:
    def make() -> DdsBackupSensor:
        return DdsBackupSensor(task_id="wait", db_instance_id=REPLICA, backup_job_id="1", timeout=None)

    if AIRFLOW >= (3, 3):
        assert make().timeout
    else:
        with pytest.raises((ValueError, AirflowException), match="timeout"):
            make()


# --- imports --------------------------------------------------------------------------------------------------------


def test_dag_files_import_from_airflow_sdk_from_3_0_on() -> None:
    done = subprocess.run([sys.executable, "-c", "from airflow.sdk import dag"], capture_output=True, check=False)
    assert (done.returncode == 0) == (AIRFLOW >= (3, 0))
