"""A task killed when its request was not executed: the retry polls two minutes for a backup, then makes the one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.standalone.doomed import Doom

if TYPE_CHECKING:
    from tests.standalone.story import Story

pytestmark = pytest.mark.standalone

LONG = 240.0
"""Seconds for those two minutes and what is around them."""


@pytest.mark.parametrize("way", ["create_and_wait", "create_and_defer"])
def test_killed_before_the_service_acted_is_asked_for_again_by_the_retry(killed: dict[Doom, Story], way: str) -> None:
    story = killed[Doom(way, "asking")]

    story.wait_for_log("create", "is under way", try_number=2, timeout=LONG)
    [job_id] = story.job_ids()
    story.wait_for("create", "running" if way == "create_and_wait" else "deferred", try_number=2)
    story.wait_for_looks(job_id, 2)
    story.end_backup()

    assert story.end() == "success"
    assert story.created() == 1
    assert story.job_ids() == [job_id] == [story.xcom()]
    assert story.xcom(key="backup")["backup_job_id"] == job_id
    assert "is under way" not in story.log(try_number=1)
    log = story.log(try_number=2)
    told = [
        f"Whether CreateBackup for {story.instance} at ",
        "Found no job that it made for 2m00s; asking again.",
        f"Backup job {job_id} of {story.instance} is under way.",
        f"Backup {job_id} of {story.instance} is good",
    ]
    assert [text for text in told if text not in log] == []
    assert [log.index(text) for text in told] == sorted(log.index(text) for text in told)
    assert "Adopting" not in log
