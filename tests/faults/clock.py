"""A moved clock on which things happen on their way, and what workers see of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_dds.emulator import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable

BEGIN = 1_800_000_000.0


class EndlessError(BaseException):
    """A try goes on and on."""


class WorldClock(ManualClock):
    """Runs what is on its agenda when it passes it, and ends what goes past its limit.

    :ivar ahead: seconds by which the clocks of workers and triggerers are ahead of it.
    """

    def __init__(self) -> None:
        super().__init__(BEGIN)
        self.limit = float("inf")
        self.ahead = 0.0
        self.agenda: list[tuple[float, Callable[[], None]]] = []

    def of_workers(self) -> float:
        """Return the present as a worker's clock shows it."""
        return self.now + self.ahead

    def advance(self, seconds: float) -> float:
        target = self.now + max(0.0, seconds)
        while self.agenda and min(self.agenda, key=lambda entry: entry[0])[0] <= target:
            entry = min(self.agenda, key=lambda entry: entry[0])
            self.agenda.remove(entry)
            self.now = max(self.now, entry[0])
            entry[1]()
        self.now = target
        if target > self.limit:
            raise EndlessError
        return target
