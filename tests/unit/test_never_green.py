"""No wait is green without a good set of each shard, whatever rows the service gives, in any order and on any pages."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dds.api.requests import Answer
from airflow_provider_dds.exceptions import DdsError, DdsServiceError
from airflow_provider_dds.waiting.backup.observation import Observation
from airflow_provider_dds.waiting.backup_job import BackupJobWait
from airflow_provider_dds.waiting.result import Outcome

NOW = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
SKEW = timedelta(minutes=15)


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


TIMES = st.sampled_from([None, *(text(NOW + timedelta(minutes=minutes)) for minutes in (-9000, -60, -59, -5))])
EXPIRIES = st.sampled_from([None, *(text(NOW + timedelta(days=days)) for days in (-1, 7, 7, 9000))])
ROWS = st.fixed_dictionaries(
    {
        "BackupId": st.sampled_from(["s-1", "s-2", "s-3", "s-4", 5]),
        "BackupJobId": st.sampled_from(["17", "17", "17", 17, 17.0, "17\n", "18", None]),
        "BackupStatus": st.sampled_from(["Success", "Success", "Success", "Failed", "Running", None]),
        "BackupType": st.sampled_from(["FullBackup", "FullBackup", "IncrementalBackup", None]),
        "BackupMode": st.sampled_from(["Manual", "Manual", "Automated", None]),
        "IsAvail": st.sampled_from([True, True, 1, "1", "true", None, False, 0, "0", "false"]),
        "BackupStartTime": TIMES,
        "BackupEndTime": TIMES,
        "BackupExpireTime": EXPIRIES,
    }
)
JOBS = st.fixed_dictionaries(
    {
        "BackupjobId": st.sampled_from(["17", "17\n", 17, "18"]),
        "BackupSetStatus": st.sampled_from(["Finished", "Finished", "Backuping", "Failed", "Pondering"]),
        "BackupStartTime": TIMES,
        "JobMode": st.sampled_from(["Manual", "Automated"]),
    }
)
SHARDS = st.lists(st.sampled_from(["d-1", "d-2", "d-3"]), min_size=1, max_size=3, unique=True)
WORLDS = st.fixed_dictionaries(
    {
        "sharded": st.booleans(),
        "shards": SHARDS,
        "jobs": st.lists(JOBS, max_size=3),
        "sets": st.dictionaries(st.sampled_from(["d-1", "d-2", "d-3"]), st.lists(ROWS, max_size=5), max_size=3),
        "filler": st.sampled_from([0, 29, 30, 70]),
        "page": st.sampled_from([30, 50, 100]),
        "said": st.sampled_from([{}, {"PageSize": "x", "TotalCount": None}, {"TotalCount": 7}, {"PageSize": 100}]),
        "fails": st.booleans(),
    }
)


class World:
    """A service that answers from tables; its listings ignore the filter by job id."""

    def __init__(self, world: dict[str, Any]) -> None:
        self.world = world

    def body(self, action: str, query: dict[str, Any]) -> dict[str, Any]:
        if action == "DescribeDBInstanceAttribute":
            kind = {"DBInstanceId": "dds-1", "DBInstanceStatus": "Running", "KindCode": "18"}
            if self.world["sharded"]:
                kind["DBInstanceType"] = "sharding"
                kind["ShardList"] = {"ShardAttribute": [{"NodeId": shard} for shard in self.world["shards"]]}
            return {"RequestId": "R", "DBInstances": {"DBInstance": [kind]}}
        if action == "DescribeBackupTasks":
            return {"RequestId": "R", "BackupJobs": self.world["jobs"]}
        rows = [{"BackupId": f"o-{number}", "BackupJobId": "3"} for number in range(self.world["filler"])]
        rows += self.rows(query["NodeId"])
        size, first = self.world["page"], (query["PageNumber"] - 1) * self.world["page"]
        said = {"PageSize": size, "TotalCount": len(rows), **self.world["said"]}
        return {"RequestId": "R", "Backups": {"Backup": rows[first : first + size]}, **said}

    def rows(self, node: str | None) -> list[dict[str, Any]]:
        named = [(shard, row) for shard, rows in self.world["sets"].items() for row in rows]
        if not self.world["sharded"]:
            return [row for _, row in named]
        return [{**row, "BackupId": f"{shard}-{row['BackupId']}"} for shard, row in named if shard == node]

    def look(self, watch: BackupJobWait) -> Observation:
        if self.world["fails"]:
            return Observation(error=DdsServiceError("broken", http_status=503))
        steps = watch.observe(0.0)
        try:
            request = next(steps)
            while True:
                try:
                    answer = Answer(request.parse(self.body(request.action, request.query)), "R")
                except DdsError as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(answer)
        except StopIteration as end:
            return end.value
        except DdsError as error:
            return Observation(error=error)

    def is_good(self, node: str | None, now: float) -> bool:
        """Whether some full, good set that can be the job's is listed."""
        limit = text(datetime.fromtimestamp(now, tz=timezone.utc) + SKEW)
        return any(
            str(row["BackupJobId"]).strip().removesuffix(".0") == "17"
            and row["BackupStatus"] == "Success"
            and row["BackupType"] != "IncrementalBackup"
            and str(row["IsAvail"]).lower() in ("true", "1", "none")
            and (row["BackupExpireTime"] is None or row["BackupExpireTime"] > limit)
            for row in self.rows(node)
        )


@settings(max_examples=400, deadline=None)
@given(
    worlds=st.lists(st.tuples(WORLDS, st.integers(1, 12), st.sampled_from([0, 0, 0, 5000, -5000])), max_size=5),
    again=st.booleans(),
    data=st.data(),
)
def test_green_only_with_a_good_set_of_each_shard(worlds: list[Any], again: bool, data: Any) -> None:
    now = NOW.timestamp()
    arguments = {
        "db_instance_id": "dds-1", "backup_job_id": "17", "started_at": now, "deadline": now + 50_000,
        "confirm_timeout": 120, "not_found_grace": 60, "poke_interval": 30, "poll_strategy": "fixed",
    }  # fmt: skip
    watch = BackupJobWait(**arguments)
    answered, planned = 0.0, None  # seconds between answered polls in a row, as they were planned
    for world, polls, jump in worlds:
        for rows in world["sets"].values():
            rows[:] = data.draw(st.permutations(rows))
        world["jobs"] = data.draw(st.permutations(world["jobs"]))
        service = World(world)
        for _ in range(polls):
            look = service.look(watch)
            verdict = watch.conclude(look, now, 0.5)
            answered, planned = answered + (planned or 0.0) if not look.error else answered, None
            if verdict.outcome is Outcome.DONE:
                seen = [str(job["BackupSetStatus"]) for job in world["jobs"] if str(job["BackupjobId"]).strip() == "17"]
                assert "Finished" in seen or look.job is None
                if verdict.warning:
                    assert watch.memory.misses >= 2
                    assert watch.memory.lacked_for >= 120
                    assert answered >= 120
                    assert not any(each.status == "Failed" for each in look.sets)
                else:
                    nodes = look.shards if world["sharded"] else [None]
                    assert nodes
                    assert all(service.is_good(node, now) for node in nodes)
            if verdict.outcome is not Outcome.WAIT:
                return
            wait = watch.next_wait(now, 0.5)
            now, planned = now + wait, None if look.error else wait
            if again:  # another process goes on with what this one has stored
                kept = watch.remembered()
                watch = BackupJobWait(**arguments)
                watch.recall(kept)
        now += jump
