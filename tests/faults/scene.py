"""One schedule under way: the tasks run, and what was drawn strikes them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.creation import CreateRecord
from airflow_provider_dds.emulator import InstanceKind
from airflow_provider_dds.operators.dds import RECORD_KEY, DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor
from tests.faults.clock import EndlessError
from tests.faults.mortal import Killed, MortalRun, MortalStore, retried
from tests.faults.schedule import FAULTS, Happening, Schedule
from tests.faults.story import Call, Story, Try
from tests.support.runner import TaskInstance, TriggererRestart

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.emulator import Emulator
    from airflow_provider_dds.emulator.service import Service
    from tests.faults.clock import Clock

PATIENCE = 30.0
"""Real seconds until a call that ought to be answered counts as a bug of the search."""
MOST_CALLS = 20_000
"""Calls after which a try counts as endless, should it pass no time; its clock ends it otherwise."""
BEYOND = 5_000.0
"""Seconds past the deadline after which a try counts as endless."""
EARLIER_SECONDS = 310.0
"""From the begin of an earlier backup to what comes after it, which it is over by."""
UNKNOWN_JOB = "999999"


class SearchError(BaseException):
    """The search has a bug. No ``Exception``: what is searched would take it for an error of a call, and go on."""


class Scene:
    """One schedule under way."""

    def __init__(self, emulator: Emulator, clock: Clock, schedule: Schedule) -> None:
        self.emulator, self.clock, self.schedule = emulator, clock, schedule
        self.service: Service = emulator.service
        self.story = Story(schedule)
        self.service.readings = schedule.readings
        for what in schedule.earlier:
            self._begin_backup(what)
            clock.advance(EARLIER_SECONDS)
        for outcome in schedule.outcomes:
            self.service.next_job(schedule.instance_id, outcome)
        self._met = [0] * len(schedule.strikes)
        self._passed = [0] * len(schedule.kills)
        self._called: dict[str, int] = {}
        self._trigger_points = 0
        self._calls_before = 0
        for happening in schedule.happenings:
            if happening.before is None:
                clock.agenda.append((clock.now + happening.seconds, lambda what=happening: self._happen(what)))

    def play(self) -> Story:
        """Let the operator run, be retried and cleared, then the sensor."""
        plan, story = self.schedule.operator, self.story
        arguments = {"poke_interval": plan.poke_interval, "timeout": plan.poke_interval * plan.looks}
        self.run = MortalRun(
            DdsCreateBackupOperator(
                task_id="create",
                db_instance_id=self.schedule.instance_id,
                if_backup_running=plan.if_backup_running,
                wait_for_completion=plan.wait_for_completion,
                confirm_backup_set=plan.confirm_backup_set,
                deferrable=plan.deferrable,
                durable=plan.durable,
                backup_method=plan.backup_method,
                poll_strategy=plan.poll_strategy,
                **arguments,
            ),
            self.clock,
            store=MortalStore(self) if plan.has_store else None,
            ti=TaskInstance(max_tries=self.schedule.retries),
            scene=self,
        )
        if self.schedule.strange_record and plan.has_store:
            strange = CreateRecord(self.schedule.retries, "dds-of-another-item", None, self.clock.now + 9_999)
            dict.__setitem__(self.run.store, RECORD_KEY, strange.created("1").to_json())
        last = self._tries("operator", 0, self.run.once)
        if self.schedule.clear_after is not None:
            story.clears += 1
            self.clock.advance(self.schedule.clear_after)
            last = self._tries("operator", 1, self.run.clear)
        if self.schedule.sensor is not None:
            self._sense(last)
        recorded = self.emulator.requests()
        if len(recorded) != len(story.calls):
            raise SearchError("the search lost count of the calls")
        for call, request in zip(story.calls, recorded, strict=True):
            call.request = request
        return story

    def _sense(self, last: Try) -> None:
        plan = self.schedule.sensor
        if plan.id_as == "unknown":
            job_id: Any = UNKNOWN_JOB
        elif last.ending == "returned":
            number = plan.id_as == "number" and last.value.isdigit()
            job_id = int(last.value) if number else last.value + "\n" * (plan.id_as == "with newline")
        else:
            return
        self.story.sensor_id = job_id
        self.run = MortalRun(
            DdsBackupSensor(
                task_id="wait",
                db_instance_id=self.schedule.instance_id,
                backup_job_id=job_id,
                confirm_backup_set=plan.confirm_backup_set,
                confirm_timeout=plan.confirm_timeout,
                not_found_grace=plan.not_found_grace,
                poll_strategy=plan.poll_strategy,
                max_wait=plan.max_wait,
                poke_interval=plan.poke_interval,
                timeout=plan.poke_interval * plan.looks,
                soft_fail=plan.soft_fail,
                mode="reschedule" if plan.mode == "reschedule" else "poke",
                deferrable=plan.mode == "deferrable",
            ),
            self.clock,
            store=MortalStore(self) if plan.has_store else None,
            ti=TaskInstance(max_tries=self.schedule.retries),
            scene=self,
        )
        self._tries("sensor", 0, self.run.once)

    def _tries(self, task: str, generation: int, start: Callable[[], Any]) -> Try:
        left = self.schedule.retries
        while True:
            each = self._try(task, generation, start)
            start = self.run.retry
            if each.ending == "returned":
                return each
            if each.ending == "raised":
                if left == 0 or not (self.schedule.stubborn or retried(each.error)):
                    return each
                left -= 1
            self.clock.advance(self.schedule.pause)

    def _try(self, task: str, generation: int, start: Callable[[], Any]) -> Try:
        now, run = self.clock.now, self.run
        self._calls_before = len(self.story.calls)
        first = run.ti.first_reschedule.timestamp() if run.ti.first_reschedule else now
        each = Try(task, generation, now, first + run.task.timeout, len(self.story.calls))
        self.clock.limit = now + run.task.timeout + BEYOND
        try:
            each.value = start()
            each.ending = "returned"
        except Killed:
            each.ending = "killed"
        except Exception as error:
            each.error = error
        self.clock.limit = float("inf")
        each.ended, each.end_call = self.clock.now, len(self.story.calls)
        each.xcoms = dict(run.ti.xcoms)
        each.jobs = self.service.jobs(self.schedule.instance_id)
        if run.store is not None:
            each.record = dict.get(run.store, RECORD_KEY)
        if each.record and each.record["db_instance_id"] == self.schedule.instance_id:
            each.deadline = each.record["deadline"]
        if each.ending == "returned":
            each.sets = self._shown_sets()
        self.story.tries.append(each)
        self.story.kept += [json.dumps(kept) for kept in (each.xcoms, run.deferrals, run.events)]
        self.story.kept.append(json.dumps(run.store))
        return each

    def _shown_sets(self) -> dict[str, str]:
        """Return the sets that the service shows right now, by their ids, with their status."""
        query = {"DBInstanceId": self.schedule.instance_id, "PageSize": "100", "RegionId": "cn-hangzhou"}
        if self.schedule.kind is InstanceKind.CLOUD_CLUSTER:
            rows = self.service.call("DescribeClusterBackups", query)["ClusterBackups"]
            return {row["ClusterBackupId"]: row["ClusterBackupStatus"] for row in rows}
        nodes = self.service.instance(self.schedule.instance_id).node_ids or [None]
        found: dict[str, str] = {}
        for node in nodes:
            asked = {**query, "NodeId": node} if node else query
            rows = self.service.call("DescribeBackups", asked)["Backups"]["Backup"]
            found.update({row["BackupId"]: row["BackupStatus"] for row in rows})
        return found

    # --- what strikes ---------------------------------------------------------------------------------------------

    def point(self, *places: str) -> None:
        """Pass a point at which the worker may be killed."""
        for number, kill in enumerate(self.schedule.kills):
            if kill.at in places:
                self._passed[number] += 1
                if self._passed[number] == kill.passed + 1:
                    self.story.kills += 1
                    raise Killed

    def trigger_point(self) -> None:
        """Pass a point at which the triggerer may end."""
        self._trigger_points += 1
        if self._trigger_points - 1 in self.schedule.restarts:
            self.story.restarts += 1
            raise TriggererRestart

    def worker_sleep(self, seconds: float) -> None:
        self.point("sleep")
        self.clock.advance(seconds)

    def before_call(self, action: str) -> Call:
        if len(self.story.calls) - self._calls_before >= MOST_CALLS:
            raise EndlessError
        self._pass_call(action)
        passed = self._called.get(action, 0)
        self._called[action] = passed + 1
        for happening in self.schedule.happenings:
            if happening.before == (action, passed):
                self._happen(happening)
        call = Call(action, self.clock.now, self._struck(action))
        if call.fault:
            self.emulator.add_fault(**FAULTS[call.fault])
        self._jobs_before = len(self.service.jobs())
        self.story.calls.append(call)
        return call

    def after_call(self, call: Call, response: Any) -> None:
        self.emulator.clear_faults()
        made = self.service.jobs()[self._jobs_before :]
        call.made = made[0].job_id if made else None
        if response is not None and call.fault is None and response.status_code == 200:
            call.body = response.text
        try:
            self._pass_call(call.action)
        except Killed:
            call.died = True
            raise

    def wait_until_it_hangs(self) -> None:
        """Wait until the service has got the request, and acted if it is to act, before the client gives up."""
        acts = FAULTS[self.story.calls[-1].fault]["when"] == "after"
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            arrived = self.emulator.requests()
            if len(arrived) == len(self.story.calls):
                request = arrived[-1]
                if request.fault == "hang" and (request.executed or request.code or not acts):
                    return
            time.sleep(0.0002)
        raise SearchError("the service does not hang as told")

    def _pass_call(self, action: str) -> None:
        if self.run.in_trigger:
            self.trigger_point()
        elif action == "CreateBackup":
            self.point("call", "create")
        else:
            self.point("call")

    def _struck(self, action: str) -> str | None:
        for number, strike in enumerate(self.schedule.strikes):
            if strike.action not in (None, action):
                continue
            seen = self._met[number]
            if strike.times is not None and seen >= strike.first + strike.times:
                continue
            self._met[number] += 1
            if seen >= strike.first:
                return strike.fault
        return None

    def _happen(self, happening: Happening) -> None:
        instance = self.service.instance(self.schedule.instance_id)
        if happening.what == "busy":
            instance.status = "Restoring"
            self.clock.agenda.append((self.clock.now + happening.lasts, lambda: _back(instance)))
        elif self.service.running_job(instance.instance_id) is not None:
            return  # the service makes one at a time
        else:
            self._begin_backup(happening.what)
        self.story.happenings += 1

    def _begin_backup(self, what: str) -> None:
        instance = self.service.instance(self.schedule.instance_id)
        if what == "automatic":
            self.service.start_automatic_backup(instance.instance_id)
        else:
            self.service.create_job(instance, "Manual", "Snapshot" if instance.kind.snapshot_only else "Physical")


def _back(instance: Any) -> None:
    instance.status = "Running"
