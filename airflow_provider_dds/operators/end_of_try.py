"""How a try ends: where nothing outlives it, a retry would send a second request, and none is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_dds.compat import ends_of_a_task
from airflow_provider_dds.creating.texts import requested_at
from airflow_provider_dds.exceptions import (
    DdsBackupOutcomeUnknownError,
    DdsEndedInDoubtError,
    DdsError,
    DdsSupersededError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.creating.record import CreateRecord
    from airflow_provider_dds.operators.record_keeper import RecordKeeper

WHY = "There is no task state store: a retry would know nothing of that request, so none is made."


def end_try(
    keeper: RecordKeeper, db_instance_id: str, run: Callable[[], str], tell: Callable[[DdsError], DdsError]
) -> str:
    """Run what may end a try, keep that it ended, and return what it gives.

    Where nothing outlives the try, nothing that follows a request is retried.

    :param keeper: keeps the record of the task run.
    :param db_instance_id: the instance.
    :param run: what may end the try.
    :param tell: tells of the error that ends it, and returns it with what the task knows.
    """
    ends: tuple[type[BaseException], ...] = (Exception, *ends_of_a_task())
    try:
        result = run()
    except DdsSupersededError:
        raise
    except ends as failure:
        keeper.end(failed=not isinstance(failure, AirflowFailException))
        error = with_doubt(failure, keeper.record)
        known = keeper.store is not None or not may_have_asked(keeper.record)
        if known or isinstance(error, AirflowFailException):
            if isinstance(error, DdsError):
                error = tell(error)
            if error is failure:
                raise
            raise error.with_traceback(failure.__traceback__) from failure.__cause__
        final = tell(for_good(error, db_instance_id, keeper.record))
    else:
        keeper.end(failed=False)
        return result
    raise final


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


def with_doubt(error: BaseException, record: CreateRecord | None) -> BaseException:
    """Return an error of something else that says that a request is in doubt, too."""
    if not isinstance(error, DdsError) or isinstance(error, DdsBackupOutcomeUnknownError):
        return error
    if record is not None and record.in_doubt:
        request = f"CreateBackup for {record.db_instance_id} at {requested_at(record)}"
        doubt = f"whether {request} was accepted is not known"
        observed = "look under Backup and Recovery of the instance before you clear this task"
        return error.with_text(f"{error} Besides, {doubt}: {observed}.")
    return error
