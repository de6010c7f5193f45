"""Sensor that waits for one backup of ApsaraDB for MongoDB."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_dds import arguments
from airflow_provider_dds.compat import (
    deferral_timed_out,
    first_look_at,
    forget_result,
    generation_of,
    task_state_store,
)
from airflow_provider_dds.exceptions import DdsError, DdsTimeoutError
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.links.dds import DdsInstanceLink
from airflow_provider_dds.outlets import tell_outlets
from airflow_provider_dds.polling import PollPlan
from airflow_provider_dds.retry_policy import bring_default_retry_policy
from airflow_provider_dds.sensors import start
from airflow_provider_dds.triggers.dds import DdsBackupTrigger, tell_of_no_event
from airflow_provider_dds.verdict import Outcome, Terms, Verdict
from airflow_provider_dds.watch import BackupWatch, Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

_MEMORY_KEY = "dds_backup_sensor"
_ADVICE = {
    Outcome.FAILED: (
        "Look for the cause under Backup and Recovery of the instance in the console; then clear the task that makes "
        "the backup, and those after it, to make a new one."
    ),
    Outcome.NOT_FOUND: (
        "Check that the job id is one of this instance, region and account. If the console shows the backup, raise "
        "not_found_grace and clear this task; if not, clear the task that makes the backup, and those after it."
    ),
    Outcome.TIMED_OUT: (
        "The backup may still be running; the service has no call to cancel it. Raise timeout and clear this task: it "
        "waits on for the same job."
    ),
}


class DdsBackupSensor(BaseSensorOperator):
    """Wait until one specific backup is good; fail when it failed, cannot be found, or is not done in time.

    Succeeds only when the job is Finished (or its backup set is Success), and not if the set is known to have failed.
    What happens in between (throttling, HTTP 5xx, a lost connection) is waited out until ``timeout``; an error that
    stays (a wrong key, no permission, no such instance) fails the task at once.

    Returns the facts of the backup as a dict: ``db_instance_id``, ``backup_job_id``, ``backup_id``, ``status``,
    ``backup_method``, ``backup_mode``, ``backup_type``, ``start_time``, ``end_time``, ``size_bytes``, ``expire_time``,
    ``engine_version``; None where unknown, times as ISO 8601 in UTC. The same in all modes.

    .. seealso::
        https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-describebackuptasks

    :param db_instance_id: instance id. (templated)
    :param backup_job_id: job id that ``DdsCreateBackupOperator`` returned. (templated)
    :param confirm_backup_set: after Finished, look up the backup set: a set that is Failed fails the task, one that
        does not become visible within ``confirm_timeout`` lets it succeed with a warning.
    :param confirm_timeout: seconds to wait for the set to become visible.
    :param not_found_grace: seconds that neither the job nor a set of it may be found before the task fails.
    :param deferrable: wait in the triggerer, without a worker. Default: ``[operators] default_deferrable``.
    :param start_from_trigger: like ``deferrable``, and start in the triggerer, too: ids are rendered there, a good
        backup ends the task there, and a worker is needed only to fail, or for callbacks, ``outlets`` and the like.
        Where Airflow cannot (before 3.3, mapped, ``airflow dags test``) it is ``deferrable``, and the log says so.
    :param poll_strategy: how looks are spaced: ``progress`` by how far the backup is and how long it runs,
        ``exponential`` by the time waited, ``fixed`` by ``poke_interval`` alone. ``poke_interval`` is the finest
        spacing, ``max_wait`` the coarsest; with ``progress`` its default is 30 times ``poke_interval``. Default:
        ``exponential`` with ``exponential_backoff=True``, else ``progress``.
    :param dds_conn_id: Airflow connection. (templated)
    :param region_id: region that overrides the connection's. (templated)
    :param kwargs: arguments of ``BaseSensorOperator``; ``poke_interval`` (seconds, default 60), ``timeout`` (seconds,
        default 7 days), ``mode``, ``soft_fail``, ``never_fail``, ``exponential_backoff`` and ``max_wait`` mean the same
        in poke, reschedule and deferrable mode.
    :raises DdsConfigurationError: an argument or the connection is wrong; nothing was sent.
    :raises DdsBackupFailedError: the job or its set failed. No retry.
    :raises DdsBackupNotFoundError: neither was found for ``not_found_grace``. No retry.
    :raises AirflowSensorTimeout: ``timeout`` passed. No retry.
    :raises DdsApiError: the API refused for good.
    """

    template_fields: Sequence[str] = ("db_instance_id", "backup_job_id", "region_id", "dds_conn_id")
    start_from_trigger: Any = start.OfTask(False, start.starts_in_triggerer)
    start_trigger_args: Any = start.OfTask(None, start.start_trigger_args)
    operator_extra_links = (DdsInstanceLink(),)
    ui_color = "#d7f0e4"

    _clock: Callable[[], float] = staticmethod(time.time)
    _sleep: Callable[[float], None] = staticmethod(time.sleep)
    _random: Callable[[], float] = staticmethod(random.random)

    def __init__(
        self,
        *,
        db_instance_id: str,
        backup_job_id: str,
        confirm_backup_set: bool = True,
        confirm_timeout: float = 600,
        not_found_grace: float = 300,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        start_from_trigger: bool = False,
        poll_strategy: str | None = None,
        dds_conn_id: str = DdsHook.default_conn_name,
        region_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        given = {**(kwargs.get("default_args") or {}), **kwargs}
        for name in ("poke_interval", "timeout", "max_wait"):
            if name in given and (given[name] is not None or name == "poke_interval"):
                arguments.seconds(name, given[name])
        for name, value in (("dds_conn_id", dds_conn_id), ("region_id", region_id)):
            if arguments.is_literal(value):
                arguments.optional_text(name, value)
        super().__init__(**kwargs)
        bring_default_retry_policy(self)
        self.db_instance_id = db_instance_id
        self.backup_job_id = backup_job_id
        self.confirm_backup_set = arguments.flag("confirm_backup_set", confirm_backup_set)
        self.confirm_timeout = arguments.seconds("confirm_timeout", confirm_timeout, zero=True)
        self.not_found_grace = arguments.seconds("not_found_grace", not_found_grace, zero=True)
        asks_for_trigger = arguments.flag("start_from_trigger", start_from_trigger)
        self.deferrable = arguments.flag("deferrable", deferrable) or asks_for_trigger
        self.poll_strategy = arguments.poll_strategy(poll_strategy, exponential_backoff=self.exponential_backoff)
        self.dds_conn_id = dds_conn_id
        self.region_id = region_id
        arguments.interval_within(self.poke_interval, self.timeout)
        arguments.longest_wait(self.poke_interval, self.max_wait.total_seconds() if self.max_wait else None)
        self._prepared: tuple[Context, BackupWatch, DdsHook] | None = None
        self.asks_for_trigger = asks_for_trigger

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return what ``expand`` makes a mapped sensor of. ``start_from_trigger`` is ``deferrable`` there.

        A worker begins a mapped task, but Airflow (3.3) would prepare to render its trigger all the same.

        :param kwargs: arguments that all tasks have in common.
        :return: Airflow's ``OperatorPartial``.
        """
        if kwargs.get("start_from_trigger") is True:
            del kwargs["start_from_trigger"]
            kwargs["deferrable"] = True
        return super().partial(**kwargs)

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once. In deferrable mode a wait goes on in the triggerer, in the other modes Airflow calls this again.

        :param context: Airflow's context, one and the same for all looks of an execution.
        :return: the facts of the good backup, or False to wait.
        """
        if self._prepared is None or self._prepared[0] is not context:
            if self.asks_for_trigger:
                why = start.why_on_a_worker(self) or "Airflow does that with mapped tasks, airflow dags test with all"
                self.log.info("Begun on a worker in spite of start_from_trigger: %s. The wait is deferred.", why)
            try:
                self._prepared = (context, self._begin(context), self._connect())
            except DdsError as error:
                self._tell_if_skipped(error)
                raise
        _, watch, hook = self._prepared
        memory = _Memory(context, watch) if self.reschedule and not self.deferrable else None
        if memory:
            memory.recall()
        while True:
            verdict, now = self._look(context, watch, hook)
            if verdict.outcome is not Outcome.WAIT:
                return PokeReturnValue(True, self._result(context, watch.ending(verdict, now)))
            wait = watch.next_wait(now, self._random())
            watch.report(self.log, verdict, now, wait)
            self._next_wait = wait
            if self.deferrable:
                trigger = DdsBackupTrigger.for_watch(watch, hook, now)
                self.defer(trigger=trigger, method_name="execute_complete", timeout=trigger.timeout(now))
            if memory is None or memory.keep():
                return False
            # No store to keep the memory in: what depends on it is waited for here, at most for the two graces.
            self._sleep(wait)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral, and return what the method gives.

        :param next_method: method that goes on.
        :param next_kwargs: its arguments.
        :param context: Airflow's context.
        :raises AirflowSensorTimeout: the deferral took too long.
        """
        about = f"backup {self.backup_job_id} of {self.db_instance_id}"
        tell_of_no_event(self.log, about, next_method, next_kwargs)
        if words := deferral_timed_out(next_method, next_kwargs):
            raise AirflowSensorTimeout(words)
        return super().resume_execution(next_method, next_kwargs, context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return what the trigger found, or raise what it stands for.

        :param context: Airflow's context.
        :param event: the trigger's :class:`~airflow_provider_dds.watch.Ending` as JSON.
        :raises AirflowSkipException: it stands for an error, and the sensor is to ``never_fail``.
        """
        begun_by_trigger = "link" in event
        if url := event.get("link"):
            DdsInstanceLink.store(context, url)
        try:
            return self._result(context, Ending.from_json(event))
        except (DdsError, AirflowSensorTimeout) as error:
            if begun_by_trigger:
                forget_result(context)
            if isinstance(error, AirflowSensorTimeout):
                raise
            if self.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
            raise

    def _begin(self, context: Context) -> BackupWatch:
        started_at = self._clock()
        if self.reschedule and not self.deferrable and (first := first_look_at(context, self.retries or 0)):
            started_at = first.timestamp()
        max_wait = self.max_wait.total_seconds() if self.max_wait else None
        return BackupWatch(
            arguments.required_id("db_instance_id", self.db_instance_id),
            arguments.required_id("backup_job_id", self.backup_job_id),
            Terms(started_at + self.timeout, self.confirm_backup_set, self.confirm_timeout, self.not_found_grace),
            PollPlan(self.poke_interval, self.poll_strategy, max_wait),
            started_at,
        )

    def _connect(self) -> DdsHook:
        conn_id = arguments.optional_text("dds_conn_id", self.dds_conn_id) or DdsHook.default_conn_name
        return DdsHook(conn_id, arguments.optional_text("region_id", self.region_id))

    def _look(self, context: Context, watch: BackupWatch, hook: DdsHook) -> tuple[Verdict, float]:
        linked = watch.instance is not None
        look = watch.look_with(hook.run)
        if watch.instance and not linked:
            DdsInstanceLink.store(context, hook.console_url(watch.instance))
        now = self._clock()
        return watch.conclude(look, now), now

    def _result(self, context: Context, ending: Ending) -> dict[str, Any]:
        try:
            facts = ending.result(_ADVICE)
        except DdsError as error:
            self._tell_if_skipped(error)
            if isinstance(error, DdsTimeoutError):
                raise AirflowSensorTimeout(str(error)) from None
            raise
        self.log.info("%s", ending.text)
        tell_outlets(self, context, facts)
        return facts

    def _tell_if_skipped(self, error: DdsError) -> None:
        """Log an error that Airflow makes a skip of without saying what it was."""
        if self.never_fail or (self.soft_fail and isinstance(error, AirflowFailException)):
            self.log.warning("%s", error)

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        """Return the wait that the last look led to, so that all modes space their looks alike."""
        return self._next_wait

    _next_wait: float = 60.0


class _Memory:
    """What a sensor in reschedule mode remembers from one process to the next, in the task state store."""

    def __init__(self, context: Context, watch: BackupWatch) -> None:
        self.store = task_state_store(context)
        self.watch = watch
        self.wait_of = [generation_of(context), context["ti"].try_number, watch.backup_job_id]

    def recall(self) -> None:
        stored = None if self.store is None else self.store.get(_MEMORY_KEY)
        if isinstance(stored, dict) and stored.get("wait_of") == self.wait_of:
            self.watch.recall(stored["memory"])

    def keep(self) -> bool:
        """Store the memory; False where it matters and there is no store."""
        if self.store is None:
            return not self.watch.remembers
        self.store.set(_MEMORY_KEY, {"wait_of": self.wait_of, "memory": self.watch.remembered()})
        return True
