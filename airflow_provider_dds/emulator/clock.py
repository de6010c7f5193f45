"""Time as the emulator sees it: an injected clock and the service's three ways to write a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Returns the present moment in seconds since 1970-01-01T00:00:00Z."""

SECOND_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
MINUTE_FORMAT = "%Y-%m-%dT%H:%MZ"
NEVER = "9999-01-01T00:00:00Z"
"""What the service writes as the expiry of a backup that is kept for ever."""


class ManualClock:
    """A clock that only moves when told to.

    :param start: first moment in epoch seconds; the present, without its fraction, when left out
    """

    def __init__(self, start: float | None = None) -> None:
        self.now = float(int(time.time())) if start is None else float(start)

    def __call__(self) -> float:
        """Return the present moment in epoch seconds."""
        return self.now

    def advance(self, seconds: float) -> float:
        """Move forward and return the new moment.

        :param seconds: by how many seconds
        """
        self.now += seconds
        return self.now


class SkewedClock:
    """The service's own clock, which may be ahead of its callers' or behind, and may jump.

    What goes on in the service goes by ``source``. Moments in answers, and whatever dates of requests are compared
    with, are what this clock shows; a moment stays as it was shown then, whatever jump comes later.

    :param source: a clock without skew
    :param skew: seconds by which this one is ahead of it; less than 0: behind
    """

    def __init__(self, source: Clock, skew: float = 0.0) -> None:
        self.source = source
        self._skews = [(float("-inf"), skew)]

    def __call__(self) -> float:
        """Return the present as this clock shows it, in epoch seconds."""
        return self.source() + self.skew

    @property
    def skew(self) -> float:
        """Seconds by which it is ahead now."""
        return self._skews[-1][1]

    def jump_to(self, skew: float) -> None:
        """Set how far it is ahead from now on.

        :param skew: seconds
        """
        self._skews.append((self.source(), skew))

    def shown(self, moment: float) -> float:
        """Return what it showed at a moment, or will show at one to come.

        :param moment: epoch seconds of ``source``
        """
        return moment + next(skew for since, skew in reversed(self._skews) if since <= moment)


def utc_text(moment: float) -> str:
    """Write a moment as ``2024-01-16T11:04:56Z``, fractions of a second cut off."""
    return datetime.fromtimestamp(int(moment), tz=timezone.utc).strftime(SECOND_FORMAT)


def parse_utc(text: str, layout: str = SECOND_FORMAT) -> float | None:
    """Read a moment written in ``layout``; None when it is written in any other way."""
    try:
        parsed = datetime.strptime(text, layout).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return parsed.timestamp() if parsed.strftime(layout) == text else None
