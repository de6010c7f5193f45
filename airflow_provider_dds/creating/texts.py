"""What a create says: the texts of its errors and of its log lines."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.exceptions import DdsBackupOutcomeUnknownError, DdsInvalidRequestError, DdsTimeoutError
from airflow_provider_dds.waiting.texts import brief, duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_dds.api.models import BackupJob, DBInstance
    from airflow_provider_dds.creating.record import CreateRecord
    from airflow_provider_dds.exceptions import DdsError

LONG_AS_FOR_EVER = 36_500.0
"""Days: what the service keeps for so long it keeps for ever."""
NO_STORE = (
    "This Airflow has no task state store (3.3 and later). Once CreateBackup may have been accepted, whatever fails in "
    "this try ends without a retry. If its worker dies, a retry cannot tell and makes a second backup."
)
NOT_DURABLE = (
    "durable=False: nothing is kept in the task state store. Once CreateBackup may have been accepted, whatever fails "
    "in this try ends without a retry. If its worker dies, a retry cannot tell and makes a second backup."
)


def too_late(record: CreateRecord, reason: str | None, timeout: float) -> DdsError:
    """Return the error for a deadline that has passed before the job was known."""
    if record.in_doubt:
        seen = reason or "nothing that could come from it showed"
        return outcome_unknown(record, f"{seen} within timeout ({timeout:g} s)")
    advice = "Clear it once the instance is Running and no backup runs on it, or raise timeout."
    error = DdsTimeoutError(
        f"{record.db_instance_id} could not be backed up within timeout ({timeout:g} s for all tries): "
        f"{reason or 'the service accepted no request before that'}. This task made no backup. {advice}"
    )
    return error.with_facts(advice=advice)


def gone(instance: DBInstance, word: str, refusal: str = "") -> DdsError:
    """Return the error for an instance in such a state."""
    after = f" {refusal}." if refusal else ""
    advice = "Renew the instance if it has expired; else take it out of the DAG."
    error = DdsInvalidRequestError(
        f"{instance.db_instance_id} cannot be backed up: DescribeDBInstanceAttribute shows it as {word}, a state that "
        f"no waiting ends.{after} This task made no backup. {advice} Request id: none.",
        action="DescribeDBInstanceAttribute",
        http_status=200,
        message=f"The instance is {word}.",
        db_instance_id=instance.db_instance_id,
    )
    return error.with_facts(advice=advice)


def outcome_unknown(record: CreateRecord, seen: str) -> DdsBackupOutcomeUnknownError:
    """Return the error for a request that may have been accepted, with what was seen and how to settle it by hand."""
    advice = (
        "Look under Backup and Recovery of the instance in the console for a manual backup that started then; the two "
        "clocks may differ by 15 minutes. If it is there, set XCom return_value of this task to its job id and mark "
        "this task as success. If it is not, clear this task: it makes a new backup."
    )
    error = DdsBackupOutcomeUnknownError(
        f"CreateBackup for {record.db_instance_id} at {requested_at(record)} may have been accepted: its answer was "
        f"lost, and {seen}. So as not to make a second backup, this task stops. {advice}"
    )
    return error.with_facts(advice=advice)


def kept_too_short(asked: int | None, facts: Mapping[str, Any]) -> str | None:
    """Return the warning about a backup that the service keeps for less than was asked for; None where it does not.

    :param asked: days, -1 for ever, None for what the instance's policy says.
    :param facts: of the backup.
    """
    expires, ended = facts.get("expire_time"), facts.get("end_time")
    if asked is None or not (expires and ended):
        return None
    until = datetime.fromisoformat(expires)
    days = (until - datetime.fromisoformat(ended)).total_seconds() / 86_400
    if days >= (LONG_AS_FOR_EVER if asked == -1 else asked - 1):
        return None
    wanted = "for ever" if asked == -1 else f"for {asked} days"
    return (
        f"Backup {facts.get('backup_id')} of {facts.get('db_instance_id')} was to be kept {wanted}, but the service "
        f"keeps it for {days:.0f} days, until {until:%Y-%m-%d %H:%M} UTC. It honours backup_retention_period for cloud "
        "disks only: change the backup policy of the instance."
    )


def requested_at(record: CreateRecord) -> str:
    """Return the time of the oldest request in doubt, for people."""
    return moment(record.requested_at or 0.0).strftime("%Y-%m-%d %H:%M:%S UTC")


def occupied_by(instance: DBInstance, job: BackupJob | None) -> str | None:
    """Return what keeps an instance from taking a backup; None if nothing shows."""
    if job is not None:
        progress = f" {job.progress} %" if job.progress is not None else ""
        mode = f"{job.job_mode.lower()} " if job.job_mode else ""
        return f"{mode}backup {job.backup_job_id} is {job.status}{progress}"
    return f"the instance is {instance.status}" if instance.status != "Running" else None


def poll_failed(record: CreateRecord, said: str, failures: int, wait: float) -> str:
    """Return the line for a poll that failed and is made again."""
    count = f" ({failures} in a row)" if failures > 1 else ""
    return (
        f"Backing up {record.db_instance_id} waits{count}: {said}; next call in {duration(wait)}, until "
        f"{_clock_time(record.deadline)}."
    )


def waiting(record: CreateRecord, said: str, waited: float) -> str:
    """Return the line for a wait until a request can be sent."""
    so_far = f", for {duration(waited)} so far" if waited >= 1 else ""
    return (
        f"Waiting to back up {record.db_instance_id}{so_far}: {said}. It waits until "
        f"{_clock_time(record.deadline)} at most."
    )


def denied_after_clear(error: DdsError, backup_job_id: str) -> str:
    """Return the text for a poll for the job from before a clear that failed for good."""
    return f"Whether backup job {backup_job_id} from before the clear still runs is not known. {error}"


def none_runs(backup_job_id: str | None) -> str:
    """Return the line for a clear after which a new backup is made."""
    what = f"its backup job {backup_job_id} has ended" if backup_job_id else "nothing that runs is surely its own"
    return f"The task was cleared; {what}, making a new one."


def said_of(error: DdsError) -> str:
    """Return an error in few words, without the full stop."""
    return brief(error).rstrip(".")


def moment(epoch: float) -> datetime:
    """Return epoch seconds as a time."""
    return datetime.fromtimestamp(epoch, tz=timezone.utc)


def _clock_time(epoch: float) -> str:
    return f"{moment(epoch):%Y-%m-%d %H:%M:%S} UTC"
