"""Operators of several workers that begin at one moment, on an account that is given one call a second."""

from __future__ import annotations

import heapq
import itertools
import json
from dataclasses import replace

import greenlet
import pytest

from airflow_provider_dds.client import sending
from airflow_provider_dds.client.pace import Limiter
from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.emulator.quota import Quota
from airflow_provider_dds.hooks import dds as hook_module

WORKERS = 8


class Workers:
    """Processes that share the moved clock: while one of them sleeps, the others go on."""

    def __init__(self, clock):
        self.clock, self.order, self.asleep = clock, itertools.count(), []

    def begin(self, work):
        heapq.heappush(self.asleep, (self.clock.now, next(self.order), greenlet.greenlet(work)))

    def sleep(self, seconds):
        this = greenlet.getcurrent()
        heapq.heappush(self.asleep, (self.clock.now + seconds, next(self.order), this))
        this.parent.switch()

    def go_on(self):
        while self.asleep:
            wakes_at, _, worker = heapq.heappop(self.asleep)
            self.clock.advance(max(0.0, wakes_at - self.clock.now))
            worker.switch()


@pytest.fixture
def workers(emulator, clock, monkeypatch):
    """Give each worker a pace of its own, as another process has, and the account one call a second."""
    played = Workers(clock)
    original = hook_module.DdsHook.__init__

    def of_a_worker(hook, *args, **kwargs):
        original(hook, *args, **kwargs)
        hook.clock = replace(hook.clock, sleep=played.sleep)

    monkeypatch.setattr(hook_module.DdsHook, "__init__", of_a_worker)
    monkeypatch.setattr(sending, "limiter_for", lambda settings: Limiter(settings.calls_per_second))
    emulator.service.readings = Readings(calls_per_second=1)
    monkeypatch.setattr(emulator._box, "quota", Quota(clock))
    return played


@pytest.mark.parametrize("wait_for_completion", [False, True])
def test_operators_that_begin_together_all_make_their_backup(
    emulator, operator, clock, workers, monkeypatch, wait_for_completion
):
    made, began = {}, clock.now
    for number in range(WORKERS):
        connection = json.loads(emulator.connection_json())
        connection["extra"]["read_timeout"] = 30 + number  # what settings share they would share here, too
        monkeypatch.setenv(f"AIRFLOW_CONN_WORKER_{number}", json.dumps(connection))
        instance_id = f"dds-of-worker-{number}"
        emulator.service.add_instance(instance_id)
        run = operator(instance_id, dds_conn_id=f"worker_{number}", wait_for_completion=wait_for_completion)
        original = run.set_up_worker
        run.set_up_worker = lambda worker, original=original: (
            original(worker),
            setattr(worker, "clock", replace(worker.clock, sleep=workers.sleep)),
        )
        workers.begin(lambda run=run, instance_id=instance_id: made.update({instance_id: run.once()}))
    workers.go_on()
    jobs = {each.job.instance_id: each.job_id for each in emulator.service.jobs()}
    assert made == jobs
    assert len(jobs) == WORKERS
    assert any(request.code == "Throttling.User" for request in emulator.requests())
    assert clock.now - began < 1800
