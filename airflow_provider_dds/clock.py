"""Time and chance, which hook, operator, sensor and triggers take from one object, so that tests can put another."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(frozen=True)
class Clock:
    """What passes by itself.

    :ivar now: gives epoch seconds.
    :ivar monotonic: gives seconds of a clock that never goes back.
    :ivar sleep: waits for some seconds.
    :ivar asleep: waits for some seconds on an event loop.
    :ivar random: gives a number from 0 to 1.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    asleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random


CLOCK = Clock()
"""The machine's."""
