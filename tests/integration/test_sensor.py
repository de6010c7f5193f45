"""The sensor against the service over HTTP, in all modes."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from airflow_provider_dds.arguments import POLL_STRATEGIES
from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsBackupFailedError,
    DdsBackupNotFoundError,
    DdsConfigurationError,
    DdsNotFoundError,
    DdsSensorTimeoutError,
)
from tests.support.runner import REPLICA, TriggererRestart
from tests.support.versions import (
    HAS_TASK_STATE_STORE,
    AirflowSensorTimeout,
    AirflowSkipException,
    every_mode_that_remembers,
    needs_task_state_store,
)

every_mode = pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])


@every_mode
def test_succeeds_when_the_job_is_finished_and_its_set_is_good(emulator, hook, sensor, mode):
    job_id = hook.create_backup(REPLICA)
    facts = sensor(job_id, mode).once()
    assert facts == json.loads(json.dumps(facts))
    assert facts["backup_job_id"] == job_id
    assert facts["db_instance_id"] == REPLICA
    assert facts["status"] == "Success"
    assert facts["backup_id"]
    assert facts["size_bytes"] > 0
    assert facts["start_time"] < facts["end_time"]
    assert facts["start_time"].endswith("+00:00")
    assert set(facts) == {
        "db_instance_id", "backup_job_id", "backup_id", "status", "backup_method", "backup_mode", "backup_type",
        "start_time", "end_time", "size_bytes", "expire_time", "engine_version",
    }  # fmt: skip


def test_result_is_the_same_in_all_modes(emulator, hook, sensor):
    job_id = hook.create_backup(REPLICA)
    results = [sensor(job_id, mode).once() for mode in ("poke", "reschedule", "deferrable")]
    assert results[0] == results[1] == results[2]


@every_mode
def test_looks_once_every_interval_with_the_fixed_strategy(emulator, hook, sensor, mode):
    job_id = hook.create_backup(REPLICA)
    sensor(job_id, mode, poke_interval=60, poll_strategy="fixed").once()
    looks = [request.time for request in emulator.requests("DescribeBackupTasks")]
    assert [late - early for early, late in itertools.pairwise(looks)] == [60] * (len(looks) - 1)
    assert len(looks) == 6


@every_mode
def test_backs_off_with_the_time_waited_up_to_max_wait(emulator, hook, sensor, mode):
    job_id = hook.create_backup(REPLICA)
    sensor(job_id, mode, poke_interval=10, exponential_backoff=True, max_wait=60).once()
    looks = [request.time for request in emulator.requests("DescribeBackupTasks")]
    spaces = [late - early for early, late in itertools.pairwise(looks)]
    assert spaces == sorted(spaces)
    assert spaces[0] == 10
    assert spaces[-1] == 60


def spaces(emulator, run):
    """Run a wait and return the seconds between its polls."""
    seen = len(emulator.requests("DescribeBackupTasks"))
    run.once()
    looks = [request.time for request in emulator.requests("DescribeBackupTasks")[seen:]]
    return [late - early for early, late in itertools.pairwise(looks)]


@every_mode
def test_looks_follow_the_progress_of_a_long_backup(emulator, hook, sensor, mode):
    emulator.service.next_job(REPLICA, seconds=7200)
    found = spaces(emulator, sensor(hook.create_backup(REPLICA), mode, poke_interval=60, timeout=4 * 3600))
    forgets = mode == "reschedule" and not HAS_TASK_STATE_STORE  # each process knows only the progress that it sees
    assert len(found) < (60 if forgets else 20)
    assert min(found) == 60
    assert max(found) > (200 if forgets else 900)
    assert sum(found) - 7200 < (300 if forgets else 120)


@every_mode
def test_looks_keep_to_max_wait_however_long_the_backup_takes(emulator, hook, sensor, mode):
    emulator.service.next_job(REPLICA, seconds=7200)
    run = sensor(hook.create_backup(REPLICA), mode, poke_interval=60, timeout=4 * 3600, max_wait=300)
    assert max(spaces(emulator, run)) == 300


@needs_task_state_store
@pytest.mark.parametrize("strategy", POLL_STRATEGIES)
@pytest.mark.parametrize("progress", ["percent", "absent", "nonsense"])
def test_looks_are_the_same_in_all_modes(clock, emulator, hook, sensor, strategy, progress):
    emulator.service.readings = Readings(progress=progress)
    found = []
    for mode in ("poke", "reschedule", "deferrable"):
        clock.advance(-clock.now % 100)
        emulator.service.next_job(REPLICA, seconds=5000)
        run = sensor(hook.create_backup(REPLICA), mode, timeout=4 * 3600, poll_strategy=strategy)
        found.append(spaces(emulator, run))
    assert found[1] == pytest.approx(found[0])
    assert found[2] == pytest.approx(found[0])
    assert len(found[0]) > 3


@every_mode
def test_set_that_is_not_visible_yet_is_looked_for_each_interval(emulator, hook, sensor, mode):
    emulator.service.readings = Readings(set_lag_seconds=300)
    emulator.service.next_job(REPLICA, seconds=5000)
    found = spaces(emulator, sensor(hook.create_backup(REPLICA), mode, poke_interval=60, timeout=4 * 3600))
    assert found[-4:] == [60] * 4


def test_reschedule_mode_without_a_store_still_follows_the_progress(emulator, hook, sensor):
    emulator.service.next_job(REPLICA, seconds=7200)
    run = sensor(hook.create_backup(REPLICA), "reschedule", poke_interval=60, timeout=4 * 3600)
    run.store = None
    found = spaces(emulator, run)
    assert len(found) < 60
    assert min(found) == 60


@every_mode
def test_fails_without_retry_when_the_job_failed(emulator, hook, sensor, mode):
    emulator.service.next_job(REPLICA, fail_at=40)
    job_id = hook.create_backup(REPLICA)
    with pytest.raises(DdsBackupFailedError, match=rf"Backup {job_id} of {REPLICA} failed .*DescribeBackupTasks \("):
        sensor(job_id, mode).once()


@every_mode
def test_fails_when_the_row_vanishes_and_the_set_is_failed(emulator, hook, sensor, mode):
    emulator.service.readings = Readings(failed_job_status=None)
    emulator.service.next_job(REPLICA, fail_at=40)
    job_id = hook.create_backup(REPLICA)
    with pytest.raises(DdsBackupFailedError, match=r"set .* is Failed"):
        sensor(job_id, mode).once()


@every_mode
def test_succeeds_when_the_row_vanishes_and_the_set_is_good(emulator, hook, sensor, mode):
    emulator.service.readings = Readings(finished_row_seconds=0, set_lag_seconds=120)
    job_id = hook.create_backup(REPLICA)
    assert sensor(job_id, mode).once()["status"] == "Success"


@every_mode
def test_is_not_found_after_the_grace(emulator, hook, sensor, clock, mode):
    began = clock.now
    with pytest.raises(DdsBackupNotFoundError, match=r"DescribeBackupTasks.*DescribeBackups"):
        sensor("999999", mode, not_found_grace=120).once()
    assert 120 <= clock.now - began <= 150


@every_mode
def test_set_that_stays_invisible_is_taken_for_good_with_a_warning(emulator, hook, sensor, clock, mode, logged):
    emulator.service.readings = Readings(set_lag_seconds=100_000)
    job_id = hook.create_backup(REPLICA)
    began = clock.now
    facts = sensor(job_id, mode, confirm_timeout=240).once()
    assert facts["status"] == "Finished"
    assert facts["backup_id"] is None
    assert clock.now - began >= 300 + 240
    assert "not become visible within confirm_timeout" in logged()


@every_mode
def test_set_that_shows_late_is_waited_for(emulator, hook, sensor, mode):
    emulator.service.readings = Readings(set_lag_seconds=200)
    job_id = hook.create_backup(REPLICA)
    assert sensor(job_id, mode).once()["backup_id"]


@every_mode
def test_without_confirmation_finished_is_enough(emulator, hook, sensor, mode):
    emulator.service.readings = Readings(set_lag_seconds=100_000)
    job_id = hook.create_backup(REPLICA)
    assert sensor(job_id, mode, confirm_backup_set=False).once()["status"] == "Finished"
    assert emulator.calls("DescribeBackups") == 0


@every_mode
def test_times_out_with_what_it_saw_and_never_retries(emulator, hook, sensor, clock, mode):
    emulator.service.next_job(REPLICA, stuck_at=50)
    job_id = hook.create_backup(REPLICA)
    began = clock.now
    with pytest.raises(AirflowSensorTimeout, match=rf"Backup {job_id} of {REPLICA} was not good .*Backuping"):
        sensor(job_id, mode, timeout=600).once()
    assert 600 <= clock.now - began <= 601


@every_mode_that_remembers
def test_unknown_status_is_waited_out_and_said_once(emulator, hook, sensor, mode, logged):
    emulator.service.next_job(REPLICA, unknown_word="Pondering", unknown_at=10, stuck_at=50)
    job_id = hook.create_backup(REPLICA)
    with pytest.raises(AirflowSensorTimeout):
        sensor(job_id, mode, timeout=900).once()
    assert logged().count("'Pondering' is none that the service documents") == 1


@every_mode
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "throttle"},
        {"kind": "error", "status": 503, "code": "ServiceUnavailable"},
        {"kind": "html", "status": 502},
        {"kind": "html", "status": 200},
        {"kind": "empty_body"},
        {"kind": "null_body"},
        {"kind": "truncated_body"},
        {"kind": "wrong_shape", "body": {"RequestId": "R", "BackupJobs": "none"}},
        {"kind": "wrong_shape", "body": [{"BackupJobs": []}]},
        {"kind": "reset_before"},
        {"kind": "reset_after"},
    ],
    ids=lambda fault: "-".join(str(value)[:20] for value in fault.values()),
)
def test_what_passes_is_waited_out(emulator, hook, sensor, mode, fault):
    job_id = hook.create_backup(REPLICA)
    emulator.add_fault(**fault, action="DescribeBackupTasks", times=12)
    assert sensor(job_id, mode).once()["status"] == "Success"
    assert emulator.calls("DescribeBackupTasks") > 12


@every_mode
def test_list_that_is_wrapped_is_read_all_the_same(emulator, hook, sensor, mode):
    job_id = hook.create_backup(REPLICA)
    emulator.add_fault("wrong_shape", times=None)
    assert sensor(job_id, mode).once()["status"] == "Success"


@every_mode
def test_outage_until_the_deadline_times_out_with_the_last_error(emulator, hook, sensor, mode):
    job_id = hook.create_backup(REPLICA)
    emulator.add_fault("error", status=503, code="ServiceUnavailable", action="DescribeBackupTasks", times=None)
    with pytest.raises(AirflowSensorTimeout, match=rf"{job_id} of {REPLICA}.*ServiceUnavailable.*Request id: [0-9A-F]"):
        sensor(job_id, mode, timeout=900).once()


@every_mode
def test_missing_permission_fails_at_once(emulator, hook, sensor, mode):
    job_id = hook.create_backup(REPLICA)
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks", times=None, after=2)
    with pytest.raises(DdsAccessDeniedError, match=rf"Backup {job_id} .*Allow the action dds:DescribeBackupTasks"):
        sensor(job_id, mode).once()
    assert emulator.calls("DescribeBackupTasks") == 3


@every_mode
def test_unknown_instance_fails_at_once(emulator, sensor, mode):
    with pytest.raises(DdsNotFoundError, match="Check the instance id"):
        sensor("1", mode, db_instance_id="dds-nowhere").once()


@every_mode
@pytest.mark.parametrize("nothing", [None, "", "  ", "None", [], ["1", "2"]])
def test_job_id_that_rendered_to_nothing_sends_nothing(emulator, sensor, mode, nothing):
    with pytest.raises(DdsConfigurationError, match="backup_job_id"):
        sensor(nothing, mode).once()
    with pytest.raises(DdsConfigurationError, match="db_instance_id"):
        sensor("1", mode, db_instance_id=nothing).once()
    assert emulator.requests() == []


@every_mode
def test_id_as_a_number_or_with_a_newline_is_the_same_id(emulator, hook, sensor, mode):
    emulator.service.readings = Readings(row_id_type="int")
    job_id = hook.create_backup(REPLICA)
    assert sensor(f" {job_id}\n", mode).once()["backup_job_id"] == job_id
    emulator.service.readings = Readings(trailing_newline=True)
    job_id = hook.create_backup(REPLICA)
    assert sensor(int(job_id), mode).once()["backup_job_id"] == job_id
    assert sensor(float(job_id), mode).once()["backup_job_id"] == job_id


@every_mode
def test_rows_of_other_jobs_never_count(emulator, hook, sensor, clock, mode):
    hook.create_backup(REPLICA)
    clock.advance(400)
    emulator.service.readings = Readings(job_filter_in_tasks=False, job_filter_in_sets=False)
    with pytest.raises(DdsBackupNotFoundError):
        sensor("424242", mode).once()


@every_mode
def test_soft_fail_skips_a_failed_backup_but_not_a_missing_permission(emulator, hook, sensor, mode):
    emulator.service.next_job(REPLICA, fail_at=40)
    job_id = hook.create_backup(REPLICA)
    with pytest.raises(AirflowSkipException):
        sensor(job_id, mode, soft_fail=True).once()
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks", times=None)
    with pytest.raises(DdsAccessDeniedError):
        sensor(job_id, mode, soft_fail=True).once()


@every_mode
def test_soft_fail_skips_a_timeout(emulator, hook, sensor, mode):
    emulator.service.next_job(REPLICA, stuck_at=50)
    with pytest.raises(AirflowSkipException):
        sensor(hook.create_backup(REPLICA), mode, soft_fail=True, timeout=600).once()


@every_mode
def test_never_fail_skips_whatever_goes_wrong(emulator, hook, sensor, mode):
    job_id = hook.create_backup(REPLICA)
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks", times=None, after=1)
    with pytest.raises(AirflowSkipException):
        sensor(job_id, mode, never_fail=True).once()


@every_mode
def test_silent_fail_waits_on_after_what_would_end_the_wait(emulator, hook, sensor, mode, logged):
    job_id = hook.create_backup(REPLICA)
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks", times=4, after=1)
    assert sensor(job_id, mode, silent_fail=True).once()["status"] == "Success"
    assert "Forbidden.RAM" in logged()


@every_mode
def test_silent_fail_ends_at_the_deadline_with_the_last_error(emulator, hook, sensor, clock, mode):
    job_id, began = hook.create_backup(REPLICA), clock.now
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks", times=None)
    with pytest.raises(AirflowSensorTimeout, match=r"The last poll failed.*Forbidden\.RAM"):
        sensor(job_id, mode, silent_fail=True, timeout=600).once()
    assert 600 <= clock.now - began <= 601


@every_mode
def test_silent_fail_hides_no_backup_that_failed(emulator, hook, sensor, mode):
    emulator.service.next_job(REPLICA, fail_at=40)
    with pytest.raises(DdsBackupFailedError):
        sensor(hook.create_backup(REPLICA), mode, silent_fail=True).once()


def test_deferrable_looks_once_on_the_worker_and_ends_on_it(emulator, hook, sensor):
    run = sensor(hook.create_backup(REPLICA), "deferrable")
    run.once()
    assert run.starts == 2
    assert len(run.deferrals) == 1


def test_deferrable_does_not_defer_for_a_backup_that_is_done(emulator, hook, sensor, clock):
    job_id = hook.create_backup(REPLICA)
    clock.advance(400)
    run = sensor(job_id, "deferrable")
    run.once()
    assert run.deferrals == []


def test_trigger_carries_plain_json_and_no_secret(emulator, hook, sensor):
    run = sensor(hook.create_backup(REPLICA), "deferrable")
    run.once()
    [(path, kwargs)] = run.deferrals
    assert path == "airflow_provider_dds.triggers.backup.DdsBackupTrigger"
    assert emulator.access_key_secret not in json.dumps(kwargs)
    assert emulator.access_key_id not in json.dumps(kwargs)


def test_triggerer_that_restarts_goes_on_with_the_same_deadline(emulator, hook, sensor, clock):
    emulator.service.next_job(REPLICA, stuck_at=50)
    run = sensor(hook.create_backup(REPLICA), "deferrable", timeout=600)
    run.restart_triggerer_after = 5
    began = clock.now
    with pytest.raises(AirflowSensorTimeout):
        run.once()
    assert 600 <= clock.now - began <= 631


@pytest.mark.parametrize("poll_strategy", ["progress", "exponential", "fixed"])
def test_triggerer_that_restarts_polls_within_one_interval(emulator, hook, sensor, clock, poll_strategy):
    """The interval of an exponential wait is as long as the wait was so far: hours, begun anew by each restart."""
    emulator.service.next_job(REPLICA, seconds=6 * 3600)
    run = sensor(
        hook.create_backup(REPLICA), "deferrable", poke_interval=60, timeout=86400, poll_strategy=poll_strategy
    )
    restart_at = clock.now + 3 * 3600
    paused = []

    async def sleep(seconds):
        clock.advance(min(seconds, max(0, restart_at - clock.now) if not paused else seconds))
        if clock.now >= restart_at:
            paused.append(seconds)
            if len(paused) == 1:
                raise TriggererRestart

    run.trigger_sleep = sleep
    assert run.once()["status"] == "Success"
    assert paused[1] <= 60


def test_clock_that_is_put_back_changes_neither_deadline_nor_text(emulator, hook, sensor, clock):
    """In poke mode Airflow ends a wait by a clock that never goes back: its own text would name no backup."""
    emulator.service.next_job(REPLICA, stuck_at=50)
    job_id = hook.create_backup(REPLICA)
    run = sensor(job_id, "poke", timeout=1200, poke_interval=60)
    set_up = run.set_up_worker

    def put_back(worker):
        set_up(worker)
        began = clock.now
        ahead = lambda: 0 if clock.now < began + 300 else -90  # noqa: E731
        worker.clock = replace(worker.clock, now=lambda: clock.now + ahead(), monotonic=clock)

    run.set_up_worker = put_back
    began = clock.now
    with pytest.raises(DdsSensorTimeoutError, match=f"Backup {job_id} of {REPLICA} was not good at its deadline"):
        run.once()
    assert clock.now - began == 1200


def test_reschedule_without_a_state_store_keeps_the_grace(emulator, hook, sensor):
    emulator.service.readings = Readings(finished_row_seconds=0, set_lag_seconds=120)
    run = sensor(hook.create_backup(REPLICA), "reschedule")
    run.store = None
    assert run.once()["status"] == "Success"


def test_no_secret_is_logged(emulator, hook, sensor, logged):
    emulator.add_fault("error", status=400, code="SignatureDoesNotMatch", action="DescribeBackupTasks", after=2)
    job_id = hook.create_backup(REPLICA)
    with pytest.raises(DdsAccessDeniedError) as caught:
        sensor(job_id, "deferrable").once()
    assert emulator.access_key_secret not in logged() + repr(caught.value) + str(vars(caught.value))


@every_mode
@pytest.mark.parametrize("instance_id", [REPLICA, "dds-demo-cluster", "dds-demo-sharded"])
def test_id_of_a_backup_set_is_called_so(emulator, hook, clock, sensor, mode, instance_id):
    job_id = hook.create_backup(instance_id)
    clock.advance(400)
    [job] = emulator.service.jobs(instance_id)
    set_id = job.job.cluster_backup_id or job.job.sets[-1].backup_id
    says = f"{set_id} is the id of a backup set, not of a job: "
    says += "pass the id of the job that made it" if job.job.cluster_backup_id else f"its job is {job_id}"
    with pytest.raises(DdsBackupNotFoundError, match=says):
        sensor(set_id, mode, instance_id).once()
