"""The counts of a search, and the text that shows them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.faults.wire_schedule import meaning

if TYPE_CHECKING:
    from tests.faults.story import Story


@dataclass
class Report:
    """What a search did."""

    seed: int
    seconds: float = 0.0
    schedules: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    around: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)

    def add(self, story: Story) -> None:
        """Count what happened in a schedule. Faults count where the emulator says that a call met one."""
        self.schedules += 1
        self.faults.update(call.fault for call in story.calls if call.request.fault or meaning(call.fault))
        if story.wiring and story.schedule.wire:
            self.faults.update(
                f"{story.schedule.wire.source}: {call.fault}" for call in story.wiring.fetches if call.fault
            )
            self.ways[story.schedule.wire.way] += 1
        self.counts["calls"] += len(story.calls)
        self.counts["tries"] += len(story.tries)
        self.counts["retries"] += sum(
            earlier.task == later.task and earlier.generation == later.generation
            for earlier, later in pairwise(story.tries)
        )
        self.counts["workers killed"] += story.kills
        self.counts["triggerers restarted"] += story.restarts
        self.counts["tasks cleared"] += story.clears
        self.counts["workers that stood still"] += story.frozen
        self.around.update(what for what, _ in story.happened)
        self.counts["backups made"] += sum(call.made is not None for call in story.calls)
        for each in story.tries:
            ending = type(each.error).__name__ if each.error else each.ending
            self.endings[f"{each.task}: {ending}"] += 1

    def __str__(self) -> str:
        """Return the report as lines of text."""
        rate = self.seconds / self.schedules * 1000 if self.schedules else 0.0
        lines = [
            f"fault search: {self.schedules} schedules in {self.seconds:.1f} s ({rate:.0f} ms each), seed {self.seed}",
            *_table("what happened", self.counts),
            *_table("schedules on a hostile wire", self.ways),
            *_table(f"{sum(self.faults.values())} faults met", self.faults),
            *_table("what happened around the tasks", self.around),
            *_table("tries ended", self.endings),
            *_table(f"{sum(self.checks.values())} checks of {len(self.checks)} promises", self.checks),
            *_table("not covered by a promise", self.excluded),
        ]
        return "\n".join(lines)


def _table(title: str, counts: Counter[str]) -> list[str]:
    if not counts:
        return [f"  {title}: none"]
    return [f"  {title}:", *(f"    {count:8d}  {name.replace('_', ' ')}" for name, count in sorted(counts.items()))]
