"""What sensors share that wait for something of an instance: its ids are rendered once a try, and kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_dds import arguments
from airflow_provider_dds.compat import first_poll_at, pulled_own_xcom
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.sensors.base import DdsWaitSensor
from airflow_provider_dds.sensors.memory import SensorMemory
from airflow_provider_dds.triggers.inputs import WaitInputs, kept_inputs_in

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dds.triggers.deferral import NoEvent
    from airflow_provider_dds.waiting.wait import Wait


class DdsGateSensor(DdsWaitSensor):
    """Make a wait whose ids and memory outlive the process that began it, in every mode."""

    _memory: SensorMemory | None = None

    def _begin(self, context: Context) -> tuple[Wait[Any], DdsHook]:
        """Return the wait and its hook; a later process of a rescheduled try goes on with the wait of the first."""
        self._say_why_on_a_worker()
        started_at = self.clock.now()
        self._memory = None
        if not self.reschedule or self.deferrable:
            return self._wait_for(self._rendered(context, started_at))
        first = first_poll_at(context, self.retries or 0)
        if first is not None:
            started_at = first.timestamp()
        self._memory = SensorMemory(context, self.log, self._about)
        kept = self._memory.recall(self.clock.sleep, started_at + self.timeout - self.clock.now())
        inputs = replace(kept or self._rendered(context, started_at), started_at=started_at)
        wait, hook = self._wait_for(replace(inputs, deadline=started_at + self.timeout))
        if kept is not None:
            self._memory.give(wait)
        elif first is not None:
            wait.forget()
        return wait, hook

    def _begin_anew(self, context: Context, why: NoEvent) -> tuple[Wait[Any], DdsHook]:
        """Return the wait that a deferral left, by what its try has kept: what is behind the ids may have moved.

        :param why: why it gave no event.
        """
        lasts = self._lasts
        kept = kept_inputs_in(why.left_of(lasts), context["ti"], pulled_own_xcom, self.clock.sleep, self.log)
        now = self.clock.now()
        # When it began is not known where nothing was kept: the one poll gets no more time than one at the deadline.
        began = now - (lasts if why.timed_out else 0.0)
        return self._wait_for(kept or replace(self._rendered(context, began), deadline=now))

    @property
    def _about(self) -> str:
        ids = {name: getattr(self, name) for name in self._ids}
        return f"backup {ids.get('backup_job_id', '')} of {ids['db_instance_id']}".replace("  ", " ")

    def _keep_memory(self, wait: Wait[Any], hook: DdsHook) -> bool:
        """Keep what a rescheduled wait remembers for its next process; False where it matters and cannot be kept."""
        return self._memory is None or self._memory.keep(wait, hook)

    def _rendered(self, context: Context, started_at: float) -> WaitInputs:
        ids = {name: arguments.required_id(name, getattr(self, name)) for name in self._ids}
        return WaitInputs(
            try_number=context["ti"].try_number,
            db_instance_id=ids["db_instance_id"],
            backup_job_id=ids.get("backup_job_id"),
            dds_conn_id=arguments.optional_text("dds_conn_id", self.dds_conn_id) or DdsHook.default_conn_name,
            region_id=arguments.optional_text("region_id", self.region_id),
            started_at=started_at,
            deadline=started_at + self.timeout,
        )

    def _wait_for(self, inputs: WaitInputs) -> tuple[Wait[Any], DdsHook]:
        wait = inputs.wait(self.trigger_class.wait_class, **self.policy())
        return wait, DdsHook(inputs.dds_conn_id, inputs.region_id)

    @property
    def _ids(self) -> tuple[str, ...]:
        return tuple(name for name in self.start_trigger_class.fields() if name not in ("region_id", "dds_conn_id"))
