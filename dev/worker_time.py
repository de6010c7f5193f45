"""How long a task held a worker, as the workers themselves log it at the end of each visit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FIELD = re.compile(r"(\w+)=(\S+)")
UNFINISHED = ("deferred", "up_for_reschedule", "up_for_retry")


@dataclass(frozen=True)
class Visit:
    """One stretch of time that a task spent on a worker."""

    seconds: float
    state: str
    """The state that the task was in at its end, such as ``deferred``."""

    @property
    def last(self) -> bool:
        """Whether the task is through."""
        return self.state not in UNFINISHED


def visits(scheduler_log: Path, task_instance_id: str) -> list[Visit]:
    """Return a task's visits in order. With the LocalExecutor the workers write to the scheduler's log."""
    found = []
    for line in scheduler_log.read_text(errors="replace").splitlines():
        if "Workload finished" not in line:
            continue
        fields = dict(FIELD.findall(line))
        if fields.get("workload_id") == task_instance_id:
            found.append(Visit(float(fields["duration"]), fields["final_state"]))
    return found
