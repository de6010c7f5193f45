"""Runs whose create task is killed at the worst moments; all are begun at once, since some take their time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.standalone.story import Story

if TYPE_CHECKING:
    from dev.airflow_box import AirflowBox


class Doom(NamedTuple):
    """When the task is killed, and with what."""

    way: str
    """The DAG: how the task waits, if it does."""
    when: str
    """``asking``: the intent is stored, the service has not acted; ``accepted``: it has, the id is not stored;
    ``waiting``: in the middle of the wait on a worker."""
    worker: bool = False
    """Whether the worker dies, too, so that nobody tells Airflow."""

    @property
    def name(self) -> str:
        return f"{self.when}-{self.way}{'-worker' if self.worker else ''}"


ALL = [
    Doom("create_and_wait", "asking"),
    Doom("create_and_defer", "asking"),
    Doom("create_only", "accepted"),
    Doom("create_and_wait", "accepted"),
    Doom("create_and_defer", "accepted"),
    Doom("create_only", "accepted", worker=True),
    Doom("create_and_wait", "waiting"),
    Doom("create_and_wait", "waiting", worker=True),
]


def begin(box: AirflowBox, doom: Doom, name: str = "") -> Story:
    """Start the run."""
    story = Story.prepare(box, doom.way, name or doom.name)
    if doom.when != "waiting":
        when = "before" if doom.when == "asking" else "after"
        box.emulator.add_fault("hang", action="CreateBackup", instance_id=story.instance, when=when, seconds=None)
    return story.start()


def strike(story: Story, doom: Doom) -> None:
    """Wait for the moment, and kill."""
    if doom.when == "waiting":
        story.wait_for_log("create", "Backuping")
    else:
        story.wait_for_create(executed=doom.when == "accepted")
    assert story.task()["try_number"] == 1
    story.kill(worker=doom.worker)
