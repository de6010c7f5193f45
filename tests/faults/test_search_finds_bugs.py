"""The search can fail: it finds what is broken on purpose, each time as the broken promise it is.

What is broken on the wire is in ``test_search_finds_broken_wires.py``.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from airflow_provider_dds.api import models, requests
from airflow_provider_dds.api.requests import Kind
from airflow_provider_dds.client import calls, sending
from airflow_provider_dds.creating import backup, evidence
from airflow_provider_dds.creating.record import CreateRecord
from airflow_provider_dds.emulator import InstanceKind, JobOutcome, Readings
from airflow_provider_dds.exceptions import DdsError, DdsNotFoundError, DdsTimeoutError
from airflow_provider_dds.hooks.connection import AirflowConnection
from airflow_provider_dds.operators import completion, record_keeper
from airflow_provider_dds.sensors import base
from airflow_provider_dds.triggers import inputs, start
from airflow_provider_dds.waiting.backup import matching, shards, verdict
from airflow_provider_dds.waiting.backup import observe as look
from airflow_provider_dds.waiting.inventory.freshness import Freshness
from airflow_provider_dds.waiting.wait import Wait
from tests.faults.drawing import ages, creates, waits
from tests.faults.schedule import Deferral, FreshPlan, Happening, Kill, SensorPlan, Strike

pytestmark = pytest.mark.mutants


def test_create_that_is_repeated_blindly(finds, monkeypatch):
    original = calls.Retries

    def blind(request, *rest):
        return original(replace(request, kind=Kind.READ), *rest)

    monkeypatch.setattr(calls, "Retries", blind)
    following = ("at most one backup a run", "the job id is one of its own")
    finds("no second post without proof", following=following, drawn=creates)


def test_intent_that_is_never_recorded(finds, monkeypatch):
    monkeypatch.setattr(CreateRecord, "intending", lambda record, _now, _known: record)
    finds("at most one backup a run", following=("the job id is one of its own",), drawn=creates)


def test_clear_that_is_taken_for_a_retry(finds, monkeypatch):
    monkeypatch.setattr(record_keeper, "was_cleared", lambda *_, **__: False)
    finds("a clear makes a new backup", following=("the job id is one of its own",), drawn=creates)


def test_clear_that_is_told_by_max_tries_alone(finds, monkeypatch):
    def by_one_number(before, now, **_):
        return now.max_tries != before.max_tries

    monkeypatch.setattr(record_keeper, "was_cleared", by_one_number)
    finds("a clear makes a new backup", following=("the job id is one of its own",))


def test_patience_that_ends_before_the_deadline(finds, monkeypatch):
    original = backup.repeat_for

    def impatient(error):
        return backup.Repeat.NEVER if isinstance(error, DdsError) else original(error)

    monkeypatch.setattr(backup, "repeat_for", impatient)
    finds("every error has a cause")


def test_connection_that_is_read_only_once(finds, monkeypatch):

    def unchanged(_connection, denied, _in_use):
        raise denied

    monkeypatch.setattr(AirflowConnection, "changed_settings", unchanged)
    finds("every error has a cause")


def test_first_row_that_is_taken_for_the_job(finds, monkeypatch):
    original = look.describe_backup_tasks

    def first(db_instance_id, backup_job_id):
        answer = yield from original(db_instance_id, backup_job_id)
        return replace(answer, value=[replace(row, backup_job_id=backup_job_id) for row in answer.value[:1]])

    monkeypatch.setattr(look, "describe_backup_tasks", first)
    finds("success means a good backup", drawn=waits)


def test_failed_set_that_is_ignored(finds, monkeypatch):
    def blind(seen, _now):
        good = [each for each in seen.sets if each.status != models.FAILED]
        return verdict.SetState.SUCCESS if good else verdict.SetState.INVISIBLE

    monkeypatch.setattr(verdict.Observation, "set_state", blind)
    failing = waits.map(lambda each: replace(each, outcomes=(JobOutcome(backup_set="Failed"),) * 3))
    finds("success means a good backup", drawn=failing)


def test_deadline_that_is_forgotten(finds, monkeypatch):
    original = Wait.conclude

    def patient(wait, *seen):
        deadline, wait.deadline = wait.deadline, math.inf
        try:
            return original(wait, *seen)
        finally:
            wait.deadline = deadline

    monkeypatch.setattr(Wait, "conclude", patient)
    stuck = waits.map(
        lambda each: replace(
            each,
            outcomes=(JobOutcome(stuck_at=50.0),) * 3,
            operator=replace(each.operator, wait_for_completion=True, deferrable=False),
        )
    )
    by_airflow = "every failure names what and where"  # which ends the wait instead
    finds("every try ends in time", by_airflow, following=("every error has a cause",), drawn=stuck)


def test_error_without_its_request(finds, monkeypatch):
    original = sending.send

    def terse(service, request, *rest, **options):
        try:
            return original(service, request, *rest, **options)
        except DdsError as error:
            error.args = (f"{request.action} failed",)
            raise

    monkeypatch.setattr(sending, "send", terse)
    finds("every failure names what and where")


def test_secret_in_the_log(finds, monkeypatch):
    original = AirflowConnection._settings_of

    def chatty(reader, connection):
        settings = original(reader, connection)
        reader._log.debug("Connecting with %s.", settings.secrets)
        return settings

    monkeypatch.setattr(AirflowConnection, "_settings_of", chatty)
    finds("no secret leaves")


# --- two clocks, and frozen workers -----------------------------------------------------------------------------------


def test_clocks_that_are_taken_for_one(finds, monkeypatch):
    monkeypatch.setattr(evidence, "SKEW_ALLOWANCE", 0.0)
    behind = creates.map(lambda each: replace(each, skew=-300, strikes=(Strike("reset_after", "CreateBackup"),)))
    finds("at most one backup a run", following=("every error has a cause",), drawn=behind)


def test_frozen_worker_that_sends_its_request(finds, monkeypatch):
    monkeypatch.setattr(record_keeper.RecordKeeper, "confirm", lambda _: None)
    frozen = creates.map(
        lambda each: replace(each, kills=(Kill("store", 5, thaws=True),), retries=2, strange_record=False)
    )
    finds("at most one backup a run", following=("the job id is one of its own",), drawn=frozen)


# --- what a good set is -----------------------------------------------------------------------------------------------


def changed_sets(**changes):
    original = verdict.Observation.set_state

    def blind(observed, now):
        return original(replace(observed, sets=tuple(replace(each, **changes) for each in observed.sets)), now)

    return blind


def test_set_that_is_not_available_is_taken(finds, monkeypatch):
    monkeypatch.setattr(verdict.Observation, "set_state", changed_sets(available=None))
    late = waits.map(lambda each: replace(each, readings=replace(each.readings, available_lag_seconds=700.0)))
    finds("success means a good backup", drawn=late)


def test_set_that_has_expired_is_taken(finds, monkeypatch):
    monkeypatch.setattr(verdict.Observation, "set_state", changed_sets(expire_time=None))
    short = waits.map(lambda each: replace(each, readings=replace(each.readings, expiry_seconds=30.0)))
    finds("success means a good backup", drawn=short)


def test_sets_that_are_counted_instead_of_shards(finds, monkeypatch):
    def all_of_the_job(sets, backup_job_id, **_):
        return tuple(each for each in sets if each.backup_job_id == backup_job_id)

    def by_count(observed):
        return observed.shards[len(observed.sets) :]

    monkeypatch.setattr(shards, "own_sets", all_of_the_job)
    monkeypatch.setattr(verdict.Observation, "missing", property(by_count))
    doubled = waits.map(
        lambda each: replace(
            each,
            kind=InstanceKind.CLOUD_SHARDED,
            readings=Readings(copies="Success", shard_set_lag_seconds=700.0),
        )
    )
    finds("success means a good backup", drawn=doubled)


def test_copy_that_fails_the_original(finds, monkeypatch):
    monkeypatch.setattr(models.BackupSet, "is_copy", False, raising=False)
    monkeypatch.setattr(matching, "_originality", lambda each: each.status != models.FAILED)
    copied = waits.map(lambda each: replace(each, readings=replace(each.readings, copies="Failed")))
    finds("every error has a cause", drawn=copied)


def test_automatic_row_of_the_same_id_is_taken(finds, monkeypatch):
    monkeypatch.setattr(matching, "_manual_first", lambda rows, *_, **__: rows)
    twins = waits.map(lambda each: replace(each, readings=replace(each.readings, automatic_twin="Failed")))
    finds("every error has a cause", drawn=twins)


# --- what a fresh backup is -------------------------------------------------------------------------------------------


def test_age_that_is_not_asked_for(finds, monkeypatch):
    monkeypatch.setattr(Freshness, "age", lambda *_: 0.0)
    old = ages.map(
        lambda each: replace(each, earlier=("automatic",), readings=Readings(), fresh=FreshPlan(max_age=200))
    )
    finds("fresh means a good backup inside the age", drawn=old)


def test_age_that_counts_from_the_end_of_the_backup(finds, monkeypatch):
    original = Freshness.age
    monkeypatch.setattr(Freshness, "age", lambda asked, *seen: original(replace(asked, age_of="end"), *seen))
    long = ages.map(
        lambda each: replace(each, outcomes=(JobOutcome(seconds=1500.0),) * 3, fresh=FreshPlan(max_age=200, looks=60))
    )
    finds("fresh means a good backup inside the age", drawn=long)


def test_backup_that_somebody_else_made_is_taken(finds, monkeypatch):
    monkeypatch.setattr(Freshness, "counts", lambda *_: True)
    manual = ages.map(lambda each: replace(each, fresh=FreshPlan(backup_modes=("Automated",))))
    finds("fresh means a good backup inside the age", drawn=manual)


def test_one_shard_that_is_taken_for_the_backup(finds, monkeypatch):
    monkeypatch.setattr(verdict.Observation, "missing", ())
    late = ages.map(
        lambda each: replace(
            each,
            kind=InstanceKind.CLOUD_SHARDED,
            readings=Readings(shard_set_lag_seconds=700.0),
            fresh=FreshPlan(max_age=86_400),
        )
    )
    finds("fresh means a good backup inside the age", drawn=late)


# --- what an answer means, and how long it is waited for --------------------------------------------------------------


def test_instance_that_is_not_there_is_waited_for(finds, monkeypatch):
    original = verdict.is_transient
    monkeypatch.setattr(verdict, "is_transient", lambda error: isinstance(error, DdsNotFoundError) or original(error))
    gone = waits.map(lambda each: replace(each, happenings=(Happening("released", seconds=100),)))
    finds("nothing waits for an instance that is not there", drawn=gone)


def test_page_that_is_believed_short(finds, monkeypatch):
    monkeypatch.setattr(requests.Page, "is_last", lambda page, **_: len(page.rows) < requests.PAGE_SIZE)
    paged = waits.map(
        lambda each: replace(
            each,
            earlier=("many",),
            outcomes=(JobOutcome(backup_set="Failed"),) * 3,
            readings=Readings(job_filter_in_sets=False, row_order="oldest_first", page_rows=30),
        )
    )
    finds("success means a good backup", drawn=paged)


# --- deferrals that Airflow ends, and inputs that move ----------------------------------------------------------------


def test_deferral_without_an_event_that_no_poll_follows(finds, monkeypatch):
    def at_once(why, wait, *_):
        raise DdsTimeoutError(f"{wait.name}: {why.said}")

    for module in (completion, base):
        monkeypatch.setattr(module, "end_without_event", at_once)
    ended = waits.map(lambda each: replace(each, deferrals=(Deferral(0, "times out"),)))
    finds("a deferral without an event is followed by a poll", following=("every error has a cause",), drawn=ended)


def test_inputs_that_are_rendered_anew(finds, monkeypatch):
    for module in (inputs, start):
        monkeypatch.setattr(module, "kept_inputs", lambda *_: None)
    moving = waits.map(
        lambda each: replace(
            each,
            earlier=("manual",),
            sensor=SensorPlan(mode="from trigger"),
            happenings=(Happening("inputs move", seconds=100),),
            restarts=frozenset({4}),
        )
    )
    following = ("no call outlives its deadline", "every failure names what and where")
    finds("success means a good backup", following=following, drawn=moving)
