"""One schedule under way: the tasks run, and what was drawn strikes them."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_provider_dds.api.models import BackupSet
from airflow_provider_dds.creating.attempt import Attempt
from airflow_provider_dds.creating.record import RECORD_KEY, CreateRecord
from airflow_provider_dds.emulator import InstanceKind
from airflow_provider_dds.emulator.set_rows import cluster_row, set_rows
from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor, DdsFreshBackupSensor
from airflow_provider_dds.sensors.start import waits_for
from tests.faults.clock import EndlessError
from tests.faults.elsewhere import UNKNOWN_JOB, Elsewhere
from tests.faults.faults import FAULTS
from tests.faults.mortal import Killed, MortalRun, MortalTaskInstance, Worker, retried
from tests.faults.story import Call, Story, Try
from tests.faults.wire_scene import WireScene
from tests.faults.wire_schedule import SOURCE, WIRE_FAULTS, meaning
from tests.faults.wires import PATIENCE
from tests.support.airflow_rules import is_retried
from tests.support.runner import Store, TriggererRestart

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.emulator import Emulator
    from airflow_provider_dds.emulator.service import Service
    from tests.faults.clock import WorldClock
    from tests.faults.schedule import Clear, Schedule
    from tests.faults.wires import Wires

MOST_CALLS = 20_000
"""Calls after which a try counts as endless, should it pass no time; its clock ends it otherwise."""
BEYOND = 5_000.0
"""Seconds past the deadline after which a try counts as endless."""
EARLIER_SECONDS = 310.0
"""From the begin of an earlier backup to what comes after it, which it is over by."""
MANY = 31
"""Backups of others that are more than a page of the service has."""
FROZEN_SECONDS = 1_000.0
"""For how much longer a worker stands still once its successor is over: its backup is, too."""


def _span(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


class SearchError(BaseException):
    """The search has a bug. No ``Exception``: what is searched would take it for an error of a call, and go on."""


class Scene:
    """One schedule under way."""

    def __init__(self, emulator: Emulator, clock: WorldClock, schedule: Schedule, wires: Wires) -> None:
        self.emulator, self.clock, self.schedule = emulator, clock, schedule
        self.service: Service = emulator.service
        self.story = Story(schedule)
        self.service.readings = schedule.readings
        self.service.skew = schedule.skew
        self.wire = WireScene(self, wires) if schedule.wire else None
        self.elsewhere = Elsewhere(self)
        for what in schedule.earlier:
            for _ in range(MANY if what == "many" else 1):
                self.elsewhere.begin_backup("automatic" if what == "many" else what)
                clock.advance(EARLIER_SECONDS)
        for outcome in schedule.outcomes:
            self.service.next_job(schedule.instance_id, outcome)
        self._met = [0] * len(schedule.strikes)
        self._passed = [0] * len(schedule.kills)
        self._called: dict[str, int] = {}
        self._trigger_points = 0
        self._frozen: tuple[Try, Worker] | None = None
        self._began = clock.now
        self._deferred = self.generation = 0
        self.rendered: Any = None
        for happening in schedule.happenings:
            if happening.before is None:
                self.elsewhere.later(happening.seconds, lambda what=happening: self.elsewhere.happen(what))

    def play(self) -> Story:
        """Let the operator run, be retried and cleared, then the sensor."""
        plan, story = self.schedule.operator, self.story
        arguments = {"poke_interval": plan.poke_interval, "timeout": plan.poke_interval * plan.looks}
        self.run = self._run(
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
                execution_timeout=_span(plan.execution_timeout),
                **arguments,
            ),
            has_store=plan.has_store,
        )
        if self.schedule.strange_record and plan.has_store:
            strange = CreateRecord("dds-of-another-item", self.clock.now + 9_999, Attempt(1, self.schedule.retries, 0))
            dict.__setitem__(self.run.store, RECORD_KEY, strange.learned("1").to_json())
        last = self._tries("operator", self.run.once, self.schedule.clears[:1])
        for number, clear in enumerate(self.schedule.clears, 1):
            last = self._clear(clear, self.schedule.clears[number : number + 1])
        if self.wire:
            self.wire.ask_others()
        if self.schedule.sensor is not None:
            self._sense(last)
        if self.schedule.fresh is not None:
            self._look_for_a_fresh_one()
        story.jobs = self.service.jobs(self.schedule.instance_id)
        if self.wire:
            self.wire.end()
            return story
        recorded = self.emulator.requests()
        if len(recorded) != len(story.calls):
            raise SearchError("the search lost count of the calls")
        for call, request in zip(story.calls, recorded, strict=True):
            call.request = request
        return story

    def _run(self, task: Any, *, has_store: bool) -> MortalRun:
        ti = MortalTaskInstance(max_tries=self.schedule.retries, scene=self)
        return MortalRun(task, self.clock, store=Store() if has_store else None, ti=ti, scene=self)

    def _clear(self, clear: Clear, next_clear: tuple[Clear, ...]) -> Try:
        self.generation += 1
        self.story.clears += 1
        for what in clear.others:
            self.clock.advance(clear.after / (len(clear.others) + 1))
            if self.elsewhere.begin_backup(what):
                self.story.happened.append((f"{what} backup before a clear", self.clock.now))
        self.clock.advance(clear.after / (len(clear.others) + 1))
        return self._tries("operator", lambda: self.run.clear(clear.retries, task_gone=clear.gone), next_clear)

    def _sense(self, last: Try) -> None:
        plan = self.schedule.sensor
        if plan.id_as == "unknown":
            job_id: Any = UNKNOWN_JOB
        elif last.ending == "returned":
            number = plan.id_as == "number" and last.value.isdigit()
            job_id = int(last.value) if number else last.value + "\n" * (plan.id_as == "with newline")
        else:
            return
        self.generation, self.rendered = 0, job_id
        from_trigger = plan.mode == "from trigger"
        self.run = self._run(
            DdsBackupSensor(
                task_id="wait",
                db_instance_id=self.schedule.instance_id,
                backup_job_id="{{ job }}" if from_trigger else job_id,
                confirm_backup_set=plan.confirm_backup_set,
                confirm_timeout=plan.confirm_timeout,
                not_found_grace=plan.not_found_grace,
                poll_strategy=plan.poll_strategy,
                max_wait=plan.max_wait,
                poke_interval=plan.poke_interval,
                timeout=plan.poke_interval * plan.looks,
                soft_fail=plan.soft_fail,
                mode="reschedule" if plan.mode == "reschedule" else "poke",
                deferrable=plan.mode in ("deferrable", "from trigger"),
                start_from_trigger=from_trigger,
                execution_timeout=_span(plan.execution_timeout),
            ),
            has_store=plan.has_store,
        )
        self._tries("sensor", self.run.once)

    def _look_for_a_fresh_one(self) -> None:
        plan = self.schedule.fresh
        self.generation, self.rendered = 0, None
        self.run = self._run(
            DdsFreshBackupSensor(
                task_id="fresh",
                db_instance_id=self.schedule.instance_id,
                max_age=plan.max_age,
                age_of=plan.age_of,
                backup_modes=plan.backup_modes,
                min_size_ratio=plan.min_size_ratio,
                poll_strategy=plan.poll_strategy,
                poke_interval=plan.poke_interval,
                timeout=plan.poke_interval * plan.looks,
                soft_fail=plan.soft_fail,
                mode="reschedule" if plan.mode == "reschedule" else "poke",
                deferrable=plan.mode in ("deferrable", "from trigger"),
                start_from_trigger=plan.mode == "from trigger",
                execution_timeout=_span(plan.execution_timeout),
            ),
            has_store=plan.has_store,
        )
        self._tries("fresh", self.run.once)

    def _tries(self, task: str, start: Callable[[], Any], cleared_next: tuple[Clear, ...] = ()) -> Try:
        while True:
            each = self._try(task, self.generation, start)
            self._thaw(but=each)
            start = self.run.clear_while_it_runs if each.cleared else self.run.retry
            over = each.ending == "returned" or not (each.cleared or self._is_tried_again(each))
            if over or (cleared_next and cleared_next[0].pending):
                break
            if each.cleared:
                self.generation += 1
                self.story.clears += 1
            self.clock.advance(self.schedule.pause)
        if not cleared_next:
            self._thaw(but=None)
        return each

    def _is_tried_again(self, each: Try) -> bool:
        ti = self.run.ti
        allowed = each.ending == "killed" or self.schedule.stubborn or retried(each.error)
        return allowed and is_retried(ti.max_tries, ti.try_number)

    def _try(self, task: str, generation: int, start: Callable[[], Any]) -> Try:
        now, run = self.clock.now, self.run
        first = run.ti.first_reschedule.timestamp() if run.ti.first_reschedule else now
        span = waits_for(run.task) if getattr(run.task, "start_from_trigger", False) else run.task.timeout
        each = Try(task, generation, now, first + span, asked=self.rendered)
        if any((other.task, other.generation) == (task, generation) for other in self.story.tries):
            self._take_deadline_of_record(each)  # what is stored may be gone by its end
        self.story.tries.append(each)

        def work() -> None:
            try:
                each.value = start()
                each.ending = "returned"
            except Killed:
                each.ending = "killed"
            except (Exception, AirflowTaskTimeout) as error:
                each.ending, each.error = "raised", error

        worker = Worker(work)
        if not self._work(each, worker):
            each.frozen, each.ending = True, "killed"
            self._frozen = (each, worker)
        return each

    def _work(self, each: Try, worker: Worker) -> bool:
        """Let a worker work, and note how things are then; return whether it has not come to stand still."""
        self.current, run = each, self.run
        self.clock.limit = self.clock.now + run.task.timeout + BEYOND
        done = worker.go_on()
        self.clock.limit = float("inf")
        each.ended = self.clock.now
        each.xcoms = dict(run.ti.xcoms)
        each.jobs = self.service.jobs(self.schedule.instance_id)
        each.record = self._take_deadline_of_record(each)
        if each.ending == "returned":
            each.sets, each.skews = self._shown_sets(), (self.service.skew, self.clock.ahead)
        self.story.kept += [json.dumps(kept) for kept in (each.xcoms, run.deferrals, run.events)]
        self.story.kept.append(json.dumps(run.store))
        return done

    def _take_deadline_of_record(self, each: Try) -> Any:
        """Hold a try against the deadline that an earlier try of its generation, or itself, has stored."""
        record = self.run.store.get(RECORD_KEY) if self.run.store is not None else None
        kept = record if isinstance(record, dict) else {}
        attempt = kept.get("attempt")
        own = isinstance(attempt, dict) and attempt.get("clear_number") == self.run.clear_number
        deadline = kept.get("deadline")
        if own and kept.get("db_instance_id") == self.schedule.instance_id and isinstance(deadline, (int, float)):
            each.deadline = deadline - self.clock.ahead
        return record

    def _thaw(self, but: Try | None) -> None:
        """Wake the worker that stands still, unless it does so in this try."""
        if self._frozen is None or self._frozen[0] is but:
            return
        (each, worker), self._frozen = self._frozen, None
        if self.story.tries[-1] is each:
            worker.die()
            return
        self.clock.advance(FROZEN_SECONDS)
        last_ended_at = self.run.ended_at
        self.run.thawing = True
        self._work(each, worker)
        self.run.thawing = False
        self.run.ended_at = last_ended_at  # Airflow made the next try then: it takes no notice of this worker

    def _shown_sets(self) -> dict[str, BackupSet]:
        """Return the sets that the service shows right now, by their ids, whatever its listings leave out of a page."""
        service, schedule = self.service, self.schedule
        instance = service.instances.get(schedule.instance_id) or self.elsewhere.released
        found: list[BackupSet] = []
        for state in service.jobs(schedule.instance_id):
            if schedule.kind is InstanceKind.CLOUD_CLUSTER:
                row = cluster_row(service, instance, state)
                found += [BackupSet.from_cluster_wire(row)] if row else []
                continue
            for number, ids in enumerate(state.job.sets):
                lag = schedule.readings.set_lag_seconds + number * schedule.readings.shard_set_lag_seconds
                found += map(BackupSet.from_wire, set_rows(service, instance, state, ids, lag))
        return {each.backup_id: each for each in found}

    # --- what strikes ---------------------------------------------------------------------------------------------

    def point(self, *places: str) -> None:
        """Pass a point at which the worker may be killed, or come to stand still."""
        for number, kill in enumerate(self.schedule.kills):
            if kill.at in places:
                self._passed[number] += 1
                if self._passed[number] == kill.passed + 1:
                    self.story.kills += 1
                    if kill.thaws and self.current.task == "operator" and not self.current.frozen:
                        self.story.frozen += 1
                        Worker.stand_still()
                    else:
                        self.current.cleared = kill.cleared and self.current.task == "operator"
                        raise Killed

    def stored(self) -> None:
        """Note that the record was written."""
        self.current.stored.append(self.clock.now)

    def trigger_point(self) -> None:
        """Pass a point at which the triggerer may end."""
        self._trigger_points += 1
        if self._trigger_points - 1 in self.schedule.restarts:
            self.story.restarts += 1
            raise TriggererRestart

    def next_deferral(self, *, is_of_backup: bool) -> str | None:
        """Return what becomes of the deferral that begins, None where its trigger fires as it should."""
        how = next((each.how for each in self.schedule.deferrals if each.number == self._deferred), None)
        self._deferred += 1
        if how:
            self.story.happened.append((f"deferral: {how}", self.clock.now))
            if is_of_backup and how != "arguments garbled":
                self.current.ended_deferrals.append((self.clock.now, how))
        return how

    def worker_sleep(self, seconds: float) -> None:
        self.point("sleep")
        self.clock.advance(min(seconds, self.run.work_until - self.clock.now))
        self._past_execution_timeout()

    def _past_execution_timeout(self) -> None:
        """End the process that is at work where Airflow would."""
        if not self.run.in_trigger and self.clock.now >= self.run.work_until:
            self.run.work_until = float("inf")
            raise AirflowTaskTimeout

    def before_call(self, action: str) -> Call:
        if len(self.current.calls) >= MOST_CALLS:
            raise EndlessError
        self._pass_call(action)
        self._past_execution_timeout()
        passed = self._called.get(action, 0)
        self._called[action] = passed + 1
        for happening in self.schedule.happenings:
            if happening.before == (action, passed):
                self.elsewhere.happen(happening)
        call = Call(action, self.clock.now, self.struck(action))
        if self.wire:
            self.wire.before(call)
        elif call.fault:
            self.add_fault(call.fault)
        self._jobs_before = len(self.service.jobs())
        self.story.calls.append(call)
        self.current.calls.append(call)
        return call

    def add_fault(self, fault: str) -> None:
        """Let the emulator spoil the next request."""
        self.emulator.add_fault(**FAULTS[fault])

    def after_call(self, call: Call) -> None:
        """Note what became of a call."""
        self.emulator.clear_faults()
        if self.wire:
            self.wire.after(call)
        made = self.service.jobs()[self._jobs_before :]
        call.made = made[0].job_id if made else None
        harmless = call.fault == "ids_dropped" and call.action != "CreateBackup"
        if call.status == 200 and (call.fault is None or harmless or meaning(call.fault) == "passes"):
            call.body = call.answer
        try:
            self._pass_call(call.action)
            self._past_execution_timeout()
        except (Killed, AirflowTaskTimeout):
            call.died = True
            raise

    def is_endless(self, call: Call) -> bool:
        """Return whether nothing but its deadline ends a call."""
        known = WIRE_FAULTS.get(call.fault or "")
        call.endless = known.endless if known else (call.fault or "").startswith("hang")
        return call.endless

    def wait_until_it_hangs(self, call: Call) -> None:
        """Wait until the service has got the request, and acted if it is to act, before the client gives up."""
        if self.wire:
            self.wire.wait_until_it_hangs(call)
            return
        acts = FAULTS[call.fault]["when"] == "after"
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

    def struck(self, action: str) -> str | None:
        """Return the fault that befalls a call, or a request to the credential source."""
        for number, strike in enumerate(self.schedule.strikes):
            if strike.action != action and (strike.action is not None or action == SOURCE):
                continue
            if strike.during is not None:
                if strike.during[0] <= self.clock.now - self._began < strike.during[1]:
                    return strike.fault
                continue
            seen = self._met[number]
            if strike.times is not None and seen >= strike.first + strike.times:
                continue
            self._met[number] += 1
            if seen >= strike.first:
                return strike.fault
        return None
