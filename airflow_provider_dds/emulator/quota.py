"""How many calls an account may make in a second."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .clock import Clock


class Quota:
    """Counts the calls of each second of a clock.

    :param clock: epoch seconds
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = 0
        self._calls: Counter[str] = Counter()

    def admits(self, who: str, most: float) -> bool:
        """Count a call and return whether it is within the limit.

        :param who: whose limit it is
        :param most: calls in a second
        """
        second = int(self._clock())
        if second != self._second:
            self._second, self._calls = second, Counter()
        self._calls[who] += 1
        return self._calls[who] <= most
