"""Sensor that waits for one backup of ApsaraDB for MongoDB."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.sdk import conf

from airflow_provider_dds import arguments
from airflow_provider_dds.compat import first_poll_at, pulled_own_xcom
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.links.dds import DdsInstanceLink
from airflow_provider_dds.sensors import start
from airflow_provider_dds.sensors.base import DdsWaitSensor
from airflow_provider_dds.sensors.memory import SensorMemory
from airflow_provider_dds.triggers.backup import DdsBackupTrigger
from airflow_provider_dds.triggers.deferral import NoEvent, as_taken_up
from airflow_provider_dds.triggers.inputs import WaitInputs, kept_inputs_in
from airflow_provider_dds.waiting.records import UnreadableError
from airflow_provider_dds.waiting.result import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dds.waiting.backup_job import BackupJobWait
    from airflow_provider_dds.waiting.wait import Wait

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
        "A backup that still runs goes on; the service has no call to cancel it. Raise timeout and clear this task: it "
        "waits on for the same job."
    ),
}


class DdsBackupSensor(DdsWaitSensor):
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
    :param confirm_timeout: seconds in which the service answers and does not show the set, over two polls at least.
    :param not_found_grace: seconds in which the service answers and shows neither the job nor a set of it before the
        task fails, over two polls at least.
    :param deferrable: wait in the triggerer, without a worker. Default: ``[operators] default_deferrable``.
    :param start_from_trigger: like ``deferrable``, and start in the triggerer, too: ids are rendered there, a good
        backup ends the task there, and a worker is needed only to fail, or for callbacks, ``outlets`` and the like.
        Where Airflow cannot (before 3.3, mapped, ``airflow dags test``) it is ``deferrable``, and the log says so.
    :param poll_strategy: how polls are spaced: ``progress`` by how far the backup is and how long it runs,
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
    trigger_class = DdsBackupTrigger
    advice = _ADVICE
    _memory: SensorMemory | None = None

    def _hook_apply_defaults(self, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Refuse what is given and contradicts itself: Airflow calls this before it calls the constructor."""
        start.refuse_contradiction(kwargs, kwargs.get("default_args") or {})
        return args, kwargs

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
        self._check_spans(kwargs)
        super().__init__(**kwargs)
        self.db_instance_id = db_instance_id
        self.backup_job_id = backup_job_id
        self.confirm_backup_set = arguments.flag("confirm_backup_set", confirm_backup_set)
        self.confirm_timeout = arguments.seconds("confirm_timeout", confirm_timeout, zero=True)
        self.not_found_grace = arguments.seconds("not_found_grace", not_found_grace, zero=True)
        self._take(
            deferrable=deferrable,
            start_from_trigger=start_from_trigger,
            poll_strategy=poll_strategy,
            dds_conn_id=dds_conn_id,
            region_id=region_id,
        )

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return what ``expand`` makes a mapped sensor of. ``start_from_trigger`` is ``deferrable`` there.

        A worker begins a mapped task, but Airflow (3.3) would prepare to render its trigger all the same.

        :param kwargs: arguments that all tasks have in common.
        :return: Airflow's ``OperatorPartial``.
        """
        start.refuse_contradiction(kwargs, {})
        if kwargs.get("start_from_trigger") is True:
            del kwargs["start_from_trigger"]
            kwargs["deferrable"] = True
        return super().partial(**kwargs)

    def _begin(self, context: Context) -> tuple[BackupJobWait, DdsHook]:
        """Return the wait and its hook; a later process of a rescheduled try goes on with the wait of the first."""
        if self.asks_for_trigger:
            why = start.why_on_a_worker(self) or "Airflow does that with mapped tasks, airflow dags test with all"
            self.log.info("Begun on a worker in spite of start_from_trigger: %s. The wait is deferred.", why)
        started_at = self.clock.now()
        self._memory = None
        if not self.reschedule or self.deferrable:
            return self._wait_for(self._rendered(context, started_at))
        first = first_poll_at(context, self.retries or 0)
        if first is not None:
            started_at = first.timestamp()
        self._memory = SensorMemory(context, self.log)
        kept = self._memory.recall(self.clock.sleep, started_at + self.timeout - self.clock.now())
        inputs = replace(kept or self._rendered(context, started_at), started_at=started_at)
        wait, hook = self._wait_for(replace(inputs, deadline=started_at + self.timeout))
        if kept is not None:
            self._memory.give(wait)
        elif first is not None:
            wait.forget()
        return wait, hook

    def _begin_anew(self, context: Context, why: NoEvent) -> tuple[BackupJobWait, DdsHook]:
        """Return the wait that a deferral left, by what its try has kept: what is behind the ids may have moved.

        :param why: why it gave no event.
        """
        lasts = start.waits_for(self) if self.asks_for_trigger else self.timeout
        kept = kept_inputs_in(why.left_of(lasts), context["ti"], pulled_own_xcom, self.clock.sleep, self.log)
        began = self.clock.now() - (lasts if why.timed_out else 0.0)
        return self._wait_for(kept or replace(self._rendered(context, began), deadline=began + lasts))

    def _keep_memory(self, wait: Wait[Any], hook: DdsHook) -> bool:
        """Keep what a rescheduled wait remembers for its next process; False where it matters and cannot be kept."""
        return self._memory is None or self._memory.keep(cast("BackupJobWait", wait), hook)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return what the trigger found, or raise what it stands for.

        :param context: Airflow's context.
        :param event: the trigger's :class:`~airflow_provider_dds.waiting.result.Result` as JSON; of a trigger that
            began the wait itself with the address of the instance's page as ``link``.
        :raises AirflowSkipException: it stands for an error, and the sensor is to ``never_fail``.
        """
        fields = dict(event) if isinstance(event, dict) else event
        begun_by_trigger = isinstance(fields, dict) and "link" in fields
        link = fields.pop("link") if begun_by_trigger else None
        try:
            result = as_taken_up(Result.from_json(fields), self.clock.now())
        except UnreadableError as error:
            return self.execute_without_event(context, NoEvent.unreadable(error))
        if isinstance(link, str):
            self._write_aside("The link", partial(DdsInstanceLink.store, context, link))
        if begun_by_trigger and result.outcome is Outcome.TIMED_OUT and start.waits_for(self) < self.timeout:
            result = replace(result, text=f"{result.text} {start.limited_by_execution_timeout(self)}")
        return self._end_deferral(context, result, begun_by_trigger=begun_by_trigger)

    def policy(self) -> dict[str, Any]:
        """Return how it waits, as arguments of :class:`~airflow_provider_dds.waiting.backup_job.BackupJobWait`."""
        return {
            **self.polls(),
            "confirm_backup_set": self.confirm_backup_set,
            "confirm_timeout": self.confirm_timeout,
            "not_found_grace": self.not_found_grace,
        }

    def _rendered(self, context: Context, started_at: float) -> WaitInputs:
        return WaitInputs(
            try_number=context["ti"].try_number,
            db_instance_id=arguments.required_id("db_instance_id", self.db_instance_id),
            backup_job_id=arguments.required_id("backup_job_id", self.backup_job_id),
            dds_conn_id=arguments.optional_text("dds_conn_id", self.dds_conn_id) or DdsHook.default_conn_name,
            region_id=arguments.optional_text("region_id", self.region_id),
            started_at=started_at,
            deadline=started_at + self.timeout,
        )

    def _wait_for(self, inputs: WaitInputs) -> tuple[BackupJobWait, DdsHook]:
        return inputs.wait(**self.policy()), DdsHook(inputs.dds_conn_id, inputs.region_id)
