"""The verdict, row by row of its table, and what must hold over any sequence of looks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsConfigurationError,
    DdsInvalidRequestError,
    DdsNotFoundError,
    DdsResponseError,
    DdsServiceError,
    DdsThrottledError,
    DdsTransportError,
)
from airflow_provider_dds.models import BackupJob, BackupSet
from airflow_provider_dds.verdict import Look, Memory, Outcome, SetState, Terms, Verdict, judge

NOW = 1_000_000.0
TERMS = Terms(deadline=NOW + 3600, confirm_timeout=600, not_found_grace=300)


def job(status: str) -> BackupJob:
    return BackupJob("17", status)


def sets(*statuses: str) -> tuple[BackupSet, ...]:
    return tuple(BackupSet(f"set-{number}", "17", status) for number, status in enumerate(statuses))


def outcome(look: Look, memory: Memory | None = None, terms: Terms = TERMS, now: float = NOW) -> Verdict:
    return judge(look, memory or Memory(first_asked_at=now), terms, now)[0]


THROTTLED = DdsThrottledError("slow down", code="Throttling.User", http_status=400)
BROKEN = DdsServiceError("broken", code="InternalError", http_status=500)
DENIED = DdsAccessDeniedError("no", code="Forbidden.RAM", http_status=403)
NO_INSTANCE = DdsNotFoundError("no", code="InvalidDBInstanceId.NotFound", http_status=404)
BAD_PARAMETER = DdsInvalidRequestError("no", code="InvalidParameter", http_status=400)
BAD_KEY = DdsAccessDeniedError("no", code="SignatureDoesNotMatch", http_status=400)

# what was seen, what is remembered, when -> verdict
TABLE = [
    # my job is under way
    (Look(job("Scheduled")), Memory(), NOW, Outcome.WAIT),
    (Look(job("Checking")), Memory(), NOW, Outcome.WAIT),
    (Look(job("Backuping")), Memory(), NOW, Outcome.WAIT),
    # my job is Finished: confirm the set
    (Look(job("Finished"), sets("Success")), Memory(), NOW, Outcome.DONE),
    (Look(job("Finished"), sets("Failed")), Memory(), NOW, Outcome.FAILED),
    (Look(job("Finished")), Memory(), NOW, Outcome.WAIT),
    (Look(job("Finished")), Memory(finished_at=NOW - 599), NOW, Outcome.WAIT),
    (Look(job("Finished")), Memory(finished_at=NOW - 600), NOW, Outcome.DONE),
    (Look(job("Finished"), sets("Running")), Memory(finished_at=NOW - 9999), NOW, Outcome.WAIT),
    (Look(job("Finished"), sets("Success", "Success"), sets_expected=2), Memory(), NOW, Outcome.DONE),
    (Look(job("Finished"), sets("Success"), sets_expected=2), Memory(), NOW, Outcome.WAIT),
    (Look(job("Finished"), sets("Success", "Failed"), sets_expected=2), Memory(), NOW, Outcome.FAILED),
    (Look(job("Finished"), sets("Success", "Running"), sets_expected=2), Memory(), NOW, Outcome.WAIT),
    # my job is in a state that says fail, error, cancel or abort
    (Look(job("Failed")), Memory(), NOW, Outcome.FAILED),
    (Look(job("BackupFail")), Memory(), NOW, Outcome.FAILED),
    (Look(job("InternalError")), Memory(), NOW, Outcome.FAILED),
    (Look(job("Canceled")), Memory(), NOW, Outcome.FAILED),
    (Look(job("ABORTED")), Memory(), NOW, Outcome.FAILED),
    # my job is in any other state
    (Look(job("Pondering")), Memory(), NOW, Outcome.WAIT),
    (Look(job("")), Memory(), NOW, Outcome.WAIT),
    (Look(job("finished")), Memory(), NOW, Outcome.WAIT),
    # no row of mine: the set decides, else the grace
    (Look(None, sets("Success")), Memory(), NOW, Outcome.DONE),
    (Look(None, sets("Failed")), Memory(), NOW, Outcome.FAILED),
    (Look(None, sets("Running")), Memory(first_asked_at=NOW - 9999), NOW, Outcome.WAIT),
    (Look(None), Memory(), NOW, Outcome.WAIT),
    (Look(None), Memory(first_asked_at=NOW - 299), NOW, Outcome.WAIT),
    (Look(None), Memory(first_asked_at=NOW - 300), NOW, Outcome.NOT_FOUND),
    (Look(None), Memory(first_asked_at=NOW - 900, last_seen_at=NOW - 299, misses=9), NOW, Outcome.WAIT),
    (Look(None), Memory(first_asked_at=NOW - 900, last_seen_at=NOW - 300, misses=9), NOW, Outcome.NOT_FOUND),
    (Look(None), Memory(first_asked_at=NOW - 900, last_seen_at=NOW - 900), NOW, Outcome.WAIT),
    (Look(None, job_listed=False), Memory(first_asked_at=NOW - 9999), NOW, Outcome.WAIT),
    # a failed look that passes is never a verdict
    (Look(error=THROTTLED), Memory(failures=99), NOW, Outcome.WAIT),
    (Look(error=BROKEN), Memory(failures=99), NOW, Outcome.WAIT),
    (Look(error=DdsTransportError("lost")), Memory(), NOW, Outcome.WAIT),
    (Look(error=DdsTransportError("not sent", request_sent=False)), Memory(), NOW, Outcome.WAIT),
    (Look(error=DdsResponseError("<html>")), Memory(finished_at=NOW - 9999), NOW, Outcome.WAIT),
    # a failed look that stays fails at once
    (Look(error=DENIED), Memory(), NOW, Outcome.ERROR),
    (Look(error=NO_INSTANCE), Memory(), NOW, Outcome.ERROR),
    (Look(error=BAD_PARAMETER), Memory(), NOW, Outcome.ERROR),
    (Look(error=BAD_KEY), Memory(), NOW, Outcome.ERROR),
    (Look(error=DdsConfigurationError("no region")), Memory(), NOW, Outcome.ERROR),
    # every wait ends at the deadline, and nothing but a wait does
    (Look(job("Backuping")), Memory(), NOW + 3600, Outcome.TIMED_OUT),
    (Look(job("Finished")), Memory(), NOW + 3600, Outcome.TIMED_OUT),
    (Look(None), Memory(), NOW + 3600, Outcome.TIMED_OUT),
    (Look(error=BROKEN), Memory(), NOW + 3600, Outcome.TIMED_OUT),
    (Look(job("Finished"), sets("Success")), Memory(), NOW + 9999, Outcome.DONE),
    (Look(job("Failed")), Memory(), NOW + 9999, Outcome.FAILED),
    (Look(error=DENIED), Memory(), NOW + 9999, Outcome.ERROR),
]


@pytest.mark.parametrize(("look", "memory", "now", "expected"), TABLE)
def test_table(look: Look, memory: Memory, now: float, expected: Outcome) -> None:
    assert judge(look, memory, TERMS, now)[0].outcome is expected


def test_without_confirmation_finished_is_done() -> None:
    terms = replace(TERMS, confirm_backup_set=False)
    assert outcome(Look(job("Finished")), terms=terms).outcome is Outcome.DONE


def test_set_that_stays_invisible_is_done_with_a_warning() -> None:
    verdict = outcome(Look(job("Finished")), Memory(finished_at=NOW - 600))
    assert "has not become visible within confirm_timeout (600 s)" in (verdict.warning or "")


def test_unknown_word_is_warned_about_once() -> None:
    memory, warnings = Memory(), []
    for word in ("Pondering", "Pondering", "Resting", "Pondering"):
        verdict, memory = judge(Look(job(word)), memory, TERMS, NOW)
        warnings.append(bool(verdict.warning))
    assert warnings == [True, False, True, False]


def test_failures_in_a_row_are_counted_and_forgotten() -> None:
    memory = Memory()
    for expected in (1, 2, 3):
        verdict, memory = judge(Look(error=BROKEN), memory, TERMS, NOW)
        assert memory.failures == expected
        assert verdict.reason.startswith(f"look failed{f' ({expected} in a row)' if expected > 1 else ''}: ")
    assert judge(Look(job("Backuping")), memory, TERMS, NOW)[1].failures == 0


def test_failed_look_leaves_the_memory_of_what_was_seen() -> None:
    memory = Memory(1.0, 2.0, 3.0, 4, 0, ("Pondering",))
    assert judge(Look(error=BROKEN), memory, TERMS, NOW)[1] == replace(memory, failures=1)


def test_one_miss_after_an_outage_longer_than_the_grace_is_no_verdict() -> None:
    memory = Memory(first_asked_at=NOW - 2000, last_seen_at=NOW - 1000, failures=20)
    verdict, memory = judge(Look(None), memory, TERMS, NOW)
    assert verdict.outcome is Outcome.WAIT
    assert judge(Look(None), memory, TERMS, NOW + 30)[0].outcome is Outcome.NOT_FOUND


WORDS = st.sampled_from(["Scheduled", "Checking", "Backuping", "Finished", "Failed", "Canceled", "Pondering", ""])
SET_WORDS = st.sampled_from(["Success", "Failed", "Running", ""])
ERRORS = st.sampled_from([THROTTLED, BROKEN, DENIED, DdsTransportError("lost"), DdsResponseError("<html>")])
LOOKS = st.one_of(
    st.builds(Look, error=ERRORS),
    st.builds(
        Look,
        job=st.one_of(st.none(), st.builds(BackupJob, st.just("17"), WORDS)),
        sets=st.lists(st.builds(BackupSet, st.just("s"), st.just("17"), SET_WORDS), max_size=3).map(tuple),
        sets_expected=st.integers(1, 3),
        job_listed=st.booleans(),
    ),
)
STEPS = st.lists(st.tuples(LOOKS, st.floats(0, 2000)), min_size=1, max_size=40)
ANY_TERMS = st.builds(
    Terms,
    deadline=st.floats(NOW, NOW + 20_000),
    confirm_backup_set=st.booleans(),
    confirm_timeout=st.floats(0, 2000),
    not_found_grace=st.floats(0, 2000),
)


@settings(max_examples=500, deadline=None)
@given(steps=STEPS, terms=ANY_TERMS)
def test_over_any_sequence_of_looks(steps: list[tuple[Look, float]], terms: Terms) -> None:
    memory, now = Memory(), NOW
    seen_good = False
    for look, passed in steps:
        now += passed
        verdict, memory = judge(look, memory, terms, now)
        finished = look.job is not None and look.job.status == "Finished"
        seen_good = seen_good or finished or look.set_state is SetState.SUCCESS
        if verdict.outcome is Outcome.DONE:
            assert seen_good
            assert look.error is None
            assert all(each.status != "Failed" for each in look.sets)
            assert look.job is None or finished
        if look.error is None and any(each.status == "Failed" for each in look.sets):
            assert verdict.outcome is Outcome.FAILED
        if now >= terms.deadline:
            assert verdict.outcome is not Outcome.WAIT
        if verdict.outcome is not Outcome.WAIT:
            assert verdict.reason
            return


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, terms=ANY_TERMS)
def test_memory_survives_as_json(steps: list[tuple[Look, float]], terms: Terms) -> None:
    import json
    from dataclasses import asdict

    memory, now = Memory(), NOW
    for look, passed in steps:
        now += passed
        kept = json.loads(json.dumps(asdict(memory)))
        restored = Memory(**{**kept, "words": tuple(kept["words"])})
        assert judge(look, restored, terms, now) == judge(look, memory, terms, now)
        memory = judge(look, memory, terms, now)[1]
