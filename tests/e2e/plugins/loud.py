"""A trigger that writes what this package has fetched to its log, as an HTTP client may that is told to say all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
from airflow.providers.common.compat.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_dds.hooks.dds import DdsHook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class LoudTrigger(BaseTrigger):
    """Fetches a credential by a hook, asks for the same by itself, and shows it."""

    def __init__(self, conn_id: str, uri: str) -> None:
        super().__init__()
        self.conn_id, self.uri = conn_id, uri

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "loud.LoudTrigger", {"conn_id": self.conn_id, "uri": self.uri}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await DdsHook(self.conn_id).adescribe_backup_tasks("dds-demo-replica")
        async with httpx.AsyncClient(trust_env=False) as client:
            lent = (await client.get(self.uri)).json()
        self.log.warning("Lent are <%s> and <%s>.", lent["AccessKeySecret"], lent["SecurityToken"])
        yield TriggerEvent("over")


class LoudOperator(BaseOperator):
    """Waits for that trigger."""

    template_fields = ("conn_id", "uri")

    def __init__(self, *, conn_id: str, uri: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.conn_id, self.uri = conn_id, uri

    def execute(self, context: Any) -> None:
        self.defer(trigger=LoudTrigger(self.conn_id, self.uri), method_name="end")

    def end(self, context: Any, event: str) -> str:
        return event
