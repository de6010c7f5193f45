"""Operator that audits the backups of many instances in one task."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_dds import arguments, metrics
from airflow_provider_dds.exceptions import DdsAuditError, DdsConfigurationError, DdsError
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.retry_policy import bring_default_retry_policy
from airflow_provider_dds.tasks import DdsTask
from airflow_provider_dds.waiting.inventory.audit import Audit, AuditRow, audit_all, instances_to_audit
from airflow_provider_dds.waiting.inventory.backup import BACKUP_MODES
from airflow_provider_dds.waiting.inventory.freshness import AGE_OF, Freshness
from airflow_provider_dds.waiting.inventory.table import failure_of, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

AUDIT_XCOM = "audit"
"""Where the rows are left, also by a task that fails."""
ON_VIOLATION = ("fail", "report")


class DdsBackupAuditOperator(DdsTask, BaseOperator):
    """Ask of many instances whether each has a good backup that is new enough, in one task, and name all that have not.

    Each instance gets a row: whether all holds that is asked for (``ok``: True, False, or None where that could not be
    found out), its newest good backup and its age, what failed since, how much a restore would lose and between which
    points in time it cannot restore, log backups, retention, storage, when the next backup is due, and the reasons. The
    rows are a table in the log, and XCom ``audit``, also of a task that fails. An instance that could not be read is
    never taken for a good one.

    .. seealso:: https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-describebackups

    :param db_instance_ids: the instances; None: those with the ``tags``, or without ``tags`` all of the region.
        (templated)
    :param tags: only instances that have all of these tags. (templated)
    :param max_age: greatest age of the newest good backup, in seconds or as a timedelta, at most 366 days.
    :param age_of: what the age counts from: ``data``, the start of the backup, or ``end``.
    :param backup_modes: whose backups count: ``Automated``, ``Manual``, or both.
    :param max_recovery_lag: what a restore to the newest point in time may lose, in seconds or as a timedelta; None:
        not asked. It needs log backups.
    :param require_log_backup: whether logs have to be backed up.
    :param min_retention_days: days that the policy has to keep backups at the least; None: not asked.
    :param on_violation: ``fail`` raises one error that names every instance that does not hold or is not known;
        ``report`` ends well.
    :param dds_conn_id: Airflow connection. (templated)
    :param region_id: region that overrides the connection's. (templated)
    :return: the rows as a list of dicts, plain JSON; those that do not hold first.
    :raises DdsConfigurationError: an argument or the connection is wrong, or there is no instance to audit.
    :raises DdsAuditError: an instance does not hold, or is not known, and ``on_violation`` is ``fail``.
    :raises DdsApiError: the instances could not be listed.
    """

    template_fields: Sequence[str] = ("db_instance_ids", "tags", "region_id", "dds_conn_id")
    ui_color = "#e6e0f5"

    def __init__(
        self,
        *,
        db_instance_ids: Sequence[str] | str | None = None,
        tags: Mapping[str, str] | None = None,
        max_age: float | timedelta,
        age_of: str = "data",
        backup_modes: Sequence[str] = BACKUP_MODES,
        max_recovery_lag: float | timedelta | None = None,
        require_log_backup: bool = False,
        min_retention_days: float | None = None,
        on_violation: str = "fail",
        dds_conn_id: str = DdsHook.default_conn_name,
        region_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        bring_default_retry_policy(self)
        self.db_instance_ids = db_instance_ids
        self.tags = tags
        self.max_age = arguments.seconds("max_age", max_age)
        self.age_of = arguments.one_of("age_of", age_of, AGE_OF)
        self.backup_modes = arguments.some_of("backup_modes", backup_modes, BACKUP_MODES) or BACKUP_MODES
        self.max_recovery_lag = (
            None if max_recovery_lag is None else arguments.seconds("max_recovery_lag", max_recovery_lag)
        )
        self.require_log_backup = arguments.flag("require_log_backup", require_log_backup)
        self.min_retention_days = (
            None if min_retention_days is None else arguments.days("min_retention_days", min_retention_days)
        )
        self.on_violation = arguments.one_of("on_violation", on_violation, ON_VIOLATION)
        self.dds_conn_id = dds_conn_id
        self.region_id = region_id
        if isinstance(db_instance_ids, (list, tuple)) and all(map(arguments.is_literal, db_instance_ids)):
            arguments.ids("db_instance_ids", db_instance_ids)
        if not (arguments.is_rendered_later(db_instance_ids) or arguments.is_rendered_later(tags)):
            self._check_choice()
        self.check_connection()

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return what ``expand`` makes mapped tasks of: in the grid each shows its region, or else its connection.

        :param kwargs: arguments that all tasks have in common.
        :return: Airflow's ``OperatorPartial``.
        """
        kwargs.setdefault("map_index_template", "{{ task.region_id or task.dds_conn_id }}")
        return super().partial(**kwargs)

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Audit the instances, and return their rows.

        :param context: Airflow's context.
        :raises DdsAuditError: an instance does not hold, or is not known, and ``on_violation`` is ``fail``.
        :raises DdsError: the instances could not be listed, or an argument is wrong.
        """
        try:
            self._check_choice()
            rows = sorted(map(self._measured, self._audit()), key=lambda row: {False: 0, None: 1, True: 2}[row.ok])
        except DdsError as error:
            self._tell_failure(context, error)
            raise
        told = [row.to_dict() for row in rows]
        self._write_aside(f"XCom {AUDIT_XCOM}", partial(context["ti"].xcom_push, key=AUDIT_XCOM, value=told))
        for line in table_of(rows):
            self.log.info("%s", line)
        failure = failure_of(rows)
        if failure is None:
            return told
        if self.on_violation == "report":
            self.log.warning("%s", failure)
            return told
        violated = DdsAuditError(failure).with_facts(
            violations=[row.db_instance_id for row in rows if row.ok is False],
            unknown=[row.db_instance_id for row in rows if row.ok is None],
            advice="Look at the table of the audit in the log, or at XCom audit: each instance has its reasons there.",
        )
        self._tell_failure(context, violated)
        raise violated

    def _audit(self) -> Iterator[AuditRow]:
        hook = self.hook
        asked = Audit(
            Freshness(self.max_age, self.age_of, self.backup_modes),
            self.max_recovery_lag,
            self.require_log_backup,
            self.min_retention_days,
        )
        return audit_all(hook.run, instances_to_audit(hook.run, *self._choice()), asked, self.clock.now)

    def _measured(self, row: AuditRow) -> AuditRow:
        if row.newest_good:
            metrics.good_backup(row.newest_good, row.region_id, self.clock.now())
        return row

    def _check_choice(self) -> None:
        if self.db_instance_ids is not None and self.tags is not None:
            raise DdsConfigurationError("db_instance_ids and tags are both given; leave one of them out.")

    def _choice(self) -> tuple[list[str] | None, dict[str, str] | None]:
        ids = self.db_instance_ids
        return None if ids is None else arguments.ids("db_instance_ids", ids), arguments.tags("tags", self.tags)
