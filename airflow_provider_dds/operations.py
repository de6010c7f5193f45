"""The API operations this package calls: parameters in, models out, without any I/O.

An operation is a generator that yields a :class:`Request` and is sent the :class:`Answer`; a listing yields one request
a page. The hook drives it, blocking or on an event loop, so that both share everything but the waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import count
from typing import Any, Generic, TypeVar

from airflow_provider_dds.exceptions import DdsNotFoundError, DdsResponseError
from airflow_provider_dds.models import BackupJob, BackupSet, DBInstance, HistoryTask, Wire, rows, text

T = TypeVar("T")
PAGE_SIZE = 100


@dataclass(frozen=True)
class Request(Generic[T]):
    """One call of the API.

    :ivar action: API action, such as ``DescribeBackupTasks``.
    :ivar query: parameters by their wire names; None leaves one out.
    :ivar parse: reads the answer; raises DdsResponseError for a shape it cannot trust.
    :ivar creates: whether the call changes something, so that repeating it is not free.
    """

    action: str
    query: dict[str, Any]
    parse: Callable[[Wire], T]
    creates: bool = False

    @property
    def db_instance_id(self) -> str | None:
        """The instance the call is about, for the text of an error."""
        return self.query.get("DBInstanceId") or self.query.get("InstanceId")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What a call gave: the parsed value and the request id to quote."""

    value: T
    request_id: str


Steps = Generator[Request[Any], Answer[Any], T]


def _minute(moment: datetime | None) -> str | None:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%MZ") if moment else None


def _second(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _job_id(body: Wire) -> str:
    for value in (body.get("BackupJobId"), body.get("BackupId")):
        if isinstance(value, (str, int)) and not isinstance(value, bool) and text(value):
            return text(value)
    raise DdsResponseError("The answer came without a backup job id.")


def create_backup(
    db_instance_id: str, backup_method: str | None = None, backup_retention_period: int | None = None
) -> Steps[str]:
    """CreateBackup: ask for a backup; gives the job id (the backup id where the service names no job)."""
    answer = yield Request(
        "CreateBackup",
        {
            "DBInstanceId": db_instance_id,
            "BackupMethod": backup_method,
            "BackupRetentionPeriod": backup_retention_period,
        },
        _job_id,
        creates=True,
    )
    return str(answer.value)


def describe_backup_tasks(db_instance_id: str, backup_job_id: str | None = None) -> Steps[Answer[list[BackupJob]]]:
    """DescribeBackupTasks: the jobs of an instance, or what the service has under one job id."""
    answer = yield Request(
        "DescribeBackupTasks",
        {"DBInstanceId": db_instance_id, "BackupJobId": backup_job_id},
        lambda body: rows(body, "BackupJobs", "BackupJob", BackupJob.from_wire),
    )
    return answer


def describe_backups(
    db_instance_id: str,
    *,
    backup_job_id: str | None = None,
    backup_id: str | None = None,
    node_id: str | None = None,
    start_time: datetime | None = None,
    end_time: datetime | None = None,
) -> Generator[Request[Any], Answer[Any], None]:
    """DescribeBackups: the backup sets of an instance or of one node; a request a page until a page is short."""
    query = {
        "DBInstanceId": db_instance_id,
        "BackupJobId": backup_job_id,
        "BackupId": backup_id,
        "NodeId": node_id,
        "StartTime": _minute(start_time),
        "EndTime": _minute(end_time),
        "PageSize": PAGE_SIZE,
    }
    yield from _pages(
        "DescribeBackups",
        query,
        "PageNumber",
        lambda body: rows(body, "Backups", "Backup", BackupSet.from_wire),
    )


def describe_cluster_backups(
    db_instance_id: str,
    *,
    backup_job_id: str | None = None,
    backup_id: str | None = None,
    start_time: datetime | None = None,
    end_time: datetime | None = None,
) -> Generator[Request[Any], Answer[Any], None]:
    """DescribeClusterBackups: the cluster backups of a sharded instance, with the sets of their nodes."""
    query = {
        "DBInstanceId": db_instance_id,
        "BackupJobId": backup_job_id,
        "BackupId": backup_id,
        "StartTime": _minute(start_time),
        "EndTime": _minute(end_time),
        "PageSize": PAGE_SIZE,
    }
    yield from _pages(
        "DescribeClusterBackups",
        query,
        "PageNo",
        lambda body: rows(body, "ClusterBackups", "ClusterBackup", BackupSet.from_cluster_wire),
    )


def describe_db_instance(db_instance_id: str) -> Steps[DBInstance]:
    """DescribeDBInstanceAttribute: state and kind of an instance.

    :raises DdsNotFoundError: the service answers with an empty list, its other way to say that it knows no such id.
    """
    answer: Answer[list[DBInstance]] = yield Request(
        "DescribeDBInstanceAttribute",
        {"DBInstanceId": db_instance_id},
        lambda body: rows(body, "DBInstances", "DBInstance", DBInstance.from_wire),
    )
    for instance in answer.value:
        if instance.db_instance_id == db_instance_id:
            return instance
    raise DdsNotFoundError(
        f"DescribeDBInstanceAttribute knows no instance {db_instance_id}. Check the instance id, and that the "
        f"connection's region and account are those of the instance. Request id: {answer.request_id or 'none'}.",
        action="DescribeDBInstanceAttribute",
        http_status=200,
        request_id=answer.request_id,
        message="The list of instances is empty.",
        db_instance_id=db_instance_id,
    )


def describe_history_tasks(
    db_instance_id: str,
    *,
    from_start_time: datetime,
    to_start_time: datetime,
    task_type: str | None = "ManualBackupIns",
) -> Generator[Request[Any], Answer[Any], None]:
    """DescribeHistoryTasks: what the service's task centre ran on an instance in a span of the last 30 days."""
    query = {
        "InstanceId": db_instance_id,
        "FromStartTime": _second(from_start_time),
        "ToStartTime": _second(to_start_time),
        "TaskType": task_type,
        "PageSize": PAGE_SIZE,
    }
    yield from _pages(
        "DescribeHistoryTasks",
        query,
        "PageNumber",
        lambda body: rows(body, "Items", "Item", HistoryTask.from_wire),
    )


def describe_regions() -> Steps[Answer[None]]:
    """DescribeRegions: needs nothing but a valid signature, which is what it is called for."""
    answer = yield Request("DescribeRegions", {}, lambda _: None)
    return answer


def collect(pages: Generator[Request[Any], Answer[Any], None]) -> Steps[tuple[list[Any], str]]:
    """Drive a listing to its end; gives all its rows and the id of the last request."""
    found: list[Any] = []
    request_id = ""
    try:
        request = next(pages)
        while True:
            answer = yield request
            found += answer.value
            request_id = answer.request_id
            request = pages.send(answer)
    except StopIteration:
        return found, request_id


def _pages(
    action: str, query: dict[str, Any], page_parameter: str, parse: Callable[[Wire], list[Any]]
) -> Generator[Request[Any], Answer[Any], None]:
    previous: list[Any] = []
    for page in count(1):
        answer = yield Request(action, {**query, page_parameter: page}, parse)
        if len(answer.value) < PAGE_SIZE:
            return
        if answer.value == previous:
            raise DdsResponseError(
                f"{action} for {query.get('DBInstanceId') or query.get('InstanceId')} gives the same page for "
                f"{page_parameter} {page - 1} and {page}. If it goes on, ask the support of Alibaba Cloud with the "
                f"request id. Request id: {answer.request_id or 'none'}."
            )
        previous = answer.value
