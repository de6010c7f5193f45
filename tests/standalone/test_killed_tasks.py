"""A task process is killed at the worst moments: the retry goes on with the backup of the first try."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.standalone.doomed import Doom

if TYPE_CHECKING:
    from tests.standalone.story import Story

pytestmark = pytest.mark.standalone


@pytest.mark.parametrize("way", ["create_only", "create_and_wait", "create_and_defer"])
def test_killed_after_the_service_accepted_is_taken_up_by_the_retry(killed: dict[Doom, Story], way: str) -> None:
    story = killed[Doom(way, "accepted")]

    adopts(story)

    assert "is under way" not in story.log(try_number=1), "the first try never learnt of its job"
    if way != "create_only":
        [job_id] = story.job_ids()
        log = story.log(try_number=2)
        assert f"Backup {job_id} of {story.instance}: Backuping" in log
        assert f"Backup {job_id} of {story.instance} is good" in log
        assert story.xcom(key="backup")["backup_job_id"] == job_id


def test_killed_while_it_waits_goes_on_with_the_same_job(killed: dict[Doom, Story]) -> None:
    goes_on(killed[Doom("create_and_wait", "waiting")])


def test_lost_worker_after_the_service_accepted_is_made_up_for(killed: dict[Doom, Story]) -> None:
    adopts(killed[Doom("create_only", "accepted", worker=True)])


def test_lost_worker_while_it_waits_is_made_up_for(killed: dict[Doom, Story]) -> None:
    goes_on(killed[Doom("create_and_wait", "waiting", worker=True)])


def adopts(story: Story) -> None:
    """See the second try adopt the job of the first, and let that end."""
    [job_id] = story.job_ids()
    story.wait_for_log("create", "Adopting backup job", try_number=2)
    if story.dag_id != "create_only":
        story.wait_for("create", "running" if story.dag_id == "create_and_wait" else "deferred", try_number=2)
        story.wait_for_looks(job_id, 2)
        assert story.phases() == ["Backuping"]
        story.end_backup()
    assert story.end() == "success"
    assert story.task()["try_number"] == 2
    assert story.created() == 1
    assert story.job_ids() == [job_id] == [story.xcom()]
    log = story.log(try_number=2)
    assert f"Whether CreateBackup for {story.instance} at " in log
    assert f"Adopting backup job {job_id}: it is the only one that can come from that request." in log
    assert "asking again" not in log
    assert "is under way" not in log, "the second try asked for nothing"


def goes_on(story: Story) -> None:
    """See the second try wait for the job of the first, and let that end."""
    [job_id] = story.job_ids()
    story.wait_for("create", "running", try_number=2)
    story.wait_for_looks(job_id, 2)
    assert story.phases() == ["Backuping"]
    story.end_backup()
    assert story.end() == "success"
    assert story.created() == 1
    assert story.job_ids() == [job_id] == [story.xcom()]
    assert f"Backup job {job_id} of {story.instance} is under way." in story.log(try_number=1)
    log = story.log(try_number=2)
    assert f"Going on with backup job {job_id}, which an earlier try made." in log
    assert f"Backup {job_id} of {story.instance} is good" in log
    assert "CreateBackup" not in log, "the second try asked for nothing"
