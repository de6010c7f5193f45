"""The API operations this package calls: parameters in, models out, without any I/O.

An operation is a generator that yields a :class:`Request` and is sent the :class:`Answer`; a listing yields one request
a page. The hook drives it, blocking or on an event loop, so that both share everything but the waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_dds.api.models import (
    BackupJob,
    BackupSet,
    DBInstance,
    HistoryTask,
    Wire,
    number,
    rows,
    text,
)
from airflow_provider_dds.api.policy import BackupPolicy, BackupStorage, RecoverRange
from airflow_provider_dds.exceptions import DdsNotFoundError, DdsResponseError

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
PAGE_SIZE = 100
MOST_PAGES = 100
"""How many pages of a listing are read at most."""
INSTANCE_TYPES = ("replicate", "sharding")
"""Kinds of instance, each with a listing of its own: replica sets with standalone instances, and sharded ones."""
_SIZES = (30, 50, 100)
"""The page sizes of the service: a page of just so many rows may be a full one, whatever was asked for."""


class Kind(Enum):
    """What sending a request twice may do."""

    READ = "it changes nothing"
    IDEMPOTENT = "it changes something, and a second time what the first time did"
    ONCE = "each one makes another thing: it is sent again only if it certainly was not executed"


@dataclass(frozen=True)
class Request(Generic[T]):
    """One call of the API.

    :ivar action: API action, such as ``DescribeBackupTasks``.
    :ivar query: parameters by their wire names; None leaves one out.
    :ivar parse: reads the answer; raises DdsResponseError for a shape it cannot trust.
    :ivar kind: what sending it twice may do.
    :ivar before_sending: called right before each attempt; what it raises keeps the request from being sent.
    """

    action: str
    query: dict[str, Any]
    parse: Callable[[Wire], T]
    kind: Kind = Kind.READ
    before_sending: Callable[[], None] | None = None

    @property
    def db_instance_id(self) -> str | None:
        """The instance the call is about, for the text of an error."""
        return self.query.get("DBInstanceId") or self.query.get("InstanceId")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What a call gave: the parsed value and the request id to quote."""

    value: T
    request_id: str


ApiCalls = Generator[Request[Any], Answer[Any], T]
"""Calls that are still to be made, and what they give."""


