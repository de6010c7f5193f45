"""The verdict, row by row of its table, and what must hold over any sequence of polls."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dds.api.models import BackupJob, BackupSet
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsBackupRunningError,
    DdsConfigurationError,
    DdsInstanceBusyError,
    DdsInvalidRequestError,
    DdsNotFoundError,
    DdsResponseError,
    DdsServiceError,
    DdsThrottledError,
    DdsTransportError,
)
from airflow_provider_dds.waiting.backup.verdict import Memory, Observation, SetState, WaitPolicy, judge
from airflow_provider_dds.waiting.backup_job import BackupJobWait
from airflow_provider_dds.waiting.records import UnreadableError
from airflow_provider_dds.waiting.result import Outcome

if TYPE_CHECKING:
    from airflow_provider_dds.waiting.wait import Verdict

NOW = 1_000_000.0
POLICY = WaitPolicy(deadline=NOW + 3600, confirm_timeout=600, not_found_grace=300)
JOB = {"db_instance_id": "dds-1", "backup_job_id": "17"}


def job(status: str) -> BackupJob:
    return BackupJob("17", status)


def backup_set(status: str = "Success", shard: str | None = None, **fields: Any) -> BackupSet:
    return BackupSet(f"set-{shard or 1}", "17", status, node_id=shard, **fields)


def sets(*statuses: str, **fields: Any) -> tuple[BackupSet, ...]:
    """Return a set for the whole, or with more than one status, one of each shard: d-1, d-2 and so on."""
    if len(statuses) == 1:
        return (backup_set(statuses[0], **fields),)
    return tuple(backup_set(status, f"d-{number}", **fields) for number, status in enumerate(statuses, 1) if status)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW + seconds, tz=timezone.utc)


def lacks(what: str, lacked_for: float, misses: int = 9, **fields: Any) -> Memory:
    """Return the memory of a wait that lacked something just before NOW, and polls each 30 seconds."""
    return Memory(what, lacked_for - 30, misses, NOW - 30, 30, **fields)


def outcome(look: Observation, memory: Memory | None = None, policy: WaitPolicy = POLICY, now: float = NOW) -> Verdict:
    return judge(look, memory or Memory(), policy, now)[0]


THROTTLED = DdsThrottledError("slow down", code="Throttling.User", http_status=400)
BROKEN = DdsServiceError("broken", code="InternalError", http_status=500)
BUSY = DdsInstanceBusyError("restarting", code="IncorrectDBInstanceState", http_status=400)
DENIED = DdsAccessDeniedError("no", code="Forbidden.RAM", http_status=403)
NO_INSTANCE = DdsNotFoundError("no", code="InvalidDBInstanceId.NotFound", http_status=404)
EMPTY_LIST = DdsNotFoundError("no", http_status=200)
NO_ACTION = DdsInvalidRequestError("no", code="InvalidAction.NotFound", http_status=404)
BAD_PARAMETER = DdsInvalidRequestError("no", code="InvalidParameter", http_status=400)
BAD_KEY = DdsAccessDeniedError("no", code="SignatureDoesNotMatch", http_status=400)

FINISHED = job("Finished")
TWO = ("d-1", "d-2")
THREE = ("d-1", "d-2", "d-3")

# what was seen, what is remembered, when -> verdict
TABLE = [
    # my job is under way
    (Observation(job("Scheduled")), Memory(), NOW, Outcome.WAIT),
    (Observation(job("Checking")), Memory(), NOW, Outcome.WAIT),
    (Observation(job("Backuping")), Memory(), NOW, Outcome.WAIT),
    # my job is Finished: confirm the set
    (Observation(FINISHED, sets("Success")), Memory(), NOW, Outcome.DONE),
    (Observation(FINISHED, sets("Failed")), Memory(), NOW, Outcome.FAILED),
    (Observation(FINISHED, sets("Running")), lacks("set", 9999), NOW, Outcome.WAIT),
    # ... which is not visible: done with a warning, after answered seconds and two polls at least
    (Observation(FINISHED), Memory(), NOW, Outcome.WAIT),
    (Observation(FINISHED), lacks("set", 599), NOW, Outcome.WAIT),
    (Observation(FINISHED), lacks("set", 600), NOW, Outcome.DONE),
    (Observation(FINISHED), Memory("set", 9999, 0, None, 30), NOW, Outcome.WAIT),
    (Observation(FINISHED), Memory("set", 9999, 1, None, 30), NOW, Outcome.DONE),
    (Observation(FINISHED), lacks("set", 9999, set_seen=True), NOW, Outcome.WAIT),
    # ... which is a success, but not good: it waits
    (Observation(FINISHED, sets("Success", available=False)), lacks("set", 9999), NOW, Outcome.WAIT),
    (Observation(FINISHED, sets("Success", available=True)), Memory(), NOW, Outcome.DONE),
    (Observation(FINISHED, sets("Success", expire_time=at(-1))), lacks("set", 9999), NOW, Outcome.WAIT),
    (Observation(FINISHED, sets("Success", expire_time=at(+899))), lacks("set", 9999), NOW, Outcome.WAIT),
    (Observation(FINISHED, sets("Success", expire_time=at(+901))), Memory(), NOW, Outcome.DONE),
    # ... of each shard
    (Observation(FINISHED, sets("Success", "Success"), TWO), Memory(), NOW, Outcome.DONE),
    (Observation(FINISHED, sets("Success", "Failed"), TWO), Memory(), NOW, Outcome.FAILED),
    (Observation(FINISHED, sets("Success", "Running"), TWO), Memory(), NOW, Outcome.WAIT),
    (Observation(FINISHED, sets("Success", "", "Success"), THREE), Memory(), NOW, Outcome.WAIT),
    (Observation(FINISHED, sets("Failed", ""), TWO), Memory(), NOW, Outcome.FAILED),
    (Observation(FINISHED, sets("Success", "Success", available=False), TWO), lacks("shard", 9999), NOW, Outcome.WAIT),
    # ... of which one has none: waited for if it was there when the backup was made
    (Observation(FINISHED, sets("", "Success"), TWO), lacks("shard", 9999, shards=TWO), NOW, Outcome.WAIT),
    (
        Observation(FINISHED, sets("", "Success"), TWO, older=frozenset({"d-1"})),
        lacks("shard", 9999),
        NOW,
        Outcome.WAIT,
    ),
    (Observation(FINISHED, sets("", "Success"), TWO), lacks("shard", 599), NOW, Outcome.WAIT),
    (Observation(FINISHED, sets("", "Success"), TWO), lacks("set", 9999), NOW, Outcome.WAIT),
    (Observation(FINISHED, sets("", "Success"), TWO), lacks("shard", 600), NOW, Outcome.DONE),
    (Observation(FINISHED, sets("Success", "Success", ""), THREE), lacks("shard", 600, shards=TWO), NOW, Outcome.DONE),
    # ... and a shard that is gone is not missed
    (Observation(FINISHED, sets("Success", "Success"), TWO), Memory(shards=THREE), NOW, Outcome.DONE),
    # ... whose set is not shown to be whose
    (Observation(FINISHED, sets("Success"), TWO, shards_shown=False), lacks("shard", 599), NOW, Outcome.WAIT),
    (Observation(FINISHED, sets("Success"), TWO, shards_shown=False), lacks("shard", 600), NOW, Outcome.DONE),
    (
        Observation(FINISHED, sets("Success"), TWO, shards_shown=False),
        lacks("shard", 600, shards=TWO),
        NOW,
        Outcome.WAIT,
    ),
    # my job is in a state that says fail, error, cancel or abort
    (Observation(job("Failed")), Memory(), NOW, Outcome.FAILED),
    (Observation(job("BackupFail")), Memory(), NOW, Outcome.FAILED),
    (Observation(job("InternalError")), Memory(), NOW, Outcome.FAILED),
    (Observation(job("Canceled")), Memory(), NOW, Outcome.FAILED),
    (Observation(job("ABORTED")), Memory(), NOW, Outcome.FAILED),
    # my job is in any other state
    (Observation(job("Pondering")), Memory(), NOW, Outcome.WAIT),
    (Observation(job("")), Memory(), NOW, Outcome.WAIT),
    (Observation(job("finished")), Memory(), NOW, Outcome.WAIT),
    # no row of mine: the set decides, else the grace
    (Observation(None, sets("Success")), Memory(), NOW, Outcome.DONE),
    (Observation(None, sets("Failed")), Memory(), NOW, Outcome.FAILED),
    (Observation(None, sets("Running")), lacks("job", 9999), NOW, Outcome.WAIT),
    (Observation(None, sets("Success", available=False)), lacks("job", 9999), NOW, Outcome.WAIT),
    (Observation(None, sets("Success", expire_time=at(-1))), lacks("job", 9999), NOW, Outcome.WAIT),
    (Observation(None, sets("Success", ""), TWO), lacks("shard", 599), NOW, Outcome.WAIT),
    (Observation(None, sets("Success", ""), TWO), lacks("shard", 600), NOW, Outcome.DONE),
    (Observation(None, sets("Success", ""), TWO), lacks("shard", 9999, shards=TWO), NOW, Outcome.WAIT),
    (Observation(None), Memory(), NOW, Outcome.WAIT),
    (Observation(None), lacks("job", 299), NOW, Outcome.WAIT),
    (Observation(None), lacks("job", 300), NOW, Outcome.NOT_FOUND),
    (Observation(None), Memory("job", 9999, 0, None, 30), NOW, Outcome.WAIT),
    (Observation(None), lacks("set", 9999), NOW, Outcome.WAIT),
    # no call lists jobs: the sets alone, until the deadline
    (Observation(None, job_listed=False), lacks("job", 9999), NOW, Outcome.WAIT),
    (Observation(None, sets("Success"), job_listed=False), Memory(), NOW, Outcome.DONE),
    (Observation(None, sets("Success", ""), TWO, job_listed=False), lacks("shard", 9999), NOW, Outcome.WAIT),
    (
        Observation(None, sets("Success", ""), TWO, older=frozenset({"d-1"}), job_listed=False),
        lacks("shard", 600),
        NOW,
        Outcome.DONE,
    ),
    # a failed poll that passes is never a verdict
    (Observation(error=THROTTLED), Memory(failures=99), NOW, Outcome.WAIT),
    (Observation(error=BROKEN), Memory(failures=99), NOW, Outcome.WAIT),
    (Observation(error=BUSY), Memory(failures=99), NOW, Outcome.WAIT),
    (Observation(error=DdsBackupRunningError()), Memory(failures=99), NOW, Outcome.WAIT),
    (Observation(error=DdsTransportError("lost")), Memory(), NOW, Outcome.WAIT),
    (Observation(error=DdsTransportError("not sent", request_sent=False)), Memory(), NOW, Outcome.WAIT),
    (Observation(error=DdsResponseError("<html>")), lacks("set", 9999), NOW, Outcome.WAIT),
    (Observation(error=DdsResponseError("<html>")), lacks("job", 9999), NOW, Outcome.WAIT),
    # a failed poll that stays fails at once
    (Observation(error=DENIED), Memory(), NOW, Outcome.ERROR),
    (Observation(error=NO_INSTANCE), Memory(), NOW, Outcome.ERROR),
    (Observation(error=EMPTY_LIST), Memory(), NOW, Outcome.ERROR),
    (Observation(error=NO_ACTION), Memory(), NOW, Outcome.ERROR),
    (Observation(error=BAD_PARAMETER), Memory(), NOW, Outcome.ERROR),
    (Observation(error=BAD_KEY), Memory(), NOW, Outcome.ERROR),
    (Observation(error=DdsConfigurationError("no region")), Memory(), NOW, Outcome.ERROR),
    # every wait ends at the deadline, and nothing but a wait does
    (Observation(job("Backuping")), Memory(), NOW + 3600, Outcome.TIMED_OUT),
    (Observation(FINISHED), Memory(), NOW + 3600, Outcome.TIMED_OUT),
    (Observation(FINISHED, sets("Success", available=False)), Memory(), NOW + 3600, Outcome.TIMED_OUT),
    (Observation(None), Memory(), NOW + 3600, Outcome.TIMED_OUT),
    (Observation(error=BROKEN), Memory(), NOW + 3600, Outcome.TIMED_OUT),
    (Observation(FINISHED, sets("Success")), Memory(), NOW + 9999, Outcome.DONE),
    (Observation(job("Failed")), Memory(), NOW + 9999, Outcome.FAILED),
    (Observation(error=DENIED), Memory(), NOW + 9999, Outcome.ERROR),
]


@pytest.mark.parametrize(("look", "memory", "now", "expected"), TABLE)
def test_table(look: Observation, memory: Memory, now: float, expected: Outcome) -> None:
    assert judge(look, memory, POLICY, now)[0].outcome is expected


def test_without_confirmation_finished_is_done() -> None:
    policy = replace(POLICY, confirm_backup_set=False)
    assert outcome(Observation(FINISHED), policy=policy).outcome is Outcome.DONE


def test_set_that_stays_invisible_is_done_with_a_warning() -> None:
    verdict = outcome(Observation(FINISHED), lacks("set", 600))
    assert "has not become visible within confirm_timeout (600 s)" in (verdict.warning or "")


@pytest.mark.parametrize(
    ("look", "memory", "words"),
    [
        (Observation(FINISHED, sets("Success", available=False)), Memory(), "set set-1 is Success, but not available"),
        (
            Observation(FINISHED, sets("Success", expire_time=at(0))),
            Memory(),
            "its expiry is past or within 15 minutes",
        ),
        (
            Observation(FINISHED, sets("Success", ""), TWO),
            Memory(shards=TWO),
            "no full backup set of shard d-2 is visible",
        ),
        (
            Observation(FINISHED, (backup_set("success"),)),
            Memory(),
            "set-1 is 'success', which is neither Success nor Failed yet",
        ),
        (Observation(FINISHED), Memory(set_seen=True), "is not visible, though a set of it was visible before"),
        (Observation(None, sets("Success", available=False)), Memory(), "set set-1 is Success, but not available"),
    ],
)
def test_wait_that_times_out_says_what_was_not_good(look: Observation, memory: Memory, words: str) -> None:
    verdict = outcome(look, memory, now=NOW + 3600)
    assert verdict.outcome is Outcome.TIMED_OUT
    assert words in verdict.reason


def test_shard_that_may_have_been_added_later_is_named_in_the_warning() -> None:
    verdict = outcome(Observation(FINISHED, sets("Success", ""), TWO), lacks("shard", 600))
    assert "none of shard d-2, which nothing shows to have been part of the backup" in (verdict.warning or "")


def test_unknown_word_is_warned_about_once() -> None:
    memory, warnings = Memory(), []
    for word in ("Pondering", "Pondering", "Resting", "Pondering"):
        verdict, memory = judge(Observation(job(word)), memory, POLICY, NOW)
        warnings.append(bool(verdict.warning))
    assert warnings == [True, False, True, False]


def test_failures_in_a_row_are_counted_and_forgotten() -> None:
    memory = Memory()
    for expected in (1, 2, 3):
        verdict, memory = judge(Observation(error=BROKEN), memory, POLICY, NOW)
        assert memory.failures == expected
        assert verdict.reason.startswith(f"poll failed{f' ({expected} in a row)' if expected > 1 else ''}: ")
    assert judge(Observation(job("Backuping")), memory, POLICY, NOW)[1].failures == 0


def test_failed_poll_leaves_the_memory_of_what_was_seen() -> None:
    memory = Memory("set", 2.0, 3, 4.0, 5.0, 0, ("Pondering",), True, True, 6.0, TWO)
    assert judge(Observation(error=BROKEN), memory, POLICY, NOW)[1] == replace(memory, failures=1, answered_at=None)


# --- seconds in which the service answered and showed nothing --------------------------------------------------------


class Wait:
    """A wait that polls each 30 seconds of its own, on a clock that may be moved meanwhile."""

    def __init__(self, **policy: Any) -> None:
        self.now = NOW
        given = {**asdict(POLICY), "deadline": NOW + 1e6, **policy}
        self.watch = BackupJobWait(**JOB, started_at=NOW, poke_interval=30, **given)

    def poll(self, look: Observation, passed: float = 30.0) -> Verdict:
        verdict = self.watch.conclude(look, self.now, 0.5)
        assert self.watch.next_wait(self.now, 0.5) <= 300
        self.now += passed
        return verdict

    def polls_until_the_end(self, look: Observation, passed: float = 30.0) -> int:
        for count in range(1, 1000):
            if self.poll(look, passed).outcome is not Outcome.WAIT:
                return count
        raise AssertionError("it does not end")


NOTHING = [(Observation(FINISHED), Outcome.DONE, 21), (Observation(None), Outcome.NOT_FOUND, 11)]
each_lack = pytest.mark.parametrize(("look", "end", "polls"), NOTHING, ids=["confirm_timeout", "not_found_grace"])


@each_lack
def test_grace_is_the_time_between_answered_polls(look: Observation, end: Outcome, polls: int) -> None:
    assert Wait().polls_until_the_end(look) == polls


@each_lack
def test_grace_of_no_seconds_still_takes_two_polls(look: Observation, end: Outcome, polls: int) -> None:
    wait = Wait(confirm_timeout=0, not_found_grace=0)
    assert [wait.poll(look).outcome for _ in range(2)] == [Outcome.WAIT, end]


@each_lack
def test_outage_uses_none_of_the_grace(look: Observation, end: Outcome, polls: int) -> None:
    wait = Wait()
    for _ in range(5):
        assert wait.poll(look).outcome is Outcome.WAIT
    for _ in range(100):
        assert wait.poll(Observation(error=BROKEN), 300).outcome is Outcome.WAIT
    assert wait.polls_until_the_end(look) == polls - 5 + 1


@each_lack
@pytest.mark.parametrize("jump", [-100_000.0, 100_000.0])
def test_jump_of_the_clock_uses_none_of_the_grace(look: Observation, end: Outcome, polls: int, jump: float) -> None:
    wait = Wait()
    for _ in range(5):
        wait.poll(look)
    wait.now += jump
    assert wait.polls_until_the_end(look) in (polls - 5, polls - 5 + 1)


@each_lack
def test_process_that_stood_still_uses_no_more_than_it_had_planned(look: Observation, end: Outcome, polls: int) -> None:
    assert Wait().polls_until_the_end(look, passed=5000) == polls


@each_lack
def test_grace_begins_again_once_something_is_seen(look: Observation, end: Outcome, polls: int) -> None:
    wait = Wait()
    for _ in range(5):
        wait.poll(look)
    wait.poll(Observation(job("Backuping")))
    assert wait.polls_until_the_end(look) == polls


def test_set_that_was_seen_and_is_gone_is_not_taken_for_one_that_is_not_visible_yet() -> None:
    wait = Wait(deadline=NOW + 5000)
    wait.poll(Observation(FINISHED, sets("Success", available=False)))
    for _ in range(100):
        assert wait.poll(Observation(FINISHED)).outcome is Outcome.WAIT


# --- the memory as JSON -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "word"),
    [
        (None, "null"),
        ("text", "a str, not a record"),
        ([], "not a record"),
        (7, "7"),
        ({"first_asked_at": 1.0}, "first_asked_at"),
        ({1: 2}, "1"),
        ({"misses": "3"}, "misses"),
        ({"misses": 1.5}, "misses"),
        ({"misses": True}, "misses"),
        ({"misses": -1}, "misses"),
        ({"misses": None}, "misses"),
        ({"lacking": 1}, "lacking"),
        ({"lacked_for": "long"}, "lacked_for"),
        ({"lacked_for": float("nan")}, "lacked_for"),
        ({"lacked_for": float("inf")}, "lacked_for"),
        ({"answered_at": "now"}, "answered_at"),
        ({"words": "Pondering"}, "words"),
        ({"words": [1]}, "words"),
        ({"words": None}, "words"),
        ({"set_seen": 1}, "set_seen"),
        ({"shards": {"d-1": 1}}, "shards"),
        ({"progress": 1}, "a record"),
        ({"progress": {"percent": "18%"}}, "percent"),
        ({"progress": {"speed": 1}}, "speed"),
    ],
    ids=repr,
)
def test_memory_that_cannot_be_read_is_an_error_that_names_the_field(stored: Any, word: str) -> None:
    watch = BackupJobWait(**JOB, started_at=NOW, deadline=POLICY.deadline)
    with pytest.raises(UnreadableError, match=word):
        watch.recall(stored)
    assert watch.memory == Memory()


def test_memory_without_some_fields_has_their_defaults() -> None:
    assert Memory.from_json({"misses": 2, "words": ["Pondering"]}) == Memory(misses=2, words=("Pondering",))


# --- any sequence of polls --------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["Scheduled", "Checking", "Backuping", "Finished", "Failed", "Canceled", "Pondering", ""])
SET_WORDS = st.sampled_from(["Success", "Success", "Failed", "Running", ""])
ERRORS = st.sampled_from([THROTTLED, BROKEN, BUSY, DENIED, DdsTransportError("lost"), DdsResponseError("<html>")])
SHARDS = st.lists(st.sampled_from(["d-1", "d-2", "d-3"]), max_size=3, unique=True)
SETS = st.builds(
    BackupSet,
    st.sampled_from(["s-1", "s-2"]),
    st.just("17"),
    SET_WORDS,
    available=st.sampled_from([None, True, False]),
    expire_time=st.sampled_from([None, at(-10), at(2000), at(1e9)]),
    node_id=st.sampled_from([None, "d-1", "d-2", "d-3"]),
)
LOOKS = st.one_of(
    st.builds(Observation, error=ERRORS),
    st.builds(
        Observation,
        job=st.one_of(st.none(), st.builds(BackupJob, st.just("17"), WORDS, job_mode=st.sampled_from(["", "Manual"]))),
        sets=st.lists(SETS, max_size=3).map(tuple),
        shards=SHARDS.map(tuple),
        shards_shown=st.booleans(),
        older=SHARDS.map(frozenset),
        job_listed=st.booleans(),
    ),
)
STEPS = st.lists(st.tuples(LOOKS, st.floats(-5000, 5000)), min_size=1, max_size=40)
ANY_POLICY = st.builds(
    WaitPolicy,
    deadline=st.floats(NOW, NOW + 20_000),
    confirm_backup_set=st.booleans(),
    confirm_timeout=st.floats(0, 2000),
    not_found_grace=st.floats(0, 2000),
)
MEMORIES = st.builds(
    Memory,
    lacking=st.sampled_from(["", "job", "set", "shard"]),
    lacked_for=st.floats(0, 5000),
    misses=st.integers(0, 50),
    answered_at=st.none() | st.floats(NOW - 5000, NOW + 5000),
    planned_wait=st.floats(0, 1000),
    failures=st.integers(0, 50),
    words=st.sampled_from([(), ("Pondering",)]),
    set_seen=st.booleans(),
    manual=st.booleans(),
    job_start=st.none() | st.floats(0, NOW),
    shards=SHARDS.map(tuple),
)


def is_good(look: Observation, now: float) -> bool:
    """Whether a full, good set of each shard is known, written once more in another way than the verdict's."""
    limit = datetime.fromtimestamp(now, tz=timezone.utc) + timedelta(minutes=15)
    good = {
        each.node_id
        for each in look.sets
        if each.status == "Success" and each.available is not False and (each.expire_time or at(1e9)) > limit
    }
    return bool(look.sets) and len(good) == len({each.node_id for each in look.sets}) and good.issuperset(look.shards)


