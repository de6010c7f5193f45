"""Where nothing outlives a try (before Airflow 3.3, or ``durable=False``), a try that has asked is not retried."""

from __future__ import annotations

from dataclasses import replace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_dds.compat import ends_of_a_task
from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsBackupOutcomeUnknownError,
    DdsBackupRunningError,
    DdsConfigurationError,
    DdsError,
)
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.triggers.dds import DdsBackupTrigger, DdsInstanceFreeTrigger
from tests.support.creates import backups, both_waits
from tests.support.runner import REPLICA

WHAT = ["no store", "durable=False"]


@pytest.fixture(params=WHAT)
def forgetful(operator, request):
    """Make a run of the operator whose tries know nothing of each other."""

    def make(**kwargs):
        run = operator(durable=request.param != "durable=False", **kwargs)
        run.store = None
        return run

    return make


def deny(emulator, action, after=0):
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action=action, after=after, times=None)


@both_waits
def test_whatever_fails_after_the_request_is_not_retried_without_a_store(emulator, forgetful, deferrable):
    run = forgetful(wait_for_completion=True, deferrable=deferrable)
    deny(emulator, "DescribeBackupTasks", after=2)
    with pytest.raises(DdsAccessDeniedError, match="a retry would know nothing of that request") as caught:
        run.once()
    assert isinstance(caught.value, AirflowFailException)
    assert (caught.value.code, caught.value.action) == ("Forbidden.RAM", "DescribeBackupTasks")
    assert len(backups(emulator)) == 1


def test_settling_that_is_denied_is_not_retried(emulator, forgetful):
    emulator.add_fault("reset_after", action="CreateBackup")
    deny(emulator, "DescribeBackupTasks", after=1)
    with pytest.raises(DdsAccessDeniedError) as caught:
        forgetful().once()
    assert isinstance(caught.value, AirflowFailException)


def test_outcome_that_stays_unknown_is_not_retried(emulator, forgetful):
    emulator.service.readings = Readings(new_row_delay_seconds=100_000, set_lag_seconds=100_000, history="hidden")
    emulator.add_fault("reset_after", action="CreateBackup")
    with pytest.raises(DdsBackupOutcomeUnknownError) as caught:
        forgetful(timeout=100).once()
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("end", ends_of_a_task(), ids=lambda each: each.__name__)
@pytest.mark.parametrize("where", ["in the request", "in the wait"])
def test_execution_timeout_after_the_request_is_not_retried(emulator, forgetful, monkeypatch, end, where):
    run = forgetful(wait_for_completion=True)
    create = DdsHook.create_backup

    def too_long(_=None):
        raise end("too long")

    def ended(*args, **kwargs):
        job_id = create(*args, **kwargs)
        if where == "in the request":
            too_long()
        run.worker.clock = replace(run.worker.clock, sleep=too_long)
        return job_id

    monkeypatch.setattr(DdsHook, "create_backup", ended)
    with pytest.raises(AirflowFailException, match=rf"{REPLICA}.*{end.__name__}: too long.*so none is made") as caught:
        run.once()
    assert isinstance(caught.value, DdsError)
    assert len(backups(emulator)) == 1


def test_failure_before_the_request_may_be_retried(emulator, forgetful):
    deny(emulator, "DescribeBackups")
    with pytest.raises(DdsAccessDeniedError) as caught:
        forgetful().once()
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("error", [DdsAccessDeniedError, DdsBackupRunningError])
def test_request_that_was_refused_may_be_retried(emulator, forgetful, error):
    if error is DdsAccessDeniedError:
        deny(emulator, "CreateBackup")
    else:
        emulator.service.start_automatic_backup(REPLICA)
    with pytest.raises(error) as caught:
        forgetful(if_backup_running="fail").once()
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("trigger", [DdsBackupTrigger, DdsInstanceFreeTrigger])
def test_deferral_that_airflow_ends_is_not_retried(emulator, forgetful, monkeypatch, trigger):
    async def never(self):
        await self.clock.asleep(100_000)
        yield

    monkeypatch.setattr(trigger, "run", never)
    if trigger is DdsInstanceFreeTrigger:
        emulator.service.start_automatic_backup(REPLICA)
    run = forgetful(wait_for_completion=True, deferrable=True)
    if trigger is DdsBackupTrigger:  # it is polled once, and good by then
        assert run.once() == backups(emulator)[0].job_id
    else:
        with pytest.raises(AirflowFailException):
            run.once()
    assert len(backups(emulator)) == (trigger is DdsBackupTrigger)


def test_log_says_what_a_retry_does(emulator, forgetful, logged):
    forgetful().once()
    said = logged()
    assert "whatever fails in this try ends without a retry" in said
    assert "If its worker dies, a retry cannot tell and makes a second backup." in said


def test_argument_that_is_wrong_is_that_error(emulator, forgetful):
    with pytest.raises(DdsConfigurationError) as caught:
        forgetful(db_instance_id=" ").once()
    assert not isinstance(caught.value, AirflowFailException)
