"""What strikes the calls of one schedule on their way, and what is seen of them there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.clock import Clock
from airflow_provider_dds.emulator import RecordedRequest
from airflow_provider_dds.emulator.operations import OPERATIONS
from tests.faults.story import Call, Wiring
from tests.faults.wire_schedule import SOURCE, WIRE_FAULTS

if TYPE_CHECKING:
    from tests.faults.scene import Scene
    from tests.faults.wires import Wires

CROWD_SECONDS = 10.0
"""Real seconds in which a call has to be answered beside others that hang."""
ON_THE_WIRE = {"hang_before": "hangs", "hang_after": "hangs_once_executed"}
"""Faults of the emulator that its front plays, as it would not notice that the client leaves."""


class WireScene:
    """The wire of one schedule under way."""

    def __init__(self, scene: Scene, wires: Wires) -> None:
        self._outside = False
        self._scene, self._wires = scene, wires
        self._seen = scene.story.wiring = Wiring(wires.named)
        self._owned: list[RecordedRequest] = []
        self._known = 0
        self._begun = 0

    def is_outside(self) -> bool:
        """Return whether calls are made now that are none of the tasks'."""
        return self._outside

    def set_up_outsider(self, hook: Any) -> None:
        """Put a hook that is none of the tasks' on time of its own, which passes only while it sleeps."""
        passed = [0.0]

        def sleep(seconds: float) -> None:
            passed[0] += seconds

        async def asleep(seconds: float) -> None:
            passed[0] += seconds

        hook.clock = Clock(monotonic=lambda: self._scene.clock.now + passed[0], sleep=sleep, asleep=asleep)

    def is_fetch(self, url: str) -> bool:
        """Return whether a request goes to the credential source."""
        return f"//{self._wires.source.address}/" in url

    def settle(self) -> None:
        """Wait until nothing more will become of what was sent."""
        self._wires.settle()

    def can_befall(self, fault: str) -> bool:
        """Return whether a fault can happen on this wire."""
        return self._wires.can_befall(fault)

    def before(self, call: Call) -> None:
        """Prepare what is to befall a call."""
        call.fault = ON_THE_WIRE.get(call.fault or "", call.fault)
        self._known = len(self._scene.emulator.requests())
        if call.fault in WIRE_FAULTS:
            self._wires.befall(call.fault)
            self._begun = self._wires.edge.counts.begun + 1
        elif call.fault:
            self._scene.add_fault(call.fault)

    def before_fetch(self) -> Call:
        """Prepare what is to befall a request to the credential source."""
        fetch = Call(SOURCE, self._scene.clock.now, self._scene.struck(SOURCE))
        self._seen.fetches.append(fetch)
        self._scene.current.fetches.append(fetch)
        if fetch.fault:
            self._wires.befall(fetch.fault, source=True)
            self._begun = self._wires.source.counts.begun + 1
        return fetch

    def wait_until_it_hangs(self, call: Call) -> None:
        """Wait until all has become of a call at the service that will."""
        server = self._wires.source if call.action == SOURCE else self._wires.edge
        server.wait_until_settled(begun=self._begun)

    def after(self, call: Call) -> None:
        """Note what came to the service of a call."""
        self._wires.settle()
        came = self._arrived(self._known)
        call.arrived = len(came)
        call.request = came[0] if came else RecordedRequest(0, call.time, "", call.action, {})

    def ask_others(self) -> None:
        """Let other connections call, too."""
        plan, instance_id = self._wires.plan, self._scene.schedule.instance_id
        self._outside = True
        try:
            if self._wires.has_neighbour:
                self._seen.neighbour = self._wires.ask_neighbour(instance_id) is not None
            if plan.crowd:
                self._seen.in_a_crowd = self._wires.is_alone_in_a_crowd(instance_id, CROWD_SECONDS)
        finally:
            self._outside = False
            self._wires.settle()

    def end(self) -> None:
        """Note what was seen on the wire."""
        seen, wires = self._seen, self._wires
        seen.trapped = [bytes(each) for each in wires.trap.caught]
        seen.asked_for = wires.proxy.asked_for()
        seen.at_the_service = [each.head for each in wires.front.exchanges]
        seen.at_the_uri = [each.head for each in wires.uri.exchanges]
        for exchange in wires.source.exchanges:
            body: Any = exchange.answered.partition(b"\r\n\r\n")[2] or b"{}"
            try:
                given = json.loads(body)
            except ValueError:
                continue
            given = given.get("Credentials", given)
            seen.lent |= {given[name] for name in ("AccessKeySecret", "SecurityToken") if name in given}

    def _arrived(self, after: int) -> list[RecordedRequest]:
        return [request for request in self._scene.emulator.requests()[after:] if request.action in OPERATIONS]
