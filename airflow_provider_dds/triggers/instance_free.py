"""Trigger that waits until an operator can go on with its create."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.triggers.base import TriggerEvent

from airflow_provider_dds.creating.instance_free import InstanceFreeWait
from airflow_provider_dds.triggers.base import WaitTrigger
from airflow_provider_dds.waiting.watch import watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class DdsInstanceFreeTrigger(WaitTrigger):
    """Wait until an operator can go on with its create: the instance is free, the service answers, or a job has shown.

    It polls as the operator would, and sends nothing. Fires once, with ``{"record": what the operator remembers of its
    create, and of this wait}``, when there is something for a worker to do; what that is the worker finds out itself.
    Its arguments are those of :class:`~airflow_provider_dds.triggers.base.WaitTrigger` and of
    :class:`~airflow_provider_dds.creating.instance_free.InstanceFreeWait`.
    """

    wait_class = InstanceFreeWait
    wait: InstanceFreeWait

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until there is something for a worker to do, or the deadline passes, and yield the record."""
        if self.refused is not None:  # the worker says so
            yield TriggerEvent({"record": None, "refused": str(self.refused)})
            return
        if self.wait.known is not None:  # else the worker says so
            await self.clock.asleep(self.wait.next_wait(self.clock.now(), self.clock.random()))
            await watch(self.wait, self.hook.arun, self.clock, self.log, last_poll=self.last_poll)
            self.wait.tell(self.log)
        yield TriggerEvent({"record": self.wait.latest(), "fired_at": self.clock.now()})
