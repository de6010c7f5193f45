"""What is stored for a wait and read by another process: anything that is not understood is a clear error."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dds.exceptions import DdsConfigurationError, DdsThrottledError
from airflow_provider_dds.triggers.dds import DdsBackupTrigger
from airflow_provider_dds.triggers.inputs import WaitInputs, inputs_of_try
from airflow_provider_dds.waiting.backup_job import BackupJobWait
from airflow_provider_dds.waiting.polling import Progress
from airflow_provider_dds.waiting.records import UnreadableError, read
from airflow_provider_dds.waiting.result import Outcome, Result

FACTS = {"db_instance_id": "dds-1", "backup_job_id": "17", "backup_id": "s1"}
ENDINGS = [
    Result(Outcome.DONE, "good", FACTS, fired_at=1.5),
    Result(Outcome.TIMED_OUT, "late"),
    Result(Outcome.ERROR, "slow", error=DdsThrottledError("slow", code="Throttling", http_status=400)),
]
ARGUMENTS: dict[str, Any] = {
    "db_instance_id": "dds-1", "backup_job_id": "17", "dds_conn_id": "dds_default", "region_id": None, "deadline": 9.0,
}  # fmt: skip
INPUTS = WaitInputs(2, "dds-1", "17", "dds_default", None, 100.0, 200.5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def watch() -> BackupJobWait:
    return BackupJobWait(db_instance_id="dds-1", backup_job_id="17", started_at=0.0, deadline=1000.0)


def spoiled(good: dict[str, Any]) -> list[Any]:
    """Return what may stand where something good stood."""
    fields = [{name: value for name, value in good.items() if name != each} for each in good]
    wrong = [{**good, each: value} for each in good for value in (b"".hex, [1], object())]
    return [None, "text", 5, [], {}, {**good, "new_field": 1}, {**good, "version": 2}, *fields, *wrong]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.outcome.value)
def test_ending_comes_back_from_its_json(ending: Result) -> None:
    again = Result.from_json(json.loads(json.dumps(ending.to_json())))
    assert again.to_json() == ending.to_json()
    assert type(again.error) is type(ending.error)


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.outcome.value)
def test_ending_that_is_spoiled_is_unreadable_or_the_same(ending: Result) -> None:
    for stored in spoiled(ending.to_json()):
        with suppress(UnreadableError):
            again = Result.from_json(stored)  # only what may be absent was
            assert (again.outcome, again.text, again.backup) == (ending.outcome, ending.text, ending.backup)


@pytest.mark.parametrize("outcome", ["wait", "Done", "", None, 1])
def test_outcome_that_is_no_end_is_unreadable(outcome: Any) -> None:
    with pytest.raises(UnreadableError, match="outcome"):
        Result.from_json({**ENDINGS[0].to_json(), "outcome": outcome})


@pytest.mark.parametrize(("outcome", "field"), [("done", "backup"), ("error", "error")])
def test_end_without_what_it_stands_for_is_unreadable(outcome: str, field: str) -> None:
    with pytest.raises(UnreadableError, match=field):
        Result.from_json({"outcome": outcome, "text": "good"})


@given(JSON)
def test_whatever_is_stored_is_unreadable_and_no_other_error(stored: Any) -> None:
    with pytest.raises(UnreadableError):
        Result.from_json(stored)
    if stored != {}:
        with pytest.raises(UnreadableError):
            watch().recall(stored)
    if stored is not None:
        with pytest.raises(DdsConfigurationError, match="dds_wait"):
            inputs_of_try(stored, 1)


@pytest.mark.parametrize("backup", [{}, {"db_instance_id": "dds-1"}, {"db_instance_id": "dds-1", "backup_job_id": 17}])
def test_good_end_without_the_ids_of_its_backup_is_unreadable(backup: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError, match="backup_job_id"):
        Result.from_json({"outcome": "done", "text": "good", "backup": backup})


@pytest.mark.parametrize("wrong", [1e300, 10**400, -1.0])
def test_time_that_is_none_is_unreadable_wherever_it_is_stored(wrong: float) -> None:
    with pytest.raises(UnreadableError, match="'fired_at'"):
        Result.from_json({**ENDINGS[0].to_json(), "fired_at": wrong})
    with pytest.raises(DdsConfigurationError, match="'started_at'"):
        inputs_of_try({**INPUTS.to_json(), "started_at": wrong}, 2)
    for field in ("job_start", "answered_at", "planned_wait", "lacked_for"):
        with pytest.raises(UnreadableError, match=field):
            watch().recall({**watch().remembered(), field: wrong})
    assert DdsBackupTrigger(**{**ARGUMENTS, "started_at": wrong}).refused


def test_inputs_are_those_of_the_try_that_kept_them() -> None:
    stored = json.loads(json.dumps(INPUTS.to_json()))
    assert inputs_of_try(stored, 2) == INPUTS
    assert inputs_of_try(stored, 3) is None
    assert inputs_of_try(None, 2) is None


def test_inputs_that_are_spoiled_name_what_to_delete() -> None:
    for stored in spoiled(INPUTS.to_json())[1:]:
        with pytest.raises(DdsConfigurationError, match=r"XCom 'dds_wait' .* Delete it and clear this task"):
            inputs_of_try(stored, 2)


def test_memory_that_is_spoiled_is_refused() -> None:
    good = watch().remembered()
    progress = vars(Progress(percent=5))
    for stored in (None, "text", [], {**good, "new": 1}, {**good, "misses": "two"}, {**good, "words": "one"},
                   {**good, "progress": "5 %"}, {**good, "progress": {**progress, "fastest": "soon"}}):  # fmt: skip
        with pytest.raises(UnreadableError):
            watch().recall(stored)


@pytest.mark.parametrize(
    ("kind", "fits", "not_"),
    [
        ("text", ["", "a"], [1, None, b"a"]),
        ("text?", ["a", None], [1]),
        ("count", [0, 3], [True, 1.0, "1", None, -3]),
        ("seconds", [0, 1.5, 1.8e9], [True, float("nan"), float("inf"), "1", -1.0, 1e300, 10**400]),
        ("flag", [True, False], [0, "true", None]),
        ("record", [{}], [[], None, "{}"]),
        ("texts", [[], ["a"], ("a",)], ["a", [1], None]),
    ],
)
def test_kinds_of_fields(kind: str, fits: list[Any], not_: list[Any]) -> None:
    for value in fits:
        assert read({"x": value}, {"x": kind}) == {"x": value}
    for value in not_:
        with pytest.raises(UnreadableError, match="'x'"):
            read({"x": value}, {"x": kind})


def test_secret_that_stands_where_it_should_not_is_not_quoted() -> None:
    with pytest.raises(UnreadableError) as caught:
        read({"x": "hvs.secret"}, {"x": "seconds"})
    assert "hvs" not in str(caught.value)
