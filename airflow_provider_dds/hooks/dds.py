"""Hook for ApsaraDB for MongoDB: an Airflow connection in, typed answers of the API out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_dds import arguments
from airflow_provider_dds.api import requests as operations
from airflow_provider_dds.api.console import console_url
from airflow_provider_dds.api.requests import Answer, ApiCalls, Kind, Request
from airflow_provider_dds.client import sending
from airflow_provider_dds.client.pace import DeadlineError, bounded
from airflow_provider_dds.client.sending import Service, service_for
from airflow_provider_dds.client.settings import settings_from, unknown_extra_fields
from airflow_provider_dds.client.threads import in_thread
from airflow_provider_dds.clock import CLOCK
from airflow_provider_dds.compat import (
    afailed_look_up,
    amask_secrets,
    connection_of,
    failed_look_up,
    mask_secrets,
    masker_on,
    says_no_secret,
)
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsConfigurationError,
    DdsError,
    DdsTransportError,
)
from airflow_provider_dds.get_provider_info import CONN_FIELDS, CONN_TYPE, HOOK_NAME, UI_FIELD_BEHAVIOUR
from airflow_provider_dds.masking import forms_of_all
from airflow_provider_dds.waiting.inventory.backup import BACKUP_MODES
from airflow_provider_dds.waiting.inventory.listing import read_inventory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from alibabacloud_dds20151201.client import Client

    from airflow_provider_dds.api.models import BackupJob, BackupSet, DBInstance, HistoryTask
    from airflow_provider_dds.client.settings import DdsSettings
    from airflow_provider_dds.waiting.inventory.backup import Backup
    from airflow_provider_dds.waiting.inventory.listing import Inventory


T = TypeVar("T")
MOST_NAMED = 5
"""Fields that are not read, of those a text names."""
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
        self._unread = ""
        self.clock = CLOCK

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

        It has the connection's endpoint, credential, timeouts, proxy and ca_file. Its calls go over the SDK's own
        transport: what this package promises of its calls (one deadline, no redirects, NO_PROXY, an authority of its
        own) does not hold for them.

        :raises DdsConfigurationError: the connection is wrong; nothing was sent.
        """
        return self._load().client

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
            where = f"{self._load().host} (region {settings.region_id or 'not set'})"
            how = f"authenticated by {_credential_name(settings)}"
            try:
                answer = self.run(operations.describe_regions())
            except DdsAccessDeniedError as error:
                refused_it = error.action == "DescribeRegions"  # not the role that was to be assumed for it
                if not (refused_it and (error.code or "").startswith(("Forbidden.RAM", "NoPermission"))):
                    raise
                said = (
                    f"The signed call to {where} was accepted, {how}. The key may not call DescribeRegions, which this "
                    f"package does not need. Request id: {error.request_id}."
                )
            else:
                said = f"A signed call to {where} went through, {how}. Request id: {answer.request_id}."
        except DdsError as error:
            return False, str(error)
        except Exception as error:  # whatever else it is, the button has to answer, and without a secret
            return False, f"Unexpected {type(error).__name__}; the log of this process has the details."
        # Airflow's form shows the text of a failed test alone, and a misspelt field must be seen.
        return "did you mean" not in self._unread, f"{said} {self._unread}".rstrip()

    def run(self, steps: ApiCalls[T], *, timeout: float | None = None) -> T:
        """Drive an operation, or a poll made of several, with blocking calls, and return what it gives.

        :param steps: one of :mod:`airflow_provider_dds.api.requests`, or a generator made of them.
        :param timeout: seconds in which all of it has to end: no call, page, retry or sleep outlives them. None: no
            bound but those of the single calls.
        :raises DdsTransportError: the time was up; whether the last request was sent is said as of any other.
        :raises DdsError: a call failed for good.
        """
        deadline = self._deadline(timeout)
        try:
            request = next(steps)
            while True:
                try:
                    with self._naming_unread_fields():
                        answer = self._call(request, deadline)
                except DdsError as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # typeshed has no type for it

    async def arun(self, steps: ApiCalls[T], *, timeout: float | None = None) -> T:
        """Like :meth:`run`, on an event loop that is never blocked: calls run in a bounded pool of threads.

        Where many calls wait for the pace of the connection, all of this waits in line once.
        """
        deadline = self._deadline(timeout)
        first = False
        try:
            request = next(steps)
            while True:
                try:
                    with self._naming_unread_fields():
                        answer, first = await self._acall(request, deadline, first=first), True
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
                with self._naming_unread_fields():
                    answer = self._call(request)
                yield from answer.value
                request = pages.send(answer)
        except StopIteration:
            return

    async def _apages(self, pages: Pages) -> AsyncIterator[Any]:
        request: Request[Any] | None = next(pages)
        first = False
        while request is not None:
            with self._naming_unread_fields():
                answer, first = await self._acall(request, first=first), True
            for row in answer.value:
                yield row
            try:
                request = pages.send(answer)
            except StopIteration:
                request = None

    def _deadline(self, timeout: float | None) -> float:
        return inf if timeout is None else self.clock.monotonic() + timeout

    def _left(self, deadline: float) -> float | None:
        return None if deadline == inf else max(0.0, deadline - self.clock.monotonic())

    def _call(self, request: Request[T], deadline: float = inf) -> Answer[T]:
        try:
            return self._ask(request, deadline)
        except DdsAccessDeniedError as error:
            denied = error
        with self._rereading(denied):
            settings = self._settings()
        if not self._is_new(settings):
            raise denied
        self._service = None
        self._load(settings)
        with self._counted_as_passing():
            return self._ask(request, deadline)

    async def _acall(self, request: Request[T], deadline: float = inf, *, first: bool) -> Answer[T]:
        try:
            return await self._aask(request, deadline, first=first)
        except DdsAccessDeniedError as error:
            denied = error
        with self._rereading(denied):
            settings = await self._asettings()
        if not self._is_new(settings):
            raise denied
        self._service = None
        await self._aload(settings)
        with self._counted_as_passing():
            return await self._aask(request, deadline, first=first)

    def _ask(self, request: Request[T], deadline: float) -> Answer[T]:
        service = self._load()
        turn = partial(service.limiter.turn, self.clock.monotonic, self.clock.sleep, deadline)

        def send() -> Answer[T]:
            return sending.send(service, request, timeout=self._left(deadline))

        def rest(seconds: float) -> None:
            self.clock.sleep(seconds)
            turn()

        try:
            turn()
            begun = self.clock.monotonic()
            try:
                return send()
            except DdsError as error:
                again = sending.again(error, send)
                options = sending.retry_options(request, service, self.clock.monotonic, begun, deadline)
            from tenacity import Retrying

            return Retrying(sleep=rest, **options)(again)
        except DeadlineError:
            pass
        raise sending.too_late(request)

    async def _aask(self, request: Request[T], deadline: float, *, first: bool) -> Answer[T]:
        service = await self._aload()
        turn = partial(service.limiter.aturn, self.clock.monotonic, self.clock.asleep, deadline)
        loop = asyncio.get_running_loop()

        async def send() -> Answer[T]:
            begun = threading.Lock()

            def work() -> Answer[T]:
                if not begun.acquire(blocking=False):
                    raise sending.too_late(request)  # which nobody hears: its caller has given up
                return sending.send(service, request, masker_on(loop), self._left(deadline))

            try:
                with bounded(self._left(deadline)):
                    return await in_thread(service, work)
            except DeadlineError:
                if begun.acquire(blocking=False):
                    raise
            raise sending.given_up(request)

        async def rest(seconds: float) -> None:
            await self.clock.asleep(seconds)
            await turn(first=True)

        try:
            await turn(first=first or request.kind is Kind.ONCE)
            begun = self.clock.monotonic()
            try:
                return await send()
            except DdsError as error:
                again = sending.again(error, send)
                options = sending.retry_options(request, service, self.clock.monotonic, begun, deadline)
            from tenacity import AsyncRetrying

            async def attempt() -> Answer[T]:
                return await again()

            return await AsyncRetrying(sleep=rest, **options)(attempt)
        except DeadlineError:
            pass
        raise sending.too_late(request)

    def _load(self, settings: DdsSettings | None = None) -> Service:
        if self._service is None:
            service = service_for(settings or self._settings())
            if not service.masked:
                mask_secrets(forms_of_all(service.credential.secrets))
                service.masked = True
            self._service = service
        return self._service

    async def _aload(self, settings: DdsSettings | None = None) -> Service:
        if self._service is None:
            service = service_for(settings or await self._asettings())
            if not service.masked:
                await amask_secrets(forms_of_all(service.credential.secrets))
                service.masked = True
            self._service = service
        return self._service

    def _settings(self) -> DdsSettings:
        try:
            connection = self.get_connection(self.dds_conn_id)
        except AirflowNotFoundException:
            failed = failed_look_up(self.dds_conn_id)
        except Exception as error:
            failed = error
        else:
            return self._read(connection)
        raise self._not_read(failed)

    async def _asettings(self) -> DdsSettings:
        try:
            connection = await connection_of(self, self.dds_conn_id)
        except AirflowNotFoundException:
            failed = await afailed_look_up(self.dds_conn_id)
        except Exception as error:
            failed = error
        else:
            return self._read(connection)
        raise self._not_read(failed)

    def _not_read(self, error: Exception | None) -> DdsError:
        """Return what stands for a failed look-up of the connection; an error that may hold a secret is not quoted."""
        if error is None:
            return DdsConfigurationError(
                f"Connection {self.dds_conn_id!r} is not defined. Add it in Airflow (type dds), or correct dds_conn_id."
            )
        said = f"{type(error).__name__}: {error}" if says_no_secret(error) else type(error).__name__
        if isinstance(error, PermissionError):
            return DdsConfigurationError(
                f"Airflow does not let this task read connection {self.dds_conn_id!r} ({said}). Allow it, or correct "
                "dds_conn_id."
            )
        if isinstance(error, (ValueError, TypeError)):
            return DdsConfigurationError(
                f"Connection {self.dds_conn_id!r} cannot be read ({said}). Look at how it is written where it is kept: "
                "Airflow, an environment variable, or a secrets backend."
            )
        return DdsTransportError(
            f"Connection {self.dds_conn_id!r} could not be read from Airflow: {said}. If it goes on, look at Airflow's "
            "API server and database, and at the secrets backend.",
            request_sent=False,
        )

    def _is_new(self, settings: DdsSettings) -> bool:
        """Return whether a connection that was read again differs from the one in use."""
        if self._service is None or settings == self._service.settings:
            return False
        self.log.warning("Connection %r was changed; going on with what it is now.", self.dds_conn_id)
        return True

    @contextmanager
    def _rereading(self, denied: DdsAccessDeniedError) -> Iterator[None]:
        """Say of a connection that cannot be read again why it was read."""
        try:
            yield
        except DdsError as error:
            said = f"{error} It was read again because the service denied a call: {denied}"
            raise error.with_text(said).with_traceback(error.__traceback__) from error.__cause__

    @contextmanager
    def _counted_as_passing(self) -> Iterator[None]:
        """Give a connection that was just changed another poll before its denial counts."""
        try:
            yield
        except DdsAccessDeniedError as error:
            error.connection_changed = True
            raise

    def _read(self, connection: Any) -> DdsSettings:
        if connection.conn_type == CONN_TYPE:
            self._unread = _unread(self.dds_conn_id, connection.extra)
        with self._naming_unread_fields():
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
        if self._unread:
            self.log.warning("%s", self._unread)
        return settings

    @contextmanager
    def _naming_unread_fields(self) -> Iterator[None]:
        """Let an error name the fields of the connection that are misspelt: they may be what it comes of."""
        try:
            yield
        except DdsError as error:
            if self._unread and self._unread not in str(error):
                said = f"{error} {self._unread}"
                raise error.with_text(said).with_traceback(error.__traceback__) from error.__cause__
            raise


def _unread(conn_id: str, extra: str | None) -> str:
    """Return the sentence about fields of a connection that are not read, empty where there are none."""
    try:
        unknown = unknown_extra_fields(extra)
    except DdsConfigurationError:  # it is no JSON, which is said as soon as it is read
        return ""
    more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
    named = f"{', '.join(unknown[:MOST_NAMED])}{more}"
    return f"Connection {conn_id!r}: fields of extra not read: {named}." if unknown else ""


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
