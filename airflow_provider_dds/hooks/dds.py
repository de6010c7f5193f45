"""Hook for ApsaraDB for MongoDB: an Airflow connection in, typed answers of the API out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_dds import arguments
from airflow_provider_dds.api import requests as operations
from airflow_provider_dds.api.console import console_url
from airflow_provider_dds.client.calls import Calls, next_page
from airflow_provider_dds.client.driver import adrive, drive
from airflow_provider_dds.clock import CLOCK
from airflow_provider_dds.exceptions import DdsError
from airflow_provider_dds.get_provider_info import CONN_TYPE, HOOK_NAME
from airflow_provider_dds.hooks import form
from airflow_provider_dds.hooks.check import check
from airflow_provider_dds.hooks.connection import AirflowConnection
from airflow_provider_dds.waiting.inventory.backup import BACKUP_MODES
from airflow_provider_dds.waiting.inventory.listing import read_inventory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from alibabacloud_dds20151201.client import Client

    from airflow_provider_dds.api.models import BackupJob, BackupSet, DBInstance, HistoryTask
    from airflow_provider_dds.api.policy import BackupPolicy, BackupStorage, RecoverRange
    from airflow_provider_dds.api.requests import ApiCalls, Listing
    from airflow_provider_dds.client.sending import Service
    from airflow_provider_dds.clock import Clock
    from airflow_provider_dds.waiting.inventory.backup import Backup
    from airflow_provider_dds.waiting.inventory.listing import Inventory


T = TypeVar("T")


class DdsHook(BaseHook):
    """Wrap the API of ApsaraDB for MongoDB (product "dds", version 2015-12-01).

    Reads are repeated on throttling, HTTP 5xx, a lost connection and an unreadable answer, at most five times within
    30 seconds, with exponential back-off and full jitter. A create is repeated only where the request certainly was
    not executed. Each read also exists as ``async def a<name>``: the same call in a bounded pool of threads, so that an
    event loop is never blocked.

    .. seealso:: https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-overview

    :param dds_conn_id: Airflow connection of type ``dds`` (one of type ``alibaba_cloud`` works too).
    :param region_id: region that overrides the connection's, such as ``cn-hangzhou``.
    """

    conn_name_attr = "dds_conn_id"
    default_conn_name = "dds_default"
    conn_type = CONN_TYPE
    hook_name = HOOK_NAME

    def __init__(self, dds_conn_id: str = default_conn_name, region_id: str | None = None) -> None:
        super().__init__()
        self.dds_conn_id = dds_conn_id
        self.region_id = region_id
        self._connection = AirflowConnection(type(self), dds_conn_id, region_id, self.log)
        self._calls = Calls(self._connection, CLOCK)

    @property
    def clock(self) -> Clock:
        """Time, as the calls of this hook take it."""
        return self._calls.clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._calls.clock = clock

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the connection form names the standard fields (asked by Airflow before 3.2)."""
        return form.field_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's extra fields as WTForms fields (asked by Airflow before 3.2)."""
        return form.widgets()

    def get_conn(self) -> Client:
        """Return the SDK's client for the connection; all hooks of a process with equal settings share it.

        It has the connection's endpoint, credential, timeouts, proxy and ca_file. Its calls go over the SDK's own
        transport: what this package promises of its calls (one deadline, no redirects, NO_PROXY, an authority of its
        own) does not hold for them.

        :raises DdsConfigurationError: the connection is wrong; nothing was sent.
        """
        return self._service().client

    def create_backup(
        self,
        db_instance_id: str,
        *,
        backup_method: str | None = None,
        backup_retention_period: int | None = None,
        before_sending: Callable[[], None] | None = None,
        timeout: float | None = None,
    ) -> str:
        """Ask for a backup (CreateBackup) and return its job id as clean text.

        Where :func:`airflow_provider_dds.api.errors.is_outcome_unknown` says so of the error, the service may have
        accepted the request although no answer came: look for the job before you send another.

        .. seealso:: https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-createbackup

        :param db_instance_id: instance id.
        :param backup_method: ``Snapshot``, ``Physical`` or ``Logical``; None leaves it to the service.
        :param backup_retention_period: days to keep the set, 7 to 730, or -1 for ever; None: the instance's policy.
        :param before_sending: called right before each attempt, after any wait for the pace of the connection; what it
            raises keeps the request from being sent.
        :param timeout: seconds in which all of it has to end, waits for the pace and repeats included. None: no bound.
        :raises DdsApiError: the service refused.
        :raises DdsTransportError: no answer.
        :raises DdsResponseError: an answer without a job id.
        """
        return self.run(
            operations.create_backup(db_instance_id, backup_method, backup_retention_period, before_sending),
            timeout=timeout,
        )

    def describe_backup_tasks(self, db_instance_id: str, backup_job_id: str | None = None) -> list[BackupJob]:
        """Return the jobs the service lists (DescribeBackupTasks): those under way, or what is under one job id.

        .. seealso::
            https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-describebackuptasks

        :param db_instance_id: instance id; only cloud-disk replica sets and sharded instances are covered.
        :param backup_job_id: job to ask for. The service decides what it returns: compare the ids of the rows.
        :raises DdsError: the call failed.
        """
        return self.run(operations.describe_backup_tasks(db_instance_id, backup_job_id)).value

    def get_backup_job(self, db_instance_id: str, backup_job_id: str) -> BackupJob | None:
        """Return the row of one job (DescribeBackupTasks), or None where the service lists none of this id.

        :param db_instance_id: instance id.
        :param backup_job_id: job id; white space around it does not count.
        :raises DdsError: the call failed.
        """
        return _of_id(self.describe_backup_tasks(db_instance_id, str(backup_job_id).strip()), backup_job_id)

    def describe_backups(
        self,
        db_instance_id: str,
        *,
        backup_job_id: str | None = None,
        backup_id: str | None = None,
        node_id: str | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> Iterator[BackupSet]:
        """Yield backup sets (DescribeBackups), page after page as they are consumed.

        .. seealso:: https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-describebackups

        :param db_instance_id: instance id.
        :param backup_job_id: only sets of this job, where the service honours the filter: compare the rows.
        :param backup_id: only this set.
        :param node_id: shard node, needed for sharded instances without cluster backups.
        :param start_time: only sets since then (aware, such as UTC; to the minute).
        :param end_time: only sets until then (aware, such as UTC; to the minute).
        :raises DdsError: a call failed.
        """
        return self._rows(
            operations.describe_backups(
                db_instance_id,
                backup_job_id=backup_job_id,
                backup_id=backup_id,
                node_id=node_id,
                **arguments.moments(start_time=start_time, end_time=end_time),
            )
        )

    def describe_cluster_backups(
        self,
        db_instance_id: str,
        *,
        backup_job_id: str | None = None,
        backup_id: str | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> Iterator[BackupSet]:
        """Yield the cluster backups of a sharded instance (DescribeClusterBackups), page after page.

        .. seealso::
            https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-describeclusterbackups

        :param db_instance_id: instance id; it must be in cluster backup mode.
        :param backup_job_id: only the set of this job; the rows themselves name no job.
        :param backup_id: only this cluster backup (``cb-...``).
        :param start_time: only sets since then (aware, such as UTC; to the minute).
        :param end_time: only sets until then (aware, such as UTC; to the minute).
        :raises DdsError: a call failed.
        """
        return self._rows(
            operations.describe_cluster_backups(
                db_instance_id,
                backup_job_id=backup_job_id,
                backup_id=backup_id,
                **arguments.moments(start_time=start_time, end_time=end_time),
            )
        )

    def describe_db_instance(self, db_instance_id: str) -> DBInstance:
        """Return state and kind of an instance (DescribeDBInstanceAttribute).

        .. seealso::
            https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-describedbinstanceattribute

        :param db_instance_id: instance id.
        :raises DdsNotFoundError: no such instance in this region and account.
        :raises DdsError: the call failed.
        """
        return self.run(operations.describe_db_instance(db_instance_id))

    def describe_db_instances(
        self, *, tags: Mapping[str, str] | None = None, status: str | None = None
    ) -> Iterator[DBInstance]:
        """Yield the instances of the region (DescribeDBInstances), page after page as they are consumed.

        A row says less than :meth:`describe_db_instance`: not whether a sharded instance makes cluster backups.

        .. seealso::
            https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-describedbinstances

        :param tags: only instances that have all of these tags, at most 20.
        :param status: only instances in this state, such as ``Running``.
        :raises DdsError: a call failed.
        """
        return self._rows(operations.describe_db_instances(tags=tags, status=status))

    def adescribe_db_instances(
        self, *, tags: Mapping[str, str] | None = None, status: str | None = None
    ) -> AsyncIterator[DBInstance]:
        """Like :meth:`describe_db_instances`, as an async iterator."""
        return self._arows(operations.describe_db_instances(tags=tags, status=status))

    def describe_backup_policy(self, db_instance_id: str) -> BackupPolicy:
        """Return when an instance's schedule makes backups, and how long they are kept (DescribeBackupPolicy).

        .. seealso::
            https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-describebackuppolicy

        :param db_instance_id: instance id.
        :raises DdsError: the call failed.
        """
        return self.run(operations.describe_backup_policy(db_instance_id))

    async def adescribe_backup_policy(self, db_instance_id: str) -> BackupPolicy:
        """Like :meth:`describe_backup_policy`, without blocking the event loop."""
        return await self.arun(operations.describe_backup_policy(db_instance_id))

    def describe_recover_ranges(self, db_instance_id: str) -> list[RecoverRange]:
        """Return the spans of time to any point of which an instance can be restored, the earliest first.

        Asks DescribeInstanceRecoverTime, or for a sharded instance DescribeClusterRecoverTime. Between two ranges is a
        gap; without log backups there are none. How far the newest end lies back is what a restore would lose now.

        .. seealso::
            https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-describeinstancerecovertime

        :param db_instance_id: instance id.
        :raises DdsInvalidRequestError: the service does not offer it for this kind of instance.
        :raises DdsError: a call failed.
        """
        return self.run(self._of_instance(db_instance_id, operations.describe_recover_ranges))

    async def adescribe_recover_ranges(self, db_instance_id: str) -> list[RecoverRange]:
        """Like :meth:`describe_recover_ranges`, without blocking the event loop."""
        return await self.arun(self._of_instance(db_instance_id, operations.describe_recover_ranges))

    def describe_backup_storage(self, db_instance_id: str) -> list[BackupStorage]:
        """Return what the backups of an instance take (DescribeBackupStorage): of a sharded one, one for each shard.

        .. seealso::
            https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-describebackupstorage

        :param db_instance_id: instance id; its disks must be cloud disks.
        :raises DdsInvalidRequestError: the service does not offer it for this kind of instance.
        :raises DdsError: a call failed.
        """
        return self.run(self._of_instance(db_instance_id, operations.describe_backup_storage))

    async def adescribe_backup_storage(self, db_instance_id: str) -> list[BackupStorage]:
        """Like :meth:`describe_backup_storage`, without blocking the event loop."""
        return await self.arun(self._of_instance(db_instance_id, operations.describe_backup_storage))

    def _of_instance(self, db_instance_id: str, operation: Callable[[DBInstance], ApiCalls[T]]) -> ApiCalls[T]:
        instance = yield from operations.describe_db_instance(arguments.required_id("db_instance_id", db_instance_id))
        return (yield from operation(instance))

    def describe_history_tasks(
        self,
        db_instance_id: str,
        *,
        from_start_time: datetime,
        to_start_time: datetime,
        task_type: str | None = "ManualBackupIns",
    ) -> Iterator[HistoryTask]:
        """Yield what the task centre ran on an instance (DescribeHistoryTasks), page after page.

        .. seealso::
            https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-describehistorytasks

        :param db_instance_id: instance id.
        :param from_start_time: start of the span (aware, such as UTC), within the last 30 days.
        :param to_start_time: end of the span (aware, such as UTC).
        :param task_type: kind of task, manual backups unless told otherwise; None for all.
        :raises DdsError: a call failed.
        """
        return self._rows(
            operations.describe_history_tasks(
                db_instance_id,
                **arguments.moments(from_start_time=from_start_time, to_start_time=to_start_time),
                task_type=task_type,
            )
        )

    def list_backups(
        self,
        db_instance_id: str,
        *,
        since: datetime,
        until: datetime | None = None,
        backup_modes: Sequence[str] | None = None,
    ) -> list[Backup]:
        """Return the backups of an instance, whoever made them: one row each for every kind of instance, newest first.

        Each says whether it is ``good`` (complete, Success, available, not expired), and if not, ``why_not``. Where
        each shard has a set of its own, those of one backup are one row. A backup under way is a row, too.

        :param db_instance_id: instance id.
        :param since: only backups that began since then (aware, such as UTC).
        :param until: only backups that began until then (aware, such as UTC); None: no end.
        :param backup_modes: only those made so: ``Automated``, ``Manual``, or both; None: all.
        :raises DdsConfigurationError: an argument is wrong; nothing was sent.
        :raises DdsError: a call failed, or a listing may have more rows than it shows.
        """
        return self.run(self._inventory(db_instance_id, since, until, backup_modes)).backups

    async def alist_backups(
        self,
        db_instance_id: str,
        *,
        since: datetime,
        until: datetime | None = None,
        backup_modes: Sequence[str] | None = None,
    ) -> list[Backup]:
        """Like :meth:`list_backups`, without blocking the event loop."""
        return (await self.arun(self._inventory(db_instance_id, since, until, backup_modes))).backups

    def _inventory(
        self, db_instance_id: str, since: datetime, until: datetime | None, backup_modes: Sequence[str] | None
    ) -> ApiCalls[Inventory]:
        return read_inventory(
            arguments.required_id("db_instance_id", db_instance_id),
            backup_modes=arguments.some_of("backup_modes", backup_modes, BACKUP_MODES),
            now=self.clock.now(),
            **arguments.span(since, until),
        )

    async def adescribe_backup_tasks(self, db_instance_id: str, backup_job_id: str | None = None) -> list[BackupJob]:
        """Like :meth:`describe_backup_tasks`, without blocking the event loop."""
        return (await self.arun(operations.describe_backup_tasks(db_instance_id, backup_job_id))).value

    async def aget_backup_job(self, db_instance_id: str, backup_job_id: str) -> BackupJob | None:
        """Like :meth:`get_backup_job`, without blocking the event loop."""
        jobs = await self.adescribe_backup_tasks(db_instance_id, str(backup_job_id).strip())
        return _of_id(jobs, backup_job_id)

    def adescribe_backups(
        self,
        db_instance_id: str,
        *,
        backup_job_id: str | None = None,
        backup_id: str | None = None,
        node_id: str | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> AsyncIterator[BackupSet]:
        """Like :meth:`describe_backups`, as an async iterator."""
        return self._arows(
            operations.describe_backups(
                db_instance_id,
                backup_job_id=backup_job_id,
                backup_id=backup_id,
                node_id=node_id,
                **arguments.moments(start_time=start_time, end_time=end_time),
            )
        )

    def adescribe_cluster_backups(
        self,
        db_instance_id: str,
        *,
        backup_job_id: str | None = None,
        backup_id: str | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> AsyncIterator[BackupSet]:
        """Like :meth:`describe_cluster_backups`, as an async iterator."""
        return self._arows(
            operations.describe_cluster_backups(
                db_instance_id,
                backup_job_id=backup_job_id,
                backup_id=backup_id,
                **arguments.moments(start_time=start_time, end_time=end_time),
            )
        )

    async def adescribe_db_instance(self, db_instance_id: str) -> DBInstance:
        """Like :meth:`describe_db_instance`, without blocking the event loop."""
        return await self.arun(operations.describe_db_instance(db_instance_id))

    def adescribe_history_tasks(
        self,
        db_instance_id: str,
        *,
        from_start_time: datetime,
        to_start_time: datetime,
        task_type: str | None = "ManualBackupIns",
    ) -> AsyncIterator[HistoryTask]:
        """Like :meth:`describe_history_tasks`, as an async iterator."""
        return self._arows(
            operations.describe_history_tasks(
                db_instance_id,
                **arguments.moments(from_start_time=from_start_time, to_start_time=to_start_time),
                task_type=task_type,
            )
        )

    def console_url(self, instance: DBInstance) -> str:
        """Return the address of an instance's page in the console of the connection's site.

        :param instance: the instance, from :meth:`describe_db_instance`.
        :return: the address.
        :raises DdsConfigurationError: the connection is wrong.
        """
        settings = self._service().settings
        return console_url(instance, settings.region_id, settings.console)

    def test_connection(self) -> tuple[bool, str]:
        """Make one signed call and return whether it went through, with the facts or with the reason and the fix.

        A key that may not list regions has still proved itself: the service checks the signature first.
        """
        try:
            said = check(self._service(), lambda: self.run(operations.describe_regions()))
        except DdsError as error:
            return False, str(error)
        except Exception as error:  # whatever else it is, the button has to answer, and without a secret
            return False, f"Unexpected {type(error).__name__}; the log of this process has the details."
        # Airflow's form shows the text of a failed test alone, and a misspelt field must be seen.
        return "did you mean" not in self._connection.unread, f"{said} {self._connection.unread}".rstrip()

    def run(self, steps: ApiCalls[T], *, timeout: float | None = None) -> T:
        """Drive an operation, or a poll made of several, with blocking calls, and return what it gives.

        :param steps: one of :mod:`airflow_provider_dds.api.requests`, or a generator made of them.
        :param timeout: seconds in which all of it has to end: no call, page, retry or sleep outlives them. None: no
            bound but those of the single calls.
        :raises DdsTransportError: the time was up; whether the last request was sent is said as of any other.
        :raises DdsError: a call failed for good.
        """
        return drive(self._calls.run(steps, timeout))

    async def arun(self, steps: ApiCalls[T], *, timeout: float | None = None) -> T:
        """Like :meth:`run`, on an event loop that is never blocked: calls run in a bounded pool of threads.

        Where many calls wait for the pace of the connection, all of this waits in line once.
        """
        return await adrive(self._calls.run(steps, timeout))

    def _rows(self, listing: Listing[T]) -> Iterator[T]:
        request = next(listing, None)
        while request is not None:
            answer = drive(self._calls.call(request))
            yield from answer.value
            request = next_page(listing, answer)

    async def _arows(self, listing: Listing[T]) -> AsyncIterator[T]:
        request = next(listing, None)
        first = False
        while request is not None:
            answer, first = await adrive(self._calls.call(request, first=first)), True
            for row in answer.value:
                yield row
            request = next_page(listing, answer)

    def _service(self) -> Service:
        return drive(self._calls.service())


def _of_id(jobs: list[BackupJob], backup_job_id: str) -> BackupJob | None:
    return next((job for job in jobs if job.backup_job_id == str(backup_job_id).strip()), None)
