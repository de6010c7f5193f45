"""Faults: ways in which a call may go wrong, and the book of those that are switched on."""

from __future__ import annotations

import random
import threading
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from .operations import OPERATIONS
from .sts import KEYLESS_ACTIONS, STS_ACTIONS

FaultKind = Literal[
    "throttle",
    "error",
    "html",
    "empty_body",
    "truncated_body",
    "cut_body",
    "null_body",
    "wrong_shape",
    "reset_before",
    "reset_after",
    "hang",
    "drop_job_id",
]
When = Literal["before", "after"]

_BEFORE_ONLY = ("throttle", "reset_before")
_AFTER_ONLY = ("truncated_body", "cut_body", "wrong_shape", "drop_job_id", "reset_after")
_BEFORE_BY_DEFAULT = ("error", "html", "hang")
_STATUS = {"error": 500, "html": 502}


@dataclass(frozen=True)
class Fault:
    """A fault to be met by genuine requests of known actions.

    - ``throttle``, ``error``: an error answer
    - ``html``, ``empty_body``, ``null_body``: a body that is no answer
    - ``truncated_body``: the answer's first half as if it were all
    - ``cut_body``: the connection ends half way through the answer
    - ``wrong_shape``: JSON of another shape
    - ``reset_before``, ``reset_after``: the connection is reset before or after the service acted
    - ``hang``: the answer comes late, or never
    - ``drop_job_id``: CreateBackup answers without ids
    """

    kind: FaultKind
    action: str | None = None
    """Only calls of this action; None: of any."""
    instance_id: str | None = None
    """Only calls for this ``DBInstanceId``; None: for any."""
    times: int | None = 1
    """How many calls it spoils; None: all until it is removed."""
    after: int = 0
    """How many matching calls it lets pass first."""
    probability: float | None = None
    """Chance of spoiling a matching call, 0 to 1; None: certain."""
    seed: int = 0
    """Seed of the dice for ``probability``."""
    when: When | None = None
    """Whether the service acts: ``before`` means it does not; None: as is usual for the kind."""
    status: int | None = None
    """HTTP status; None: as is usual for the kind."""
    code: str | None = None
    """Error code of ``error`` and ``throttle``."""
    message: str | None = None
    """Error text of ``error`` and ``throttle``."""
    retry_after_ms: int | None = None
    """``throttle``: value of ``x-acs-retry-after``; None: as the readings say."""
    seconds: float | None = 30.0
    """``hang``: real seconds until the answer; None: until the client gives up."""
    body: Any = None
    """``wrong_shape``: the JSON to answer; None: the true answer with its containers mixed up."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"kind: {self.kind!r} is none of {', '.join(get_args(FaultKind))}")
        known = (*OPERATIONS, *STS_ACTIONS, *KEYLESS_ACTIONS)
        if self.action is not None and self.action not in known:
            raise ValueError(f"action: {self.action!r} is none of {', '.join(known)}")
        if self.times is not None and self.times < 1:
            raise ValueError("times: must be at least 1, or null")
        if self.after < 0:
            raise ValueError("after: must not be negative")
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ValueError("probability: must be 0 to 1")
        if self.when not in (None, "before", "after"):
            raise ValueError("when: must be before or after")
        if (self.kind in _BEFORE_ONLY and self.when == "after") or (self.kind in _AFTER_ONLY and self.when == "before"):
            raise ValueError(f"when: {self.kind} cannot be {self.when} acting")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError("status: must be an HTTP status, 200 to 599")
        if self.seconds is not None and self.seconds < 0:
            raise ValueError("seconds: must not be negative")

    @property
    def acts(self) -> bool:
        """Whether the service does what it was asked, in spite of the fault."""
        if self.when is not None:
            return self.when == "after"
        return self.kind not in _BEFORE_ONLY and self.kind not in _BEFORE_BY_DEFAULT

    @property
    def http_status(self) -> int:
        """HTTP status of the answer, for kinds that do not take it from elsewhere."""
        return _STATUS.get(self.kind, 200) if self.status is None else self.status


@dataclass
class _Entry:
    fault_id: int
    fault: Fault
    dice: random.Random
    seen: int = 0
    spoiled: int = 0


@dataclass
class FaultBook:
    """The faults that are switched on, in the order they were added."""

    _entries: list[_Entry] = field(default_factory=list)
    _last_id: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> int:
        """Switch a fault on and return its number."""
        with self._lock:
            self._last_id += 1
            dice = random.Random(fault.seed)  # noqa: S311 - a test's dice must be repeatable, not secret
            self._entries.append(_Entry(self._last_id, fault, dice))
            return self._last_id

    def remove(self, fault_id: int) -> bool:
        """Switch one fault off; False if there is none of this number."""
        with self._lock:
            before = len(self._entries)
            self._entries = [entry for entry in self._entries if entry.fault_id != fault_id]
            return len(self._entries) < before

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._entries.clear()

    def take(self, action: str, instance_id: str | None) -> Fault | None:
        """Return the fault that this call meets; the first one that applies counts it, later ones do not."""
        with self._lock:
            for entry in self._entries:
                fault = entry.fault
                if fault.action not in (None, action) or fault.instance_id not in (None, instance_id):
                    continue
                if fault.times is not None and entry.spoiled >= fault.times:
                    continue
                entry.seen += 1
                if entry.seen <= fault.after:
                    continue
                if fault.probability is not None and entry.dice.random() >= fault.probability:
                    continue
                entry.spoiled += 1
                return fault
            return None

    def to_json(self) -> list[dict[str, Any]]:
        """List the faults with their number and how many calls each spoiled."""
        with self._lock:
            return [{"id": entry.fault_id, **asdict(entry.fault), "spoiled": entry.spoiled} for entry in self._entries]
