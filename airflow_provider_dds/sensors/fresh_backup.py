"""Sensor that waits for a good backup that is fresh enough, whoever made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_dds import arguments
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.links.dds import DdsInstanceLink
from airflow_provider_dds.sensors.construction import check_spans, take_over
from airflow_provider_dds.sensors.gate_base import DdsGateSensor
from airflow_provider_dds.triggers.fresh_backup import DdsFreshBackupStartTrigger, DdsFreshBackupTrigger
from airflow_provider_dds.waiting.inventory.backup import BACKUP_MODES
from airflow_provider_dds.waiting.inventory.freshness import AGE_OF
from airflow_provider_dds.waiting.records import UnreadableError, is_seconds
from airflow_provider_dds.waiting.result import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

_ROUNDED = 0.5
"""Seconds by which the age in an event may be above that which was judged."""
_ADVICE = {
    Outcome.TIMED_OUT: (
        "Look under Backup and Recovery of the instance in the console why there is none: its backup policy, and what "
        "failed. Make one there or with DdsCreateBackupOperator; then clear this task."
    ),
}


class DdsFreshBackupSensor(DdsGateSensor):
    """Wait until an instance has a good backup no older than ``max_age``, whoever made it: a schedule or a person.

    Good is a backup that is complete (a full set of each shard), Success, available and not expired. While there is
    none, the sensor waits: also for one that is being made. At its deadline it says which the newest good backup is,
    how old it is, and what failed since. A listing that cannot be read says nothing and is waited out; an error that
    stays (no permission, no such instance) fails the task at once.

    Returns the facts of the newest such backup as a dict, those of
    :class:`~airflow_provider_dds.sensors.backup.DdsBackupSensor` and ``age_seconds``. The same in all modes.

    .. seealso:: https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-describebackups

    :param db_instance_id: instance id. (templated)
    :param max_age: greatest age, in seconds or as a timedelta, at most 366 days.
    :param age_of: what the age counts from: ``data``, the start of the backup, as its data is of then, or ``end``.
    :param backup_modes: who may have made it: ``Automated``, ``Manual``, or both.
    :param backup_methods: how it may have been made: some of ``Snapshot``, ``Physical``, ``Logical``; None: in any way.
        The service does not say it of the backup of a cluster.
    :param min_size_ratio: least size, as a share of the median of the good ones before it, seven at most, of the same
        method; None: any size. The first one that is listed has nothing to be compared with.
    :param min_days_left: days that the service will keep it at the least.
    :param deferrable: wait in the triggerer, without a worker. Default: ``[operators] default_deferrable``.
    :param start_from_trigger: like ``deferrable``, and start in the triggerer, too, as
        :class:`~airflow_provider_dds.sensors.backup.DdsBackupSensor` does.
    :param poll_strategy: how polls are spaced: ``fixed`` by ``poke_interval`` alone, as ``progress`` here, or
        ``exponential`` by the time waited. Default: ``exponential`` with ``exponential_backoff=True``, else ``fixed``.
    :param dds_conn_id: Airflow connection. (templated)
    :param region_id: region that overrides the connection's. (templated)
    :param kwargs: arguments of ``BaseSensorOperator``; ``poke_interval`` (seconds, default 60), ``timeout`` (seconds,
        default 7 days), ``mode``, ``soft_fail``, ``never_fail``, ``exponential_backoff`` and ``max_wait`` mean the same
        in poke, reschedule and deferrable mode.
    :raises DdsConfigurationError: an argument or the connection is wrong; nothing was sent.
    :raises AirflowSensorTimeout: ``timeout`` passed. No retry.
    :raises DdsApiError: the API refused for good.
    """

    template_fields: Sequence[str] = ("db_instance_id", "region_id", "dds_conn_id")
    operator_extra_links = (DdsInstanceLink(),)
    ui_color = "#d7f0e4"
    trigger_class = DdsFreshBackupTrigger
    start_trigger_class = DdsFreshBackupStartTrigger
    advice = _ADVICE

    def __init__(
        self,
        *,
        db_instance_id: str,
        max_age: float | timedelta,
        age_of: str = "data",
        backup_modes: Sequence[str] = BACKUP_MODES,
        backup_methods: Sequence[str] | None = None,
        min_size_ratio: float | None = None,
        min_days_left: float = 0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        start_from_trigger: bool = False,
        poll_strategy: str | None = None,
        dds_conn_id: str = DdsHook.default_conn_name,
        region_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_spans(kwargs)
        super().__init__(**kwargs)
        self.db_instance_id = db_instance_id
        self.max_age = arguments.seconds("max_age", max_age)
        self.age_of = arguments.one_of("age_of", age_of, AGE_OF)
        self.backup_modes = arguments.some_of("backup_modes", backup_modes, BACKUP_MODES) or BACKUP_MODES
        self.backup_methods = arguments.some_of("backup_methods", backup_methods, arguments.BACKUP_METHODS)
        self.min_size_ratio = arguments.share("min_size_ratio", min_size_ratio)
        self.min_days_left = arguments.days("min_days_left", min_days_left)
        take_over(
            self,
            deferrable=deferrable,
            start_from_trigger=start_from_trigger,
            poll_strategy=poll_strategy,
            dds_conn_id=dds_conn_id,
            region_id=region_id,
        )

    def _read_event(self, event: Any) -> Result:
        result = super()._read_event(event)
        age: Any = (result.backup or {}).get("age_seconds")
        if result.outcome is Outcome.DONE and not (is_seconds(age) and age <= self.max_age + _ROUNDED):
            raise UnreadableError(f"field 'age_seconds' is {age!r:.40}, no age up to max_age ({self.max_age:g})")
        return result

    def policy(self) -> dict[str, Any]:
        """Return what it waits for and how, as arguments of the wait, without the instance and the times."""
        return {
            **self.polls(),
            "max_age": self.max_age,
            "age_of": self.age_of,
            "backup_modes": list(self.backup_modes),
            "backup_methods": list(self.backup_methods) if self.backup_methods else None,
            "min_size_ratio": self.min_size_ratio,
            "min_days_left": self.min_days_left,
        }
