"""When a request that failed is sent again, if at all: tenacity decides, by the table of errors."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.api.errors import Repeat, deserves_second_try, repeat_for
from airflow_provider_dds.api.requests import Kind
from airflow_provider_dds.client.pace import MOST_PAUSE
from airflow_provider_dds.exceptions import DdsThrottledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.api.requests import Request
    from airflow_provider_dds.client.pace import Limiter
    from airflow_provider_dds.exceptions import DdsError

ATTEMPTS = 5
"""Most calls for one read, or for one create whose request certainly was not executed."""
RETRY_SECONDS = 30.0
"""No further attempt is begun once this many seconds have passed since the first."""


class Retries:
    """The attempts after the first one: all that passes is repeated, but a request of ONCE only if it was not executed.

    Make one when the first attempt has failed: its objects would be a tenth of what a poll costs.

    :param limiter: it is told of each throttled call.
    :param clock: seconds of a clock that never goes back.
    :param begun: its reading when the first attempt began.
    :param deadline: its reading after which no attempt is begun.
    """

    def __init__(
        self, request: Request[Any], limiter: Limiter, clock: Callable[[], float], begun: float, deadline: float = inf
    ) -> None:
        from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

        repeatable = (Repeat.ANY,) if request.kind is Kind.ONCE else (Repeat.ANY, Repeat.READS)
        second_tries = iter(() if request.kind is Kind.ONCE else (True,))

        def retry(error: BaseException) -> bool:
            if repeat_for(error) in repeatable:
                return True
            is_own = getattr(error, "action", None) == request.action  # a credential's source has had its second try
            return is_own and deserves_second_try(error) and next(second_tries, False)

        backoff = wait_random_exponential(multiplier=0.5, max=10)

        def wait(state: RetryCallState) -> float:
            error = _error_of(state)
            asked = error.retry_after if isinstance(error, DdsThrottledError) else None
            return max(backoff(state), min(asked or 0.0, MOST_PAUSE))

        def after(state: RetryCallState) -> None:
            error = _error_of(state)
            if isinstance(error, DdsThrottledError) and error.action == request.action:  # not STS, on the way to it
                limiter.throttled(clock(), error.retry_after)

        def stop(state: RetryCallState) -> bool:
            next_at = clock() + state.upcoming_sleep
            return state.attempt_number >= ATTEMPTS or next_at >= min(begun + RETRY_SECONDS, deadline)

        self._retrying = Retrying(retry=retry_if_exception(retry), wait=wait, after=after, stop=stop, reraise=True)
        self._retrying.begin()
        self._state = RetryCallState(self._retrying, None, (), {})

    def pause_after(self, error: DdsError) -> float:
        """Return how many seconds after a failed attempt the next one begins.

        :param error: what the attempt raised.
        :raises DdsError: the error itself, where there is to be no further attempt.
        """
        self._state.set_exception((type(error), error, error.__traceback__))
        self._retrying.iter(self._state)
        self._state.prepare_for_next_attempt()
        return self._state.upcoming_sleep


def _error_of(state: Any) -> BaseException | None:
    error: BaseException | None = state.outcome.exception()
    return error