def call(request: Request[T]) -> ApiCalls[Answer[T]]:
    """Yield a request and give its answer, typed: an operation makes each of its calls so."""
    answer: Answer[T] = yield request
    return answer


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of a listing.

    :ivar rows: its rows.
    :ivar size: how many rows a page has, by the answer; None where it does not say so in a way that can be true.
    :ivar total: how many rows the listing has, by the answer; None where it does not say.
    :ivar odd: a field of those two that is neither text nor a number; None where there is none.
    """

    rows: tuple[T, ...]
    size: int | None = None
    total: int | None = None
    odd: str | None = None

    def __iter__(self) -> Iterator[T]:
        return iter(self.rows)

    @classmethod
    def of(cls, found: list[T], body: Wire) -> Page[T]:
        """Return the page that an answer is, from its rows and its other fields."""
        odd = next((name for name in ("PageSize", "TotalCount") if isinstance(body.get(name), (list, Mapping))), None)
        size = number(body.get("PageSize"))
        possible = size is not None and max(1, len(found)) <= size <= PAGE_SIZE
        return cls(tuple(found), size if possible else None, number(body.get("TotalCount")), odd)

    def is_last(self, *, known: int, received: int) -> bool:
        """Whether no further page is to be asked for.

        :param known: how many different rows the listing has shown.
        :param received: how many rows that were, repeated ones counted again.
        """
        is_short = len(self.rows) < (self.size or PAGE_SIZE)
        counts_the_page = self.total == len(self.rows) in _SIZES[:-1]
        if self.total is not None and self.total >= known and not counts_the_page:
            return known == self.total or (is_short and received >= self.total)
        if self.total is None and self.size is None:
            return False  # nothing says that it is all, and what a listing does not show must not count as not there
        return is_short and (self.size in _SIZES[:-1] or len(self.rows) not in _SIZES)


Listing = Generator[Request[Page[T]], Answer[Page[T]], None]
"""A listing: it yields a request a page, to the last one."""


def _minute(moment: datetime | None) -> str | None:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%MZ") if moment else None


def _second(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _job_id(body: Wire) -> str:
    for value in (body.get("BackupJobId"), body.get("BackupId")):
        if isinstance(value, (str, int, float)) and not isinstance(value, bool) and text(value):
            return text(value)
    raise DdsResponseError("The answer came without a backup job id.")


def create_backup(
    db_instance_id: str,
    backup_method: str | None = None,
    backup_retention_period: int | None = None,
    before_sending: Callable[[], None] | None = None,
) -> ApiCalls[str]:
    """CreateBackup: ask for a backup; gives the job id (the backup id where the service names no job)."""
    query = {
        "DBInstanceId": db_instance_id,
        "BackupMethod": backup_method,
        "BackupRetentionPeriod": backup_retention_period,
    }
    answer = yield from call(Request("CreateBackup", query, _job_id, Kind.ONCE, before_sending))
    return answer.value


def describe_backup_tasks(db_instance_id: str, backup_job_id: str | None = None) -> ApiCalls[Answer[list[BackupJob]]]:
    """DescribeBackupTasks: the jobs of an instance, or what the service has under one job id."""
    query = {"DBInstanceId": db_instance_id, "BackupJobId": backup_job_id}
    return call(
        Request("DescribeBackupTasks", query, lambda body: rows(body, "BackupJobs", "BackupJob", BackupJob.from_wire))
    )


def describe_backups(
    db_instance_id: str,
    *,
    backup_job_id: str | None = None,
    backup_id: str | None = None,
    node_id: str | None = None,
    start_time: datetime | None = None,
    end_time: datetime | None = None,
) -> Listing[BackupSet]:
    """DescribeBackups: the backup sets of an instance or of one node; a request a page to the last one."""
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
        lambda body: Page.of(rows(body, "Backups", "Backup", BackupSet.from_wire), body),
    )


def describe_cluster_backups(
    db_instance_id: str,
    *,
    backup_job_id: str | None = None,
    backup_id: str | None = None,
    start_time: datetime | None = None,
    end_time: datetime | None = None,
) -> Listing[BackupSet]:
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
        lambda body: Page.of(rows(body, "ClusterBackups", "ClusterBackup", BackupSet.from_cluster_wire), body),
    )


def describe_db_instance(db_instance_id: str) -> ApiCalls[DBInstance]:
    """DescribeDBInstanceAttribute: state and kind of an instance.

    :raises DdsNotFoundError: the service answers with an empty list, its other way to say that it knows no such id.
    """
    action = "DescribeDBInstanceAttribute"
    query = {"DBInstanceId": db_instance_id}
    answer = yield from call(
        Request(action, query, lambda body: rows(body, "DBInstances", "DBInstance", DBInstance.from_wire))
    )
    for instance in answer.value:
        if instance.db_instance_id == db_instance_id:
            return instance
    raise DdsNotFoundError(
        f"{action} knows no instance {db_instance_id}. Check the instance id, and that the "
        f"connection's region and account are those of the instance. Request id: {answer.request_id or 'none'}.",
        action=action,
        http_status=200,
        request_id=answer.request_id,
        message="The list of instances is empty.",
        db_instance_id=db_instance_id,
    )


def describe_db_instances(
    *, status: str | None = None, tags: Mapping[str, str] | None = None
) -> Generator[Request[Any], Answer[Any], None]:
    """DescribeDBInstances: the instances of the region; a request a page, for replica sets and for sharded ones."""
    wanted: dict[str, Any] = {"DBInstanceStatus": status}
    for number_of_tag, (key, value) in enumerate((tags or {}).items(), 1):
        wanted |= {f"Tag.{number_of_tag}.Key": key, f"Tag.{number_of_tag}.Value": value}
    for kind in INSTANCE_TYPES:
        yield from _pages(
            "DescribeDBInstances",
            {"DBInstanceType": kind, **wanted, "PageSize": PAGE_SIZE},
            "PageNumber",
            lambda body: Page.of(rows(body, "DBInstances", "DBInstance", DBInstance.from_wire), body),
        )


def describe_backup_policy(db_instance_id: str) -> ApiCalls[BackupPolicy]:
    """DescribeBackupPolicy: when an instance's schedule makes backups, and how long they are kept."""
    query = {"DBInstanceId": db_instance_id}
    answer = yield from call(Request("DescribeBackupPolicy", query, BackupPolicy.from_wire))
    return answer.value


