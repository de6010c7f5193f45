"""Outages of the service that begin with a given call, and last for some seconds of the moved clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.faults.clock import WorldClock

if TYPE_CHECKING:
    from airflow_provider_dds.emulator import Emulator

LASTS = 1500.0
"""How long they last: longer than all repeated calls, graces and the backup itself."""
KINDS: dict[str, dict[str, Any]] = {
    "503": {"kind": "error", "status": 503, "code": "ServiceUnavailable"},
    "429": {"kind": "throttle", "status": 429},
    "reset": {"kind": "reset_before"},
}


class OutageClock(WorldClock):
    """A moved clock that knows when an outage began, and ends it.

    :ivar began: when it began, None before that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.service: Emulator | None = None
        self.began: float | None = None

    def strike(self, service: Emulator, kind: str, first: int) -> None:
        """Let an outage begin with a call.

        :param first: how many calls pass before it.
        """
        self.service, self.began, self.agenda = service, None, []
        service.add_fault(**KINDS[kind], after=first, times=None)

    def advance(self, seconds: float) -> float:
        struck = self.service is not None and any(request.fault for request in self.service.requests())
        if struck and self.began is None and self.service is not None:
            self.began = self.now
            self.agenda.append((self.now + LASTS, self.service.clear_faults))
        return super().advance(seconds)
