"""Errors that Airflow does not retry: where nothing outlives a try, a retry would send a second request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_dds.exceptions import DdsEndedInDoubtError, DdsError

if TYPE_CHECKING:
    from airflow_provider_dds.creating.record import CreateRecord

WHY = "There is no task state store: a retry would know nothing of that request, so none is made."


def may_have_asked(record: CreateRecord | None) -> bool:
    """Whether a request of this try may have been accepted; also where nobody knows."""
    return record is None or record.may_have_asked


def for_good(error: BaseException, db_instance_id: str, record: CreateRecord | None) -> DdsError:
    """Return an error of the same class that Airflow does not retry.

    :param error: what ended the try.
    :param db_instance_id: the instance.
    :param record: what the try knows of its request.
    """
    if isinstance(error, DdsError):
        kind = type(error)
        final = error.with_text(f"{error} {WHY}")
        namespace = {"__module__": kind.__module__, "__doc__": kind.__doc__}
        final.__class__ = type(kind.__name__, (kind, AirflowFailException), namespace)
        return final
    job_id = record.backup_job_id if record else None
    what = (
        f"Backup job {job_id} of {db_instance_id} goes on" if job_id else f"A backup of {db_instance_id} may have begun"
    )
    said = f"{type(error).__name__}: {error}".rstrip(": .")
    return DdsEndedInDoubtError(
        f"{what}: this try ended after CreateBackup was sent ({said}). {WHY} Look under Backup and Recovery of the "
        "instance in the console: if the backup is there, set XCom return_value of this task to its job id and mark "
        "the task as success; if not, clear this task."
    )
