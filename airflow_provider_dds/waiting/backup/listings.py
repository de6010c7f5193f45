"""What the calls of one poll have in common: the job they are about, and how listings are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_dds.api.errors import KIND_REFUSED, NO_SUCH_BACKUP, says
from airflow_provider_dds.api.models import Layout
from airflow_provider_dds.api.requests import describe_backup_tasks, read
from airflow_provider_dds.exceptions import DdsInvalidRequestError, DdsNotFoundError

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_dds.api.models import BackupJob, BackupSet, DBInstance
    from airflow_provider_dds.api.requests import ApiCalls, Listing
    from airflow_provider_dds.exceptions import DdsResponseError


@dataclass(frozen=True)
class Target:
    """The job to look at, and what earlier polls learned about it.

    :ivar since: start of the wait.
    :ivar instance: kind of the instance, None until the first poll.
    :ivar job: the job's row when it was last seen.
    :ivar job_start: when the job started, by the service's clock.
    :ivar manual: whether the job is known to be a manual one.
    :ivar tasks_refused: whether DescribeBackupTasks refused this kind of instance.
    :ivar almost_given_up: whether the job counts as not found if this poll does not show it.
    :ivar cluster_backup_id: the cluster backup that was found to be the job's own.
    """

    db_instance_id: str
    backup_job_id: str
    since: datetime
    instance: DBInstance | None = None
    job: BackupJob | None = None
    job_start: datetime | None = None
    manual: bool = False
    tasks_refused: bool = False
    cluster_backup_id: str | None = None
    almost_given_up: bool = False


@dataclass
class Listed:
    """What listings gave, and why they may have more.

    :ivar asked: the calls made, as ``Action (request id)``.
    """

    sets: list[BackupSet]
    asked: list[str]
    incomplete: DdsResponseError | None = None


def list_jobs(instance: DBInstance, asked: list[str] | None = None) -> ApiCalls[list[BackupJob]]:
    """List the jobs of an instance; none where DescribeBackupTasks does not cover its kind, or refuses it.

    :param asked: takes the call made, as ``Action (request id)``.
    """
    if instance.layout in (Layout.LOCAL, Layout.LOCAL_SHARDED):
        return []
    jobs: list[BackupJob] = []
    try:
        answer = yield from describe_backup_tasks(instance.db_instance_id)
    except (DdsInvalidRequestError, DdsNotFoundError) as error:
        if not (says(error, KIND_REFUSED) or says(error, NO_SUCH_BACKUP)):
            raise
        request_id = error.request_id
    else:
        jobs, request_id = answer.value, answer.request_id
    if asked is not None:
        asked.append(f"DescribeBackupTasks ({request_id})")
    return jobs


def read_sets(
    listing: Listing[BackupSet], action: str, asked: list[str], *, first_page_only: bool = False
) -> ApiCalls[Listed]:
    """Read a listing; a service that answers "no such backup" to the filter has none to list."""
    try:
        found, request_id, incomplete = yield from read(listing, first_page_only=first_page_only)
    except DdsNotFoundError as error:
        if not says(error, NO_SUCH_BACKUP):
            raise
        found, request_id, incomplete = [], error.request_id or "", None
    asked.append(f"{action} ({request_id})")
    return Listed(found, asked, incomplete)


def complete(own: tuple[BackupSet, ...], found: Listed) -> tuple[BackupSet, ...]:
    """Return the job's sets. That there are none must not follow from a listing that does not show all it has."""
    if found.incomplete and not own:
        raise found.incomplete
    return own
