"""What operators and sensors share: clock, link, and what a task leaves besides its result."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import Asset

from airflow_provider_dds import arguments
from airflow_provider_dds.clock import CLOCK, Clock
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.links.dds import DdsInstanceLink
from airflow_provider_dds.triggers.inputs import INPUTS_XCOM, inputs_of
from airflow_provider_dds.waiting.backup_job import BackupJobWait
from airflow_provider_dds.waiting.fresh_backup import FreshBackupWait

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dds.api.models import DBInstance
    from airflow_provider_dds.exceptions import DdsError
    from airflow_provider_dds.triggers.base import WaitTrigger
    from airflow_provider_dds.waiting.wait import Wait

FAILURE_XCOM = "failure"
"""Where a failed task leaves the facts of its error."""


class DdsTask:
    """A task of this package. What only informs is decoration: where it cannot be written, the verdict stays.

    :ivar clock: its time.
    """

    clock: Clock = CLOCK
    log: Any
    dds_conn_id: str
    region_id: str | None

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return what ``expand`` makes mapped tasks of. In the grid each shows its instance, unless the user says else.

        :param kwargs: arguments that all tasks have in common.
        :return: Airflow's ``OperatorPartial``.
        """
        kwargs.setdefault("map_index_template", "{{ task.db_instance_id }}")
        return super().partial(**kwargs)  # type: ignore[misc]  # of Airflow's class beside this one

    def check_connection(self) -> None:
        """Check what is known of connection and region when the DAG file is read.

        :raises DdsConfigurationError: it is not text.
        """
        for name in ("dds_conn_id", "region_id"):
            if arguments.is_literal(value := getattr(self, name)):
                arguments.optional_text(name, value)

    @property
    def hook(self) -> DdsHook:
        """The hook for the rendered connection and region."""
        conn_id = arguments.optional_text("dds_conn_id", self.dds_conn_id)
        return DdsHook(conn_id or DdsHook.default_conn_name, arguments.optional_text("region_id", self.region_id))

    def _write_aside(self, what: str, write: Callable[[], None], pauses: Sequence[float] = ()) -> None:
        """Write what only informs: that it cannot be written never changes how the task ends.

        :param what: what is written, in words.
        :param write: writes it.
        :param pauses: seconds between attempts.
        """
        for pause in (*pauses, None):
            try:
                write()
            except Exception as error:  # Airflow and XCom backends have many
                said = f"{type(error).__name__}: {str(error).rstrip('.')}"
            else:
                return
            if pause is not None:
                self.clock.sleep(pause)
        self.log.warning("%s could not be written (%s). The backup is not affected.", what, said)

    def _store_link(self, context: Context, hook: DdsHook, instance: DBInstance | None) -> None:
        """Store the address of the instance's page for the link in Airflow's UI, once the instance is known."""
        if instance is not None:
            self._write_aside("The link", lambda: DdsInstanceLink.store(context, hook.console_url(instance)))

    def _tell_outlets(self, context: Context, facts: dict[str, Any]) -> None:
        """Give the facts of a backup to the task's outlets."""
        self._write_aside("The events of the outlets", partial(tell_outlets, self, context, facts))

    def _tell_failure(self, context: Context, error: DdsError) -> None:
        """Log what to do about an error as a line of its own, and push its facts as XCom ``failure``."""
        if error.advice:
            self.log.error("What to do: %s", error.advice)
        self._write_aside(f"XCom {FAILURE_XCOM}", lambda: context["ti"].xcom_push(key=FAILURE_XCOM, value=error.facts))

    def _wait_in_triggerer(
        self, context: Context, wait: Wait[Any], hook: DdsHook, trigger_class: type[WaitTrigger]
    ) -> NoReturn:
        """Defer to a trigger that goes on with a wait, and keep the ids that it is for: they may be rendered ones."""
        if isinstance(wait, (BackupJobWait, FreshBackupWait)):
            inputs = inputs_of(wait, hook, context["ti"].try_number).to_json()
            push = partial(context["ti"].xcom_push, key=INPUTS_XCOM, value=inputs)
            self._write_aside(f"XCom {INPUTS_XCOM}", push)
        now = self.clock.now()
        trigger = trigger_class.for_wait(wait, hook, now)
        self.defer(trigger=trigger, method_name="execute_complete", timeout=trigger.timeout(now))  # type: ignore[attr-defined]  # Airflow's own
        raise AssertionError("Airflow's defer raises")


def tell_outlets(task: Any, context: Context, facts: dict[str, Any]) -> None:
    """Put the facts of a backup into the extra of the event of each asset in a task's ``outlets``.

    An asset may be given itself or by reference (``Asset.ref``). An alias gets no facts, since it stands for no asset
    until the task names one; the log says so.

    :param task: the operator or sensor.
    :param context: Airflow's context.
    :param facts: the facts, plain JSON.
    :raises Exception: Airflow did not take them for one of the assets.
    """
    events = context.get("outlet_events")
    failed: list[Exception] = []
    for outlet in task.outlets or ():
        kinds = {kind.__name__ for kind in type(outlet).__mro__}
        if kinds & {"AssetAlias", "DatasetAlias"}:
            task.log.info("Outlet %r is an alias, which gets no event with the facts: name the asset itself.", outlet)
        elif events is not None and (isinstance(outlet, Asset) or "AssetRef" in kinds):
            try:
                events[outlet].extra.update(facts)
            except Exception as error:  # the others get theirs
                failed.append(error)
    if failed:
        raise failed[0]
