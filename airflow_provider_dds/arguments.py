"""Checks of operator and sensor arguments: each error names the argument, the value and the fix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_dds.exceptions import DdsConfigurationError

BACKUP_METHODS = ("Snapshot", "Physical", "Logical")
IF_BACKUP_RUNNING = ("wait", "adopt", "fail")
POLL_STRATEGIES = ("progress", "exponential", "fixed")
MOST_SECONDS = 366 * 86400.0
"""Seconds: a year. No backup, outage or spacing of polls is longer, and dates still hold what is added to them."""
MOST_TAGS = 20
"""Tags that the service filters by at most."""
_NOTHING = ("", "None", "null")
LONGEST_RETENTION = 730
"""Days that the service keeps a backup at most, unless it is kept for ever."""
LONGEST_ID = 128
"""Characters that an id has at most; those of the service have about 20."""


def is_literal(value: Any) -> bool:
    """Whether a templated argument already has its final value when the DAG is parsed."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    return value is None or isinstance(value, (int, float))


def is_rendered_later(value: Any) -> bool:
    """Whether an argument gets its value when the task runs: by a template, or as what another task returns."""
    return (isinstance(value, str) and not is_literal(value)) or hasattr(value, "iter_references")


def required_id(name: str, value: Any) -> str:
    """Return a rendered id as clean text.

    :raises DdsConfigurationError: it is empty, None (also as the text that Jinja makes of it), or not one value.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON knows no whole numbers
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        kind = "None" if value is None else f"a {type(value).__name__}"
        raise DdsConfigurationError(f"{name} is {kind} after rendering; it must be one id.{_HINTS.get(name, '')}")
    clean = str(value).strip()
    if clean in _NOTHING:
        raise DdsConfigurationError(f"{name} is {value!r} after rendering; it must be an id.{_HINTS.get(name, '')}")
    if not clean.isprintable() or len(clean) > LONGEST_ID:
        raise DdsConfigurationError(
            f"{name} is {clean[:LONGEST_ID]!r} after rendering; it must be one id, of printable characters and at most "
            f"{LONGEST_ID} of them.{_HINTS.get(name, '')}"
        )
    return clean


def ids(name: str, values: Any) -> list[str]:
    """Return rendered ids as clean text, each once.

    :raises DdsConfigurationError: they are no list of ids, or none at all.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise DdsConfigurationError(f"{name} is {values!r}; it must be a list of ids.")
    found = [required_id(f"{name}[{number}]", value) for number, value in enumerate(values)]
    if not found:
        raise DdsConfigurationError(f"{name} is empty; name one or more instances, or leave it out for all.")
    return list(dict.fromkeys(found))


def tags(name: str, values: Any) -> dict[str, str] | None:
    """Return rendered tags, None for none.

    :raises DdsConfigurationError: they are no tags, or more than the service takes.
    """
    if values is None:
        return None
    named = isinstance(values, Mapping) and all(isinstance(each, str) for pair in values.items() for each in pair)
    if not named or not 0 < len(values) <= MOST_TAGS:
        raise DdsConfigurationError(f"{name} is {values!r}; it must be a dict of 1 to {MOST_TAGS} texts.")
    return dict(values)


def optional_text(name: str, value: Any) -> str | None:
    """Return a rendered text, None for nothing.

    :raises DdsConfigurationError: it is not text.
    """
    if value is None or (isinstance(value, str) and value.strip() in _NOTHING):
        return None
    if not isinstance(value, str):
        raise DdsConfigurationError(f"{name} is {value!r}; it must be text.")
    return value.strip()


def backup_method(value: Any) -> str | None:
    """Return a rendered backup method, None to leave it to the service.

    :raises DdsConfigurationError: it is none of the service's.
    """
    method = optional_text("backup_method", value)
    if method is not None and method not in BACKUP_METHODS:
        raise DdsConfigurationError(
            f"backup_method is {value!r}; it must be one of {', '.join(BACKUP_METHODS)}, or None (the service chooses)."
        )
    return method


def backup_retention_period(value: Any) -> int | None:
    """Return a rendered retention in days, None for the instance's policy.

    :raises DdsConfigurationError: it is neither 7 to 730 nor -1.
    """
    if value is None or (isinstance(value, str) and value.strip() in _NOTHING):
        return None
    try:
        days = int(str(value).strip())
    except ValueError:
        days = 0
    if isinstance(value, bool) or not (days == -1 or 7 <= days <= 730):
        raise DdsConfigurationError(
            f"backup_retention_period is {value!r}; it must be 7 to 730 days, or -1 to keep the backup for ever, as a "
            f"whole number; None leaves it to the instance's policy."
        )
    return days


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """Return a value that is one of those allowed.

    :raises DdsConfigurationError: it is another.
    """
    if value not in allowed:
        raise DdsConfigurationError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
    return str(value)


def poll_strategy(value: str | None, *, exponential_backoff: bool = False) -> str:
    """Return how polls are spaced; where it is left open, as Airflow's ``exponential_backoff`` says, or by progress.

    :raises DdsConfigurationError: it is no strategy, or another one than ``exponential_backoff`` asks for.
    """
    if value is None:
        return "exponential" if exponential_backoff else "progress"
    strategy = one_of("poll_strategy", value, POLL_STRATEGIES)
    if exponential_backoff and strategy != "exponential":
        raise DdsConfigurationError(
            f"poll_strategy is {strategy!r}, but exponential_backoff is True, which asks for 'exponential'; leave one "
            "of them out."
        )
    return strategy


