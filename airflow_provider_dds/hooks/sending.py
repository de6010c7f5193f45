"""How a request is sent: once, again where the table of errors allows it, and from which thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dds.api_errors import Repeat, repeat_for
from airflow_provider_dds.compat import mask_secrets
from airflow_provider_dds.exceptions import DdsResponseError, DdsThrottledError
from airflow_provider_dds.hooks import sdk
from airflow_provider_dds.hooks.limiter import limiter_for
from airflow_provider_dds.operations import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tenacity.wait import wait_base

    from airflow_provider_dds.connection import DdsSettings
    from airflow_provider_dds.hooks.limiter import Limiter

T = TypeVar("T")

ATTEMPTS = 5
"""Most calls for one read, or for one create whose request certainly was not executed."""
RETRY_SECONDS = 30.0
"""No further attempt is begun once this many seconds have passed since the first."""
POOL_SIZE = 8
"""Most calls that all triggers of a process have under way at once."""


class Service:
    """What a hook calls: the settings, and the limiter that all calls to this account and region share."""

    def __init__(self, settings: DdsSettings) -> None:
        self.settings = settings
        self.limiter = limiter_for(settings)


def send(settings: DdsSettings, request: Request[T], mask: Callable[[Iterable[str]], None] = mask_secrets) -> Answer[T]:
    """Send one request, once, and return its parsed answer.

    :raises DdsError: the call failed, or its answer cannot be trusted.
    """
    body = sdk.call(sdk.client_for(settings), settings, request.action, request.query, mask)
    request_id = str(body.get("RequestId") or "")
    try:
        return Answer(request.parse(body), request_id)
    except DdsResponseError as error:
        raise DdsResponseError(
            f"{sdk.call_name(request.action, request.db_instance_id)} was answered in a shape that cannot be trusted: "
            f"{error} If it goes on, ask the support of Alibaba Cloud with the request id. Request id: "
            f"{request_id or 'none'}."
        ) from None


def retry_options(request: Request[Any], limiter: Limiter, clock: Callable[[], float]) -> dict[str, Any]:
    """Return tenacity's options: reads are repeated on all that passes, a create only if it was not executed.

    :param limiter: it is told of each throttled call.
    :param clock: its clock.
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
            limiter.throttled(clock(), error.retry_after)

    return {
        "after": after,
        "retry": retry_if_exception(lambda error: repeat_for(error) in repeatable),
        "wait": wait,
        "stop": stop_after_attempt(ATTEMPTS) | stop_before_delay(RETRY_SECONDS),
        "reraise": True,
    }


@lru_cache(maxsize=1)
def pool() -> ThreadPoolExecutor:
    """Return the threads that all calls made from event loops of this process share."""
    return ThreadPoolExecutor(max_workers=POOL_SIZE, thread_name_prefix="dds")
