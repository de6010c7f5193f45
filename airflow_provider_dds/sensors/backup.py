"""Sensor that waits for one backup of ApsaraDB for MongoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_dds import arguments
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.links.dds import DdsInstanceLink
from airflow_provider_dds.sensors.construction import check_spans, take_over
from airflow_provider_dds.sensors.gate_base import DdsGateSensor
from airflow_provider_dds.triggers.backup import DdsBackupTrigger
from airflow_provider_dds.triggers.start import DdsBackupStartTrigger
from airflow_provider_dds.waiting.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence


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


class DdsBackupSensor(DdsGateSensor):
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
    operator_extra_links = (DdsInstanceLink(),)
    ui_color = "#d7f0e4"
    trigger_class = DdsBackupTrigger
    start_trigger_class = DdsBackupStartTrigger
    advice = _ADVICE

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
        check_spans(kwargs)
        super().__init__(**kwargs)
        self.db_instance_id = db_instance_id
        self.backup_job_id = backup_job_id
        self.confirm_backup_set = arguments.flag("confirm_backup_set", confirm_backup_set)
        self.confirm_timeout = arguments.seconds("confirm_timeout", confirm_timeout, zero=True)
        self.not_found_grace = arguments.seconds("not_found_grace", not_found_grace, zero=True)
        take_over(
            self,
            deferrable=deferrable,
            start_from_trigger=start_from_trigger,
            poll_strategy=poll_strategy,
            dds_conn_id=dds_conn_id,
            region_id=region_id,
        )

    def policy(self) -> dict[str, Any]:
        """Return how it waits, as arguments of :class:`~airflow_provider_dds.waiting.backup_job.BackupJobWait`."""
        return {
            **self.polls(),
            "confirm_backup_set": self.confirm_backup_set,
            "confirm_timeout": self.confirm_timeout,
            "not_found_grace": self.not_found_grace,
        }
