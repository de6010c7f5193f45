"""What is counted and measured, through Airflow's own metrics (StatsD and OpenTelemetry alike).

The names are part of the public contract. A tag has a bounded number of values: words of this package, regions, and the
instances that the tasks name.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.compat import stats

if TYPE_CHECKING:
    from collections.abc import Mapping

POLLS = "dds.polls"
"""Counter: polls of waits. Tags: ``wait``, ``outcome``, ``region``."""
THROTTLED = "dds.throttled"
"""Counter: calls that the service throttled. Tag: ``region``."""
WAIT_SECONDS = "dds.wait.seconds"
"""Timer: waits that are over. Tags: ``wait``, ``outcome``, ``region``."""
AGE_SECONDS = "dds.backup.age_seconds"
"""Gauge: age of the newest good backup, from its start. Tags: ``region``, ``db_instance_id``."""
SIZE_BYTES = "dds.backup.size_bytes"
"""Gauge: its size. The same tags."""
DURATION_SECONDS = "dds.backup.duration_seconds"
"""Gauge: how long it took. The same tags."""


def throttled(region_id: str | None) -> None:
    """Count a call that was throttled."""
    _tell("incr", THROTTLED, 1, region=region_id)


def polled(wait: str, outcome: str, region_id: str | None) -> None:
    """Count a poll.

    :param wait: the class of what is waited for.
    :param outcome: what it led to, in a word.
    """
    _tell("incr", POLLS, 1, wait=wait, outcome=outcome, region=region_id)


def waited(wait: str, outcome: str, region_id: str | None, seconds: float) -> None:
    """Measure a wait that is over."""
    _tell("timing", WAIT_SECONDS, timedelta(seconds=seconds), wait=wait, outcome=outcome, region=region_id)


def good_backup(facts: Mapping[str, Any], region_id: str | None, now: float) -> None:
    """Measure the newest good backup of an instance, as far as its facts tell.

    :param facts: those that a sensor returns.
    :param now: epoch seconds.
    """
    start, end = (_seconds(facts.get(name)) for name in ("start_time", "end_time"))
    measured = {
        AGE_SECONDS: None if start is None else max(0.0, now - start),
        SIZE_BYTES: facts.get("size_bytes"),
        DURATION_SECONDS: None if start is None or end is None or end < start else end - start,
    }
    for name, value in measured.items():
        if value is not None:
            _tell("gauge", name, value, region=region_id, db_instance_id=facts.get("db_instance_id"))


def _seconds(moment: str | None) -> float | None:
    return datetime.fromisoformat(moment).timestamp() if moment else None


def _tell(kind: str, name: str, value: float | timedelta, **tags: str | None) -> None:
    known: Mapping[str, Any] = {tag: word for tag, word in tags.items() if word}
    try:
        getattr(stats(), kind)(name, value, tags=known)
    except Exception:  # metrics are decoration: whatever is wrong with them changes nothing
        return
