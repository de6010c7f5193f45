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

    :param prepare: puts the box into its first state: makes the service and adds the first faults
    :param wall_clock: what dates of requests are compared with
    """

    def __init__(self, prepare: Callable[[FaultBook], Service], wall_clock: Clock = time.time) -> None:
        self._prepare = prepare
        self.faults = FaultBook()
        self.recorder = Recorder()
        self.gatekeeper = Gatekeeper(wall_clock)
        self.stopping = asyncio.Event()
        self.service = prepare(self.faults)

    def reset(self) -> None:
        """Go back to the first state and forget all requests."""
        self.faults.clear()
        self.recorder.clear()
        self.service = self._prepare(self.faults)
