"""All parts of one emulator that its HTTP side works with."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from .faults import FaultBook
from .quota import Quota
from .recorder import Recorder
from .signature import Gatekeeper
from .sts import TokenService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .clock import Clock
    from .service import Service
    from .sts import Metadata, Role


class Box:
    """The service with its gatekeeper, faults and request log.

    :param service: the service
    :param prepare: adds what a fresh service does not have: the first faults, outcomes and running jobs
    :param wall_clock: what dates of requests are compared with, before the service's skew
    :param roles: the roles that its STS lends
    :param metadata: its metadata service; None: there is none
    """

    def __init__(
        self,
        service: Service,
        prepare: Callable[[Service, FaultBook], None],
        wall_clock: Clock = time.time,
        roles: Iterable[Role] = (),
        metadata: Metadata | None = None,
    ) -> None:
        self.service = service
        self._prepare = prepare
        self.faults = FaultBook()
        self.recorder = Recorder()

        def skewed() -> float:
            return wall_clock() + service.skew

        self.gatekeeper = Gatekeeper(skewed)
        self.sts = TokenService(service, roles, metadata, skewed)
        self.quota = Quota(wall_clock)
        self.stopping = asyncio.Event()
        prepare(service, self.faults)

    def reset(self) -> None:
        """Go back to the first state and forget all requests."""
        self.faults.clear()
        self.recorder.clear()
        self.service.reset()
        self.sts.reset()
        self._prepare(self.service, self.faults)
