"""How a request is sent: once, again where the table of errors allows it, and from which thread."""

from __future__ import annotations

import asyncio
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from airflow_provider_dds.api_errors import Repeat, repeat_for
from airflow_provider_dds.compat import mask_secrets
from airflow_provider_dds.exceptions import DdsResponseError, DdsThrottledError
from airflow_provider_dds.hooks import sdk
from airflow_provider_dds.hooks.credentials import forget_credentials
from airflow_provider_dds.hooks.limiter import forget_limiters, limiter_for
from airflow_provider_dds.operations import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alibabacloud_dds20151201.client import Client
    from anyio import CapacityLimiter
    from tenacity.wait import wait_base

    from airflow_provider_dds.connection import DdsSettings
    from airflow_provider_dds.exceptions import DdsError

T = TypeVar("T")

ATTEMPTS = 5
"""Most calls for one read, or for one create whose request certainly was not executed."""
RETRY_SECONDS = 30.0
"""No further attempt is begun once this many seconds have passed since the first."""
POOL_SIZE = 8
"""Most calls that all triggers of an event loop, of which a triggerer has one, have under way at once."""


class Service:
    """What all hooks of a process with equal settings share. It goes with the last of them, and with it what it holds.

    :ivar limiter: lets their calls out, and those of others to this account and region.
    :ivar masked: whether Airflow's secrets masker knows the secrets of the settings.
    """

    def __init__(self, settings: DdsSettings) -> None:
        self.settings = settings
        self.limiter = limiter_for(settings)
        self.masked = False

    @cached_property
    def client(self) -> Client:
        """The SDK's client. Making it reads files: ask for it in a thread that may wait.

        :raises DdsConfigurationError: a file that the settings name cannot be read.
        """
        return sdk.client_for(self.settings)


_services: WeakValueDictionary[DdsSettings, Service] = WeakValueDictionary()
_making = threading.Lock()


def service_for(settings: DdsSettings) -> Service:
    """Return what hooks with these settings share: settings that differ, as after a change, share only the pace."""
    with _making:
        service = _services.get(settings)
        if service is None:
            service = _services[settings] = Service(settings)
        return service


def forget_services() -> None:
    """Begin as a fresh process does: with no client, no credential, and a pace that nobody has slowed down."""
    with _making:
        _services.clear()
    sdk.forget_clients()
    forget_credentials()
    forget_limiters()


def send(service: Service, request: Request[T], mask: Callable[[Iterable[str]], None] = mask_secrets) -> Answer[T]:
    """Send one request, once, and return its parsed answer.

    :raises DdsError: the call failed, or its answer cannot be trusted.
    """
    body = sdk.call(service.client, service.settings, request.action, request.query, mask)
    request_id = str(body.get("RequestId") or "")
    try:
        return Answer(request.parse(body), request_id)
    except DdsResponseError as error:
        raise DdsResponseError(
            f"{sdk.call_name(request.action, request.db_instance_id)} was answered in a shape that cannot be trusted: "
            f"{error} If it goes on, ask the support of Alibaba Cloud with the request id. Request id: "
            f"{request_id or 'none'}."
        ) from None


def again(error: DdsError, call: Callable[[], T]) -> Callable[[], T]:
    """Return a call for tenacity whose first attempt was made without it, and failed.

    So only what fails pays for tenacity, whose objects for a call would be a tenth of what a poll costs.

    :param error: what the first attempt raised.
    :param call: makes a further one.
    """
    failed = iter((error,))

    def attempt() -> T:
        for first in failed:
            raise first
        return call()

    return attempt


def retry_options(request: Request[Any], service: Service, clock: Callable[[], float], begun: float) -> dict[str, Any]:
    """Return tenacity's options: reads are repeated on all that passes, a create only if it was not executed.

    :param service: its limiter is told of each throttled call.
    :param clock: seconds of a clock that never goes back.
    :param begun: its reading when the first attempt began.
    """
    from tenacity import retry_if_exception, stop_after_attempt, stop_before_delay, wait_random_exponential

    repeatable = (Repeat.ANY,) if request.creates else (Repeat.ANY, Repeat.READS)
    backoff: wait_base = wait_random_exponential(multiplier=0.5, max=10)

    def wait(state: Any) -> float:
        error = state.outcome.exception()
        asked = error.retry_after if isinstance(error, DdsThrottledError) else None
        return max(backoff(state), asked or 0.0)

    def after(state: Any) -> None:
        error = state.outcome.exception()
        if isinstance(error, DdsThrottledError) and error.action == request.action:  # not STS, on the way to it
            service.limiter.throttled(clock(), error.retry_after)

    return {
        "after": after,
        "retry": retry_if_exception(lambda error: repeat_for(error) in repeatable),
        "wait": wait,
        "stop": stop_after_attempt(ATTEMPTS) | stop_before_delay(RETRY_SECONDS - (clock() - begun)),
        "reraise": True,
    }


async def in_thread(work: Callable[[], T]) -> T:
    """Run what blocks in a thread, of which there are at most ``POOL_SIZE`` for an event loop.

    anyio takes the thread that was busy last, whose memory is still at hand for the processor: with that a poll costs a
    fifth less than with the pool of the standard library, which takes the one that was idle longest.

    :param work: what blocks. It goes on to its end when the caller is cancelled.
    """
    import anyio.to_thread

    loop = asyncio.get_running_loop()
    threads = _threads.get(loop)
    if threads is None:
        threads = _threads[loop] = anyio.CapacityLimiter(POOL_SIZE)
    return await anyio.to_thread.run_sync(work, limiter=threads, abandon_on_cancel=True)


_threads: WeakKeyDictionary[asyncio.AbstractEventLoop, CapacityLimiter] = WeakKeyDictionary()
