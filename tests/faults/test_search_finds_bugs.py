"""The search can fail: it finds what is broken on purpose, each time as the broken promise it is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from airflow_provider_dds import look, verdict, watch
from airflow_provider_dds.creation import CreateRecord
from airflow_provider_dds.hooks import dds as hooks
from airflow_provider_dds.hooks import sending
from airflow_provider_dds.operators import dds as operators
from tests.faults.invariants import BrokenError
from tests.faults.search import search

WITHIN = 400
"""Schedules in which a bug has to be found."""
SEED = 1


@pytest.fixture
def finds(world):
    def find(promise: str) -> None:
        with pytest.raises(BrokenError, match=promise):
            search(world, WITHIN, seed_number=SEED, shrink=False)

    return find


def test_create_that_is_repeated_blindly(finds, monkeypatch):
    original = sending.retry_options

    def blind(request, *rest):
        return original(replace(request, creates=False), *rest)

    monkeypatch.setattr(sending, "retry_options", blind)
    finds("at most one backup a run|the job id is one of its own|every error has a cause")


def test_intent_that_is_never_recorded(finds, monkeypatch):
    monkeypatch.setattr(CreateRecord, "asking", lambda record, _now, _known: record)
    finds("at most one backup a run")


def test_clear_that_is_taken_for_a_retry(finds, monkeypatch):
    monkeypatch.setattr(operators, "generation_of", lambda _: 0)
    finds("the job id is one of its own")


def test_first_row_that_is_taken_for_the_job(finds, monkeypatch):
    original = look.describe_backup_tasks

    def first(db_instance_id, backup_job_id):
        answer = yield from original(db_instance_id, backup_job_id)
        return replace(answer, value=[replace(row, backup_job_id=backup_job_id) for row in answer.value[:1]])

    monkeypatch.setattr(look, "describe_backup_tasks", first)
    finds("success means a good backup")


def test_failed_set_that_is_ignored(finds, monkeypatch):
    def blind(seen):
        good = [each for each in seen.sets if each.status != verdict.FAILED]
        return verdict.SetState.SUCCESS if good else verdict.SetState.INVISIBLE

    monkeypatch.setattr(verdict.Look, "set_state", property(blind))
    finds("success means a good backup")


def test_deadline_that_is_forgotten(finds, monkeypatch):
    original = watch.judge

    def patient(seen, memory, terms, now):
        return original(seen, memory, replace(terms, deadline=math.inf), now)

    monkeypatch.setattr(watch, "judge", patient)
    by_airflow = "every failure names what and where: (Trigger timeout|no instance in: Sensor has timed out)"
    finds(f"it does not end|every try ends in time|{by_airflow}")


def test_error_without_its_request(finds, monkeypatch):
    original = sending.send

    def terse(settings, request):
        try:
            return original(settings, request)
        except hooks.DdsError as error:
            error.args = (f"{request.action} failed",)
            raise

    monkeypatch.setattr(sending, "send", terse)
    finds("every failure names what and where")


def test_secret_in_the_log(finds, monkeypatch):
    original = hooks.DdsHook._read

    def chatty(hook, connection):
        settings = original(hook, connection)
        hook.log.debug("Connecting with %s.", settings.secrets)
        return settings

    monkeypatch.setattr(hooks.DdsHook, "_read", chatty)
    finds("no secret leaves")
