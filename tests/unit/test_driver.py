"""Steps, which callers who block and event loops share; and when a request that failed is sent again."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress
from typing import Any

import pytest

from airflow_provider_dds.api.requests import describe_regions
from airflow_provider_dds.client.driver import Step, Steps, adrive, drive
from airflow_provider_dds.client.pace import Limiter
from airflow_provider_dds.client.retries import RETRY_SECONDS, Retries
from airflow_provider_dds.exceptions import DdsServiceError, DdsThrottledError
from airflow_provider_dds.hooks.dds import DdsHook
from tests.support.frames import secrets_in_frames

READS = [name for name in vars(DdsHook) if name.startswith(("describe_", "get_backup", "list_"))]


def on_loop(steps: Steps[Any]) -> Any:
    return asyncio.run(adrive(steps))


def step(result: Any) -> Step[Any]:
    def blocking() -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    async def awaited() -> Any:
        return blocking()

    return Step(blocking, awaited)


@pytest.mark.parametrize("driven", [drive, on_loop])
def test_steps_get_what_came_of_each(driven: Any) -> None:
    def steps() -> Steps[list[Any]]:
        first = yield from step(1)
        try:
            yield from step(OSError("away"))
        except OSError as error:
            return [first, str(error), (yield from step("last"))]
        return []

    assert driven(steps()) == [1, "away", "last"]


@pytest.mark.parametrize("driven", [drive, on_loop])
def test_error_of_steps_shows_no_result_and_no_other_error(driven: Any) -> None:
    def steps() -> Steps[None]:
        used = len((yield from step("a-secret-result")))
        with suppress(OSError):
            yield from step(OSError("away"))
        raise LookupError(used)

    with pytest.raises(LookupError) as caught:
        driven(steps())
    assert caught.value.__context__ is None
    assert secrets_in_frames(caught.value, "a-secret-result") == []


@pytest.mark.parametrize("name", READS)
def test_async_twin_takes_what_its_sister_takes_and_gives_the_same(name: str) -> None:
    one, twin = (inspect.signature(getattr(DdsHook, each)) for each in (name, f"a{name}"))
    assert one.parameters == twin.parameters
    assert str(twin.return_annotation).replace("AsyncIterator", "Iterator") == one.return_annotation


def test_no_attempt_begins_late() -> None:
    now = 100.0
    retries = Retries(next(describe_regions()), Limiter(10), lambda: now, begun=now)
    throttled = DdsThrottledError("", action="DescribeRegions")
    throttled.retry_after = RETRY_SECONDS - 10
    assert retries.pause_after(throttled) == RETRY_SECONDS - 10
    now += RETRY_SECONDS - 10
    with pytest.raises(DdsThrottledError) as caught:
        retries.pause_after(throttled)
    assert caught.value is throttled


def test_no_attempt_begins_after_the_deadline() -> None:
    failed = DdsServiceError("", action="DescribeRegions")
    with pytest.raises(DdsServiceError) as caught:
        Retries(next(describe_regions()), Limiter(10), lambda: 100.0, 100.0, deadline=100.0).pause_after(failed)
    assert caught.value is failed
