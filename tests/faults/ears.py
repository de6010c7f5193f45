"""Everything that tasks, SDK and HTTP client log, as lines of text."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOG = logging.getLogger("tests.faults.tasks")
"""Takes the place of the loggers that Airflow gives to tasks, triggers and hooks."""
_LOUD = (LOG.name, "airflow_provider_dds.outlets", "urllib3", "darabonba-core", "credentials", "Tea", "asyncio")
_QUIET = ("uvicorn", "airflow_provider_dds.emulator")


@contextmanager
def heard(listener: Callable[[str], None]) -> Iterator[None]:
    """Hand every line to a listener, and to nobody else."""
    handler = logging.Handler()
    handler.emit = lambda record: listener(handler.format(record))
    loggers = [logging.getLogger(name) for name in _LOUD]
    before = [(log.level, log.propagate) for log in loggers]
    for log in loggers:
        log.setLevel(logging.DEBUG)
        log.propagate = False
        log.addHandler(handler)
    try:
        yield
    finally:
        for log, (level, propagate) in zip(loggers, before, strict=True):
            log.setLevel(level)
            log.propagate = propagate
            log.removeHandler(handler)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the emulator from logging every request."""
    loggers = [logging.getLogger(name) for name in _QUIET]
    before = [log.level for log in loggers]
    for log in loggers:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for log, level in zip(loggers, before, strict=True):
            log.setLevel(level)
