"""What a forked process must not take over from its parent: locks that a thread held, work under way, connections.

A worker forks for each task, often after something has been asked. Of the parent's threads none goes on in the child:
a lock that one of them held would stay locked for ever, and what it was to fetch would never come.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """What a process has to itself, although it was there before the fork."""

    def begin(self) -> None:
        """Begin as in a fresh process. It must take no lock, and leave alone what the parent goes on with."""


_forkable: WeakSet[Forkable] = WeakSet()


def begin(forkable: Forkable) -> None:
    """Let an object begin now, and again in each process that is forked while it is held."""
    forkable.begin()
    _forkable.add(forkable)


class Lock:
    """A lock that is free in a forked process, whoever held it in the parent."""

    def __init__(self) -> None:
        begin(self)

    def begin(self) -> None:
        """Be free."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _begin_in_child() -> None:
    for forkable in list(_forkable):
        forkable.begin()


os.register_at_fork(after_in_child=_begin_in_child)
