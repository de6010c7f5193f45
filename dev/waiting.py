"""Waiting for a condition: polled, bounded, and with a word on what was seen last."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class WaitedTooLongError(Exception):
    """A condition did not come true in the time it was given."""


def wait_for(
    look: Callable[[], T],
    what: str,
    *,
    until: Callable[[T], bool] = bool,
    timeout: float,
    interval: float = 0.25,
) -> T:
    """Call ``poll`` until ``until`` accepts what it returns; return that.

    :param what: what is waited for, for the error
    :param timeout: seconds
    :param interval: seconds between two polls
    :raises WaitedTooLongError: with what was seen last
    """
    deadline = time.monotonic() + timeout
    while True:
        seen = look()
        if until(seen):
            return seen
        if time.monotonic() > deadline:
            raise WaitedTooLongError(f"{what}: not within {timeout:g} s; last seen: {str(seen)[:600]!r}")
        time.sleep(interval)
