"""What the doctor makes of what it saw: lines for people, and what each feature lacks. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsError,
    DdsResponseError,
    DdsServiceError,
    DdsThrottledError,
    DdsTransportError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_SKEW = 900.0
"""Seconds by which the two clocks may differ: the service refuses what is signed further off."""
TOLD_SKEW = 60.0
"""Seconds from which on a difference is worth a word."""


class Result(str, Enum):
    """What a check came to."""

    OK = "ok"
    PROBLEM = "PROBLEM"
    NOTE = "note"
    UNTRIED = "untried"


@dataclass(frozen=True)
class Line:
    """A line of the doctor's report."""

    check: str
    result: Result
    detail: str

    def cells(self) -> dict[str, str]:
        """Return the line as plain JSON."""
        return {"check": self.check, "result": self.result.value, "detail": self.detail}


_WAITS = ("DescribeDBInstanceAttribute", "DescribeBackupTasks", "DescribeBackups")
CLUSTER = "DescribeClusterBackups"
SIGNED_CALL = "signed call"
FEATURES: dict[str, tuple[str, ...]] = {
    "wait for a backup: DdsBackupSensor, DdsFreshBackupSensor, backups": _WAITS,
    "make a backup: DdsCreateBackupOperator": (*_WAITS, "CreateBackup"),
    "audit instances: DdsBackupAuditOperator, audit": _WAITS,
}
"""What each feature has to be allowed; of a sharded instance ``DescribeClusterBackups``, too."""
OPTIONAL: dict[str, str] = {
    "DescribeDBInstances": "an audit by tags, or of all instances",
    "DescribeBackupPolicy": "when the next automatic backup is due; retention and log backup in an audit",
    "DescribeHistoryTasks": "finding a backup whose answer was lost in the task centre, too",
    "DescribeBackupStorage": "what backups take, in an audit",
}
"""What some do without, and what for."""


class Seen(str, Enum):
    """What a harmless call showed of a permission."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNKNOWN = "not known"
    UNTRIED = "not tried"


_NOT_CHECKED = (DdsTransportError, DdsResponseError, DdsThrottledError, DdsServiceError)


def seen_of(error: DdsError | None) -> Seen:
    """Return what a call showed of its permission.

    :param error: how the call ended, None if well. A refusal of what was asked for comes from behind the check of the
        permission; throttling and errors of the service can come from before it.
    """
    if error is None:
        return Seen.ALLOWED
    if isinstance(error, DdsAccessDeniedError):
        return Seen.DENIED
    return Seen.UNKNOWN if isinstance(error, _NOT_CHECKED) else Seen.ALLOWED


def ranges_action(*, sharded: bool) -> str:
    """Return the action that tells to which points in time an instance can be restored."""
    return "DescribeClusterRecoverTime" if sharded else "DescribeInstanceRecoverTime"


def of_clock(skew: float, took: float) -> Line:
    """Return the line about the clocks.

    :param skew: seconds by which the service's clock is ahead.
    :param took: seconds of the round trip.
    """
    ahead = f"the service's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
    trip = f"round trip {took * 1000:.0f} ms"
    if abs(skew) > MOST_SKEW:
        return Line("clock", Result.PROBLEM, f"{ahead}; beyond {MOST_SKEW:.0f} s it refuses calls. Set the clock.")
    if abs(skew) > TOLD_SKEW:
        return Line("clock", Result.NOTE, f"{ahead}; up to {MOST_SKEW:.0f} s do no harm; {trip}")
    return Line("clock", Result.OK, f"the service's clock is this machine's, to about a second; {trip}")


def of_permissions(seen: Mapping[str, Seen], *, sharded: bool) -> list[Line]:
    """Return a line for each feature and each optional action.

    :param seen: by action; one that is not there was not tried.
    :param sharded: whether the instance is a sharded one.
    """
    lines = []
    for feature, actions in FEATURES.items():
        needed = (*actions, CLUSTER) if sharded else actions
        of_each = {action: seen.get(action, Seen.UNTRIED) for action in needed}
        denied = [f"dds:{action}" for action, found in of_each.items() if found is Seen.DENIED]
        open_ = [f"dds:{action} is {found.value}" for action, found in of_each.items() if found in _OPEN]
        if denied:
            lines.append(Line(feature, Result.PROBLEM, f"missing: {', '.join(denied)}"))
        elif open_:
            lines.append(Line(feature, Result.UNTRIED, f"nothing is missing of what was tried; {', '.join(open_)}"))
        else:
            lines.append(Line(feature, Result.OK, "all that it needs is allowed"))
    ranges = {ranges_action(sharded=sharded): "to which points in time an instance can be restored, in an audit"}
    for action, purpose in {**OPTIONAL, **ranges}.items():
        found = seen.get(action, Seen.UNTRIED)
        result = {Seen.ALLOWED: Result.OK, Seen.DENIED: Result.NOTE}.get(found, Result.UNTRIED)
        lines.append(Line(f"optional: {action}", result, f"{found.value}: {purpose}"))
    return lines


_OPEN = (Seen.UNKNOWN, Seen.UNTRIED)