def describe_recover_ranges(instance: DBInstance) -> ApiCalls[list[RecoverRange]]:
    """DescribeInstanceRecoverTime, or DescribeClusterRecoverTime for a sharded instance; the earliest range first."""
    action = "DescribeClusterRecoverTime" if instance.is_sharded else "DescribeInstanceRecoverTime"
    query = {"DBInstanceId": instance.db_instance_id}
    request = Request(action, query, lambda body: rows(body, "RestoreRanges", "RestoreRange", RecoverRange.from_wire))
    answer = yield from call(request)
    return sorted(answer.value, key=lambda each: (each.begin_time, each.end_time))


def describe_backup_storage(instance: DBInstance) -> ApiCalls[list[BackupStorage]]:
    """DescribeBackupStorage: what the backups of an instance take; of a sharded one for each shard."""
    found = []
    for node_id in instance.shard_node_ids or (None,):
        query = {"DBInstanceId": instance.db_instance_id, "NodeId": node_id}
        answer = yield from call(Request("DescribeBackupStorage", query, BackupStorage.from_wire))
        found.append(replace(answer.value, node_id=node_id))
    return found


def describe_history_tasks(
    db_instance_id: str,
    *,
    from_start_time: datetime,
    to_start_time: datetime,
    task_type: str | None = "ManualBackupIns",
) -> Listing[HistoryTask]:
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
        lambda body: Page.of(rows(body, "Items", "Item", HistoryTask.from_wire), body),
    )


def describe_regions() -> ApiCalls[Answer[None]]:
    """DescribeRegions: needs nothing but a valid signature, which is what it is called for."""
    return call(Request("DescribeRegions", {}, lambda _: None))


def read(pages: Listing[T], *, first_page_only: bool = False) -> ApiCalls[tuple[list[T], str, DdsResponseError | None]]:
    """Drive a listing as far as it goes; gives its rows, the id of the last request, and why there may be more rows."""
    found: list[T] = []
    request_id = ""
    request = next(pages)
    while True:
        answer = yield from call(request)
        found += answer.value
        request_id = answer.request_id
        if first_page_only:
            return found, request_id, None
        try:
            request = pages.send(answer)
        except StopIteration:
            return found, request_id, None
        except DdsResponseError as error:
            return found, request_id, error


def collect(pages: Listing[T]) -> ApiCalls[tuple[list[T], str]]:
    """Drive a listing to its end; gives all its rows and the id of the last request.

    :raises DdsResponseError: there may be more rows than the service gives.
    """
    found, request_id, incomplete = yield from read(pages)
    if incomplete:
        raise incomplete
    return found, request_id


def _pages(action: str, query: dict[str, Any], page_parameter: str, parse: Callable[[Wire], Page[T]]) -> Listing[T]:
    seen: set[Any] = set()
    received = 0
    for page in range(1, MOST_PAGES + 1):
        answer = yield Request(action, {**query, page_parameter: page}, parse)
        ids = {_identity(row) for row in answer.value}
        if not ids and page == 1 and answer.value.odd:
            why = f"has no rows, and its field {answer.value.odd!r} is neither text nor a number"
            break  # a listing that may be wrong proves nothing of what it does not show
        if not ids:
            return
        why = f"gives the same page for {page_parameter} {page - 1} and {page}"
        if ids <= seen:
            break
        seen |= ids
        received += len(answer.value.rows)
        if answer.value.is_last(known=len(seen), received=received):
            return
        why = f"has more than {MOST_PAGES} pages"
    raise DdsResponseError(
        f"{action} for {query.get('DBInstanceId') or query.get('InstanceId')} {why}, so it may have rows that it does "
        f"not show. If it goes on, ask the support of Alibaba Cloud with the request id. Request id: "
        f"{answer.request_id or 'none'}."
    )


def _identity(row: Any) -> Any:
    """Return what makes a row another one than those seen: its id, as its other fields may change between two pages."""
    return getattr(row, "backup_id", None) or getattr(row, "task_id", None) or row