@settings(max_examples=500, deadline=None)
@given(steps=STEPS, policy=ANY_POLICY, memory=MEMORIES)
def test_over_any_sequence_of_polls_from_any_memory(
    steps: list[tuple[Observation, float]], policy: WaitPolicy, memory: Memory
) -> None:
    now = NOW
    for look, passed in steps:
        now += passed
        before = memory
        verdict, memory = judge(look, memory, policy, now)
        if verdict.outcome is Outcome.DONE:
            assert look.error is None
            assert look.job is None or look.job.status == "Finished"
            assert all(each.status != "Failed" for each in look.sets)
            if verdict.warning:
                assert memory.lacked_for >= policy.confirm_timeout
                assert memory.misses >= 2
                assert look.job or look.sets
                assert all(each.status == "Success" and each.available is not False for each in look.sets)
                assert not look.sets or not set(look.missing) & {*memory.shards, *look.older}
                assert look.sets or not before.set_seen
            else:
                assert is_good(look, now) or not policy.confirm_backup_set
        if verdict.outcome is Outcome.NOT_FOUND:
            assert memory.lacked_for >= policy.not_found_grace
            assert memory.misses >= 2
            assert not look.sets
        if look.error is None and any(each.status == "Failed" for each in look.sets):
            assert verdict.outcome is Outcome.FAILED
        if now >= policy.deadline:
            assert verdict.outcome is not Outcome.WAIT
        if verdict.outcome is not Outcome.WAIT:
            assert verdict.reason
            return
        assert memory.lacked_for <= before.lacked_for + before.planned_wait


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, policy=ANY_POLICY, memory=MEMORIES)
def test_memory_survives_as_json(steps: list[tuple[Observation, float]], policy: WaitPolicy, memory: Memory) -> None:
    now = NOW
    for look, passed in steps:
        now += passed
        restored = Memory.from_json(json.loads(json.dumps(memory.to_json())))
        assert judge(look, restored, policy, now) == judge(look, memory, policy, now)
        memory = judge(look, memory, policy, now)[1]


def test_states_of_sets_have_words_of_their_own() -> None:
    assert len({state.value for state in SetState}) == len(SetState)