def seconds(name: str, value: float | timedelta, *, zero: bool = False) -> float:
    """Return a span as seconds.

    :param zero: whether 0 has a meaning.
    :raises DdsConfigurationError: it is negative, not a number, more than a year, or 0 where that has no meaning.
    """
    span = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = isinstance(span, (int, float)) and not isinstance(span, bool)
    if not is_number or not (0 < span < float("inf") or (zero and span == 0)):
        least = "0 or more" if zero else "more than 0"
        raise DdsConfigurationError(
            f"{name} is {value!r}; it must be {least} seconds, as a number or a timedelta.{_not_templated(value)}"
        )
    if span > MOST_SECONDS:
        shown = f"{span:.3g}" if span < 1e300 else "beyond all bounds"
        raise DdsConfigurationError(
            f"{name} is {shown} seconds, which is more than a year; the most is {MOST_SECONDS:.0f} seconds (366 days)."
        )
    return float(span)


def moment(name: str, value: Any) -> datetime:
    """Return a point in time.

    :raises DdsConfigurationError: it is text, or anything else that is no datetime, or one without a time zone.
    """
    if not isinstance(value, datetime):
        fix = f"datetime.fromisoformat({value!r})" if isinstance(value, str) else "datetime.now(timezone.utc)"
        raise DdsConfigurationError(f"{name} is {value!r}; it must be a datetime with a time zone, such as {fix}.")
    if value.utcoffset() is None:
        raise DdsConfigurationError(
            f"{name} is {value!r}, which has no time zone; if it is UTC, pass {name}.replace(tzinfo=timezone.utc)."
        )
    return value


def moments(**values: Any) -> dict[str, Any]:
    """Return points in time by their names; None stays None.

    :raises DdsConfigurationError: one of them is no datetime, or has no time zone.
    """
    return {name: None if value is None else moment(name, value) for name, value in values.items()}


def span(since: Any, until: Any) -> dict[str, Any]:
    """Return the span from one moment to another one, or to no end, as ``since`` and ``until``.

    :raises DdsConfigurationError: it ends before it begins, or one of them is no moment.
    """
    begin, end = moment("since", since), None if until is None else moment("until", until)
    if end is not None and end < begin:
        raise DdsConfigurationError(f"until ({end}) is before since ({begin}); exchange them.")
    return {"since": begin, "until": end}


def some_of(name: str, value: Any, allowed: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return a choice of words, None for no choice.

    :raises DdsConfigurationError: it is no list of some of those allowed.
    """
    if value is None:
        return None
    chosen = tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else ()
    if not chosen or not all(each in allowed for each in chosen):
        raise DdsConfigurationError(f"{name} is {value!r}; it must be a list of one or more of {', '.join(allowed)}.")
    return tuple(each for each in allowed if each in chosen)


def share(name: str, value: Any) -> float | None:
    """Return a share of something, None for none.

    :raises DdsConfigurationError: it is no number above 0 and up to 1.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise DdsConfigurationError(
            f"{name} is {value!r}; it must be a number above 0 and up to 1, such as 0.5.{_not_templated(value)}"
        )
    return float(value)


def days(name: str, value: Any) -> float:
    """Return a number of days, 0 for none.

    :raises DdsConfigurationError: it is negative, more than the service keeps a backup, or no number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LONGEST_RETENTION:
        raise DdsConfigurationError(
            f"{name} is {value!r}; it must be 0 to {LONGEST_RETENTION} days, as a number.{_not_templated(value)}"
        )
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Return a value that is True or False, not one that merely counts as one.

    :raises DdsConfigurationError: it is another, such as the text "false", which would count as True.
    """
    if not isinstance(value, bool):
        raise DdsConfigurationError(f"{name} is {value!r}; it must be True or False.{_not_templated(value)}")
    return value


def interval_within(poke_interval: float, timeout: float) -> None:
    """Check that there is time for a second poll.

    :raises DdsConfigurationError: the interval is longer than the timeout.
    """
    if poke_interval > timeout:
        raise DdsConfigurationError(
            f"poke_interval ({poke_interval:g} s) is longer than timeout ({timeout:g} s); make it shorter, or timeout "
            "longer."
        )


def longest_wait(poke_interval: float, max_wait: float | None) -> None:
    """Check that the longest interval is none that every interval exceeds.

    :raises DdsConfigurationError: it is shorter than the interval.
    """
    if max_wait is not None and max_wait < poke_interval:
        raise DdsConfigurationError(
            f"max_wait ({max_wait:g} s) is shorter than poke_interval ({poke_interval:g} s); make it longer, or leave "
            "it out."
        )


def _not_templated(value: Any) -> str:
    return " It is not templated." if isinstance(value, str) and not is_literal(value) else ""


_HINTS = {
    "db_instance_id": " It is the id of the instance, such as dds-bp12c5b040dc4f04.",
    "backup_job_id": " Pass the output of the task that makes the backup; that task must have run, not been skipped.",
}
