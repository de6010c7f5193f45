"""How a request is sent: once, again where the table of errors allows it, and from which thread."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

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

    from airflow_provider_dds.connection import DdsSettings
    from airflow_provider_dds.exceptions import DdsError
    from airflow_provider_dds.hooks.limiter import Limiter

T = TypeVar("T")

ATTEMPTS = 5
"""Most calls for one read, or for one create whose request certainly was not executed."""
LONGEST_PAUSE = 10.0
"""Most seconds between two attempts, unless the service asks for more."""
RETRY_SECONDS = 30.0
"""No further attempt is begun once this many seconds have passed since the first."""
POOL_SIZE = 8
"""Most calls that all triggers of a process have under way at once."""


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


class Attempts:
    """The attempts at one request, of which the first begins now.

    :param request: the request.
    :param limiter: it is told of each throttled call.
    :param clock: seconds of a clock that never goes back.
    """

    def __init__(self, request: Request[Any], limiter: Limiter, clock: Callable[[], float]) -> None:
        self.request = request
        self.limiter = limiter
        self.clock = clock
        self.begun = clock()
        self.failed = 0

    def pause_after(self, error: DdsError) -> float:
        """Return the seconds to wait before the next attempt, or raise the error if there is to be none.

        :param error: what the last attempt raised.
        :raises DdsError: that error.
        """
        self.failed += 1
        if isinstance(error, DdsThrottledError) and error.action == self.request.action:  # not STS, on the way to it
            self.limiter.throttled(self.clock(), error.retry_after)
        elapsed = self.clock() - self.begun
        pause = pause_after(error, self.failed, elapsed, random.random(), creates=self.request.creates)  # noqa: S311
        if pause is None:
            raise error
        return pause


def pause_after(error: DdsError, failed: int, elapsed: float, dice: float, *, creates: bool) -> float | None:
    """Return the seconds to wait before the next attempt, None if there is to be none.

    Reads are repeated on all that passes, a create only if it was not executed; with exponential back-off and full
    jitter, and not sooner than a throttling service asks for.

    :param error: what the last attempt raised.
    :param failed: how many attempts have failed.
    :param elapsed: seconds since the first one began.
    :param dice: a random number from 0 to 1.
    :param creates: whether it is a create.
    """
    repeatable = (Repeat.ANY,) if creates else (Repeat.ANY, Repeat.READS)
    if failed >= ATTEMPTS or repeat_for(error) not in repeatable:
        return None
    asked = error.retry_after if isinstance(error, DdsThrottledError) else None
    pause = max(dice * min(LONGEST_PAUSE, 2.0 ** (failed - 2)), asked or 0.0)
    return pause if elapsed + pause < RETRY_SECONDS else None


@lru_cache(maxsize=1)
def pool() -> ThreadPoolExecutor:
    """Return the threads that all calls made from event loops of this process share."""
    return ThreadPoolExecutor(max_workers=POOL_SIZE, thread_name_prefix="dds")
