"""Hook for ApsaraDB for MongoDB: an Airflow connection in, typed answers of the API out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_dds import operations
from airflow_provider_dds.compat import amask_secrets, connection_of, mask_secrets, masker_on
from airflow_provider_dds.connection import settings_from, unknown_extra_fields
from airflow_provider_dds.console import console_url
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsConfigurationError,
    DdsError,
)
from airflow_provider_dds.get_provider_info import CONN_FIELDS, CONN_TYPE, HOOK_NAME, UI_FIELD_BEHAVIOUR
from airflow_provider_dds.hooks import sdk, sending
from airflow_provider_dds.hooks.sending import Service, service_for
from airflow_provider_dds.operations import Answer, Request, Steps

if TYPE_CHECKING:
    from datetime import datetime

    from alibabacloud_dds20151201.client import Client

    from airflow_provider_dds.connection import DdsSettings
    from airflow_provider_dds.models import BackupJob, BackupSet, DBInstance, HistoryTask


T = TypeVar("T")
Pages = Generator[Request[Any], Answer[Any], None]


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
        self._service: Service | None = None
        self._clock: Callable[[], float] = time.monotonic
        self._sleep: Callable[[float], None] = time.sleep
        self._asleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the connection form names the standard fields (asked by Airflow before 3.2)."""
        return {key.replace("-", "_"): value for key, value in UI_FIELD_BEHAVIOUR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's extra fields as WTForms fields (asked by Airflow before 3.2)."""
        from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
        from wtforms import BooleanField, PasswordField, StringField

        widgets: dict[str, Any] = {}
        for name, spec in CONN_FIELDS.items():
            schema, words = spec["schema"], {"label": spec["label"], "description": spec.get("description", "")}
            if "boolean" in schema["type"]:
                widgets[name] = BooleanField(**words)
            elif schema.get("format") == "password":
                widgets[name] = PasswordField(widget=BS3PasswordFieldWidget(), **words)
            else:
                widgets[name] = StringField(widget=BS3TextFieldWidget(), **words)
        return widgets

    def get_conn(self) -> Client:
        """Return the SDK's client for the connection; all hooks of a process with equal settings share it.

        :raises DdsConfigurationError: the connection is wrong; nothing was sent.
        """
        return self._load().client

    def create_backup(
        self,
        db_instance_id: str,
        *,
        backup_method: str | None = None,
        backup_retention_period: int | None = None,
    ) -> str:
        """Ask for a backup (CreateBackup) and return its job id as clean text.

        Where :func:`airflow_provider_dds.api_errors.is_outcome_unknown` says so of the error, the service may have
        accepted the request although no answer came: look for the job before you send another.

        .. seealso:: https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-createbackup

        :param db_instance_id: instance id.
        :param backup_method: ``Snapshot``, ``Physical`` or ``Logical``; None leaves it to the service.
        :param backup_retention_period: days to keep the set, 7 to 730, or -1 for ever; None: the instance's policy.
        :raises DdsApiError: the service refused.
        :raises DdsTransportError: no answer.
        :raises DdsResponseError: an answer without a job id.
        """
        return self.run(operations.create_backup(db_instance_id, backup_method, backup_retention_period))

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
        :param start_time: only sets since then (aware UTC, to the minute).
        :param end_time: only sets until then (aware UTC, to the minute).
        :raises DdsError: a call failed.
        """
        return self._pages(
            operations.describe_backups(
                db_instance_id,
                backup_job_id=backup_job_id,
                backup_id=backup_id,
                node_id=node_id,
                start_time=start_time,
                end_time=end_time,
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
        :param start_time: only sets since then (aware UTC, to the minute).
        :param end_time: only sets until then (aware UTC, to the minute).
        :raises DdsError: a call failed.
        """
        return self._pages(
            operations.describe_cluster_backups(
                db_instance_id,
                backup_job_id=backup_job_id,
                backup_id=backup_id,
                start_time=start_time,
                end_time=end_time,
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
        :param from_start_time: start of the span (aware UTC), within the last 30 days.
        :param to_start_time: end of the span (aware UTC).
        :param task_type: kind of task, manual backups unless told otherwise; None for all.
        :raises DdsError: a call failed.
        """
        return self._pages(
            operations.describe_history_tasks(
                db_instance_id,
                from_start_time=from_start_time,
                to_start_time=to_start_time,
                task_type=task_type,
            )
        )

    async def adescribe_backup_tasks(self, db_instance_id: str, backup_job_id: str | None = None) -> list[BackupJob]:
        """Like :meth:`describe_backup_tasks`, without blocking the event loop."""
        return (await self.arun(operations.describe_backup_tasks(db_instance_id, backup_job_id))).value

    async def aget_backup_job(self, db_instance_id: str, backup_job_id: str) -> BackupJob | None:
        """Like :meth:`get_backup_job`, without blocking the event loop."""
        jobs = await self.adescribe_backup_tasks(db_instance_id, str(backup_job_id).strip())
        return _of_id(jobs, backup_job_id)

    def adescribe_backups(self, db_instance_id: str, **filters: Any) -> AsyncIterator[BackupSet]:
        """Like :meth:`describe_backups`, as an async iterator."""
        return self._apages(operations.describe_backups(db_instance_id, **filters))

    def adescribe_cluster_backups(self, db_instance_id: str, **filters: Any) -> AsyncIterator[BackupSet]:
        """Like :meth:`describe_cluster_backups`, as an async iterator."""
        return self._apages(operations.describe_cluster_backups(db_instance_id, **filters))

    async def adescribe_db_instance(self, db_instance_id: str) -> DBInstance:
        """Like :meth:`describe_db_instance`, without blocking the event loop."""
        return await self.arun(operations.describe_db_instance(db_instance_id))

    def adescribe_history_tasks(self, db_instance_id: str, **filters: Any) -> AsyncIterator[HistoryTask]:
        """Like :meth:`describe_history_tasks`, as an async iterator."""
        return self._apages(operations.describe_history_tasks(db_instance_id, **filters))

    def console_url(self, instance: DBInstance) -> str:
        """Return the address of an instance's page in the console of the connection's site.

        :param instance: the instance, from :meth:`describe_db_instance`.
        :return: the address.
        :raises DdsConfigurationError: the connection is wrong.
        """
        settings = self._load().settings
        return console_url(instance, settings.region_id, settings.console)

    def test_connection(self) -> tuple[bool, str]:
        """Make one signed call and return whether it went through, with the facts or with the reason and the fix.

        A key that may not list regions has still proved itself: the service checks the signature first.
        """
        try:
            settings = self._load().settings
            where = f"{sdk.endpoint_of(self.get_conn())} (region {settings.region_id or 'not set'})"
            how = f"authenticated by {_credential_name(settings)}"
            try:
                answer = self.run(operations.describe_regions())
            except DdsAccessDeniedError as error:
                refused_it = error.action == "DescribeRegions"  # not the role that was to be assumed for it
                if not (refused_it and (error.code or "").startswith(("Forbidden.RAM", "NoPermission"))):
                    raise
                return True, (
                    f"The signed call to {where} was accepted, {how}. The key may not call DescribeRegions, which this "
                    f"package does not need. Request id: {error.request_id}."
                )
        except DdsError as error:
            return False, str(error)
        except Exception as error:  # whatever else it is, the button has to answer, and without a secret
            return False, f"Unexpected {type(error).__name__}; the log of this process has the details."
        return True, f"A signed call to {where} went through, {how}. Request id: {answer.request_id}."

    def run(self, steps: Steps[T]) -> T:
        """Drive an operation, or a look made of several, with blocking calls, and return what it gives.

        :param steps: one of :mod:`airflow_provider_dds.operations`, or a generator made of them.
        :raises DdsError: a call failed for good.
        """
        try:
            request = next(steps)
            while True:
                try:
                    answer = self._call(request)
                except DdsError as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # typeshed has no type for it

    async def arun(self, steps: Steps[T]) -> T:
        """Like :meth:`run`, on an event loop that is never blocked: calls run in a bounded pool of threads.

        Where many calls wait for the pace of the connection, all of this waits in line once.
        """
        first = False
        try:
            request = next(steps)
            while True:
                try:
                    answer, first = await self._acall(request, first=first), True
                except DdsError as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # typeshed has no type for it

    def _pages(self, pages: Pages) -> Iterator[Any]:
        try:
            request = next(pages)
            while True:
                answer = self._call(request)
                yield from answer.value
                request = pages.send(answer)
        except StopIteration:
            return

    async def _apages(self, pages: Pages) -> AsyncIterator[Any]:
        request: Request[Any] | None = next(pages)
        first = False
        while request is not None:
            answer, first = await self._acall(request, first=first), True
            for row in answer.value:
                yield row
            try:
                request = pages.send(answer)
            except StopIteration:
                request = None

    def _call(self, request: Request[T]) -> Answer[T]:
        service = self._load()
        turn = partial(service.limiter.turn, self._clock, self._sleep)
        send = partial(sending.send, service, request)

        def rest(seconds: float) -> None:
            self._sleep(seconds)
            turn()

        turn()
        begun = self._clock()
        try:
            return send()
        except DdsError as error:
            again, options = sending.again(error, send), sending.retry_options(request, service, self._clock, begun)
        from tenacity import Retrying

        return Retrying(sleep=rest, **options)(again)

    async def _acall(self, request: Request[T], *, first: bool) -> Answer[T]:
        service = await self._aload()
        turn = partial(service.limiter.aturn, self._clock, self._asleep)
        loop = asyncio.get_running_loop()

        def send() -> Awaitable[Answer[T]]:
            return sending.in_thread(partial(sending.send, service, request, masker_on(loop)))

        async def rest(seconds: float) -> None:
            await self._asleep(seconds)
            await turn(first=True)

        await turn(first=first or request.creates)
        begun = self._clock()
        try:
            return await send()
        except DdsError as error:
            again, options = sending.again(error, send), sending.retry_options(request, service, self._clock, begun)
        from tenacity import AsyncRetrying

        async def attempt() -> Answer[T]:
            return await again()

        return await AsyncRetrying(sleep=rest, **options)(attempt)

    def _load(self) -> Service:
        if self._service is None:
            with self._known_connection():
                connection = self.get_connection(self.dds_conn_id)
            service = service_for(self._read(connection))
            if not service.masked:
                mask_secrets(service.settings.secrets)
                service.masked = True
            self._service = service
        return self._service

    async def _aload(self) -> Service:
        if self._service is None:
            with self._known_connection():
                connection = await connection_of(self, self.dds_conn_id)
            service = service_for(self._read(connection))
            if not service.masked:
                await amask_secrets(service.settings.secrets)
                service.masked = True
            self._service = service
        return self._service

    @contextmanager
    def _known_connection(self) -> Iterator[None]:
        try:
            yield
        except AirflowNotFoundException:
            raise DdsConfigurationError(
                f"Connection {self.dds_conn_id!r} is not defined. Add it in Airflow (type dds), or correct dds_conn_id."
            ) from None

    def _read(self, connection: Any) -> DdsSettings:
        settings = settings_from(
            conn_id=self.dds_conn_id,
            login=connection.login,
            password=connection.password,
            host=connection.host,
            port=connection.port,
            schema=connection.schema,
            extra=connection.extra,
            region_id=self.region_id,
        )
        if connection.conn_type == CONN_TYPE and (unknown := unknown_extra_fields(connection.extra)):
            self.log.warning("Connection %r: fields of extra not read: %s.", self.dds_conn_id, ", ".join(unknown))
        return settings


def _of_id(jobs: list[BackupJob], backup_job_id: str) -> BackupJob | None:
    return next((job for job in jobs if job.backup_job_id == str(backup_job_id).strip()), None)


def _credential_name(settings: DdsSettings) -> str:
    fields = dict(settings.credential)
    if "role_arn" in fields:
        return f"{settings.auth_type} as {fields['role_arn']}"
    key = str(fields.get("access_key_id", ""))
    if len(key) >= 12:
        return f"{settings.auth_type} ({key[:4]}...{key[-4:]})"
    return settings.auth_type
