"""The record of a create: all that is stored is read whole, or refused with what is wrong."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import fields, replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dds.creating import record as record_module
from airflow_provider_dds.creating.attempt import Attempt
from airflow_provider_dds.creating.record import (
    VERSION,
    Backoff,
    BeforeClear,
    CreateRecord,
    RecordError,
)
from airflow_provider_dds.creating.states import NEVER_SEEN, TABLE, Next, Seen, State

FRESH = CreateRecord("dds-1", 1_800_003_600.0, Attempt(2, 3, 1))
ASKED = FRESH.intending(1_800_000_000.0, ("1", "2"))
FULL = replace(
    ASKED,
    refused_at=1.5,
    silent_seconds=20.0,
    polled_at=3.0,
    backoff=Backoff(1.0, "busy", 2, 3, 4.0, adopt=True),
    ended_at=5.0,
)
CLEARED = FULL.cleared(FRESH)
ALL = [FRESH, ASKED, FULL, CLEARED, ASKED.missed(), ASKED.learned("9"), ASKED.learned("9").cleared(FRESH)]


@pytest.mark.parametrize("record", ALL, ids=lambda each: each.state.value)
def test_record_goes_through_json(record):
    again = CreateRecord.from_json(json.loads(json.dumps(record.to_json(), allow_nan=False)))
    assert again == replace(record, attempt=replace(record.attempt, made_at=None))


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "null",
        "text",
        1,
        True,
        [],
        ["a"],
        {},
        {**FRESH.to_json(), "deadline": 1e300},
        {"version": 0},
        {"version": "1"},
    ],
)
def test_what_is_no_record_of_this_version_is_refused(stored):
    with pytest.raises(RecordError):
        CreateRecord.from_json(stored)


def places(data, path=()):
    """Yield each place of a record, with its path."""
    for name, value in data.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from places(value, (*path, name))


def changed(data, path, change):
    """Return a copy of a record with the field at one place changed, or taken out."""
    data = json.loads(json.dumps(data))
    inner = data
    for name in path[:-1]:
        inner = inner[name]
    change(inner, path[-1])
    return data


PLACES = [(record, path) for record in (FULL, CLEARED) for path in places(record.to_json())]


@pytest.mark.parametrize(("record", "path"), PLACES, ids=lambda each: ".".join(each) if isinstance(each, tuple) else "")
def test_field_that_is_missing_or_of_another_type_is_named(record, path):
    def take_out(inner, name):
        del inner[name]

    with pytest.raises(RecordError, match="version" if path == ("version",) else rf"^{'.'.join(path)} is missing"):
        CreateRecord.from_json(changed(record.to_json(), path, take_out))
    for wrong in ({"a": 1}, [1], "text", True, -0.5):
        data = changed(record.to_json(), path, lambda inner, name, wrong=wrong: inner.__setitem__(name, wrong))
        try:
            again = CreateRecord.from_json(data)
        except RecordError:
            continue
        assert json.loads(json.dumps(again.to_json())) == data  # it is of the right type after all


@settings(max_examples=25)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(), st.lists, max_leaves=3))
def test_whatever_stands_in_a_field_is_read_or_refused(value):
    for _, path in PLACES:
        data = changed(FULL.to_json(), path, lambda *_: None) if path[0] != "before_clear" else CLEARED.to_json()
        inner = data
        for name in path[:-1]:
            inner = inner[name]
            if inner is None:
                break
        else:
            inner[path[-1]] = value
        with suppress(RecordError):
            CreateRecord.from_json(data)


@pytest.mark.parametrize("where", ["", "backoff", "before_clear", "attempt"])
def test_field_that_is_not_known_is_refused(where):
    data = (CLEARED if where == "before_clear" else FULL).to_json()
    (data[where] if where else data)["later"] = 1
    with pytest.raises(RecordError, match=r"later is no field of it"):
        CreateRecord.from_json(data)


def test_contradictions_are_refused():
    with pytest.raises(RecordError, match="backup_job_id"):
        CreateRecord.from_json({**FRESH.to_json(), "state": "created"})
    with pytest.raises(RecordError, match="requested_at"):
        CreateRecord.from_json({**ASKED.to_json(), "requested_at": None})
    with pytest.raises(RecordError, match="state is 'lost'"):
        CreateRecord.from_json({**FRESH.to_json(), "state": "lost"})


def test_every_field_is_checked():
    for kind, shape in (
        (CreateRecord, "_RECORD"),
        (Attempt, "_ATTEMPT"),
        (Backoff, "_BACKOFF"),
        (BeforeClear, "_BEFORE_CLEAR"),
    ):
        names = {each.name for each in fields(kind)} - {"made_at"}
        checked = set(getattr(record_module, shape))
        assert checked - {"version"} == names
    assert FRESH.to_json()["version"] == VERSION


def test_table_has_no_hole():
    assert set(TABLE) | NEVER_SEEN == set(product(State, Seen))
    assert not set(TABLE) & NEVER_SEEN


@pytest.mark.parametrize(("state", "seen"), TABLE, ids=lambda each: each.name)
def test_step_fits_the_state_that_it_leads_to(state, seen):
    """A job is known in CREATED and nowhere else, and nothing is sent that is not in doubt from then on."""
    move = TABLE[state, seen]
    assert (move.next is Next.LEARN) is (move.state is State.CREATED)
    if move.next is Next.FAIL:
        assert move.state is state, "a failure forgets nothing"
    if move.next is Next.SEND and seen is not Seen.REQUEST_DUE:
        assert (move.state, Seen.REQUEST_DUE) in TABLE
    if state is not State.READY:
        assert move.state is not State.READY, "what is in doubt is settled by its job alone"


def test_table_leads_nowhere_from_the_end():
    assert all(before is not State.CREATED for before, _ in TABLE)
    assert {seen for _, seen in TABLE} == set(Seen)
    with pytest.raises(KeyError):
        ASKED.intending(1.0, ())  # a request in doubt is looked for first
