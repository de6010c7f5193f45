"""All parts of one emulator that its HTTP side works with."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from .faults import FaultBook
from .recorder import Recorder
from .signature import Gatekeeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from .clock import Clock
    from .service import Service


class Box:
    """The service with its gatekeeper, faults and request log.

    :param service: the service
    :param prepare: adds what a fresh service does not have: the first faults, outcomes and running jobs
    :param wall_clock: what dates of requests are compared with
    """

    def __init__(
        self, service: Service, prepare: Callable[[Service, FaultBook], None], wall_clock: Clock = time.time
    ) -> None:
        self.service = service
        self._prepare = prepare
        self.faults = FaultBook()
        self.recorder = Recorder()
        self.gatekeeper = Gatekeeper(wall_clock)
        self.stopping = asyncio.Event()
        prepare(service, self.faults)

    def reset(self) -> None:
        """Go back to the first state and forget all requests."""
        self.faults.clear()
        self.recorder.clear()
        self.service.reset()
        self._prepare(self.service, self.faults)
