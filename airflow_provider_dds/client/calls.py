"""How a hook makes its calls, for callers who block and for event loops alike: each method gives the steps of it."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Protocol, TypeVar

from airflow_provider_dds import metrics
from airflow_provider_dds.api.requests import Kind
from airflow_provider_dds.client import sending
from airflow_provider_dds.client.driver import Step, Steps
from airflow_provider_dds.client.pace import DeadlineError, bounded
from airflow_provider_dds.client.retries import Retries
from airflow_provider_dds.client.sending import Service, service_for
from airflow_provider_dds.client.threads import in_thread
from airflow_provider_dds.compat import amask_secrets, mask_secrets, masker_on
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsError, DdsThrottledError
from airflow_provider_dds.masking import forms_of_all

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow_provider_dds.api.requests import Answer, ApiCalls, Listing, Page, Request
    from airflow_provider_dds.client.settings import DdsSettings
    from airflow_provider_dds.clock import Clock

T = TypeVar("T")


class Connection(Protocol):
    """Where the settings of the calls are read."""

    def settings(self) -> Steps[DdsSettings]:
        """Read them."""

    def changed_settings(self, denied: DdsAccessDeniedError, in_use: DdsSettings) -> Steps[DdsSettings]:
        """Read them again, as the service denied a call.

        :raises DdsAccessDeniedError: the one given: they have not changed.
        """

    def naming_unread_fields(self) -> AbstractContextManager[None]:
        """Let an error name the fields of the connection that are not read: they may be what it comes of."""


class Calls:
    """The calls of one hook.

    :param connection: it is read before the first call, and again when the service denies one.
    :param clock: time, as the calls take it.
    """

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.clock = clock
        self._connection = connection
        self._service: Service | None = None

    def service(self, settings: DdsSettings | None = None) -> Steps[Service]:
        """Give what the calls go over, with its secrets masked.

        :param settings: those of the connection, where they are known already.
        :raises DdsError: the connection cannot be read, or is wrong.
        """
        if self._service is None:
            service = service_for(settings or (yield from self._connection.settings()))
            if not service.masked:
                yield from _masked(service)
                service.masked = True
            self._service = service
        return self._service

    def run(self, operation: ApiCalls[T], timeout: float | None = None) -> Steps[T]:
        """Make the calls of an operation and give what it gives. All of it waits in line once.

        :param timeout: seconds in which all of it has to end.
        """
        deadline = self._deadline(timeout)
        first = False
        try:
            request = next(operation)
            while True:
                try:
                    answer = yield from self.call(request, deadline, first=first)
                except DdsError as error:
                    request = operation.throw(error)
                else:
                    first = True
                    request = operation.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # typeshed has no type for it

    def call(self, request: Request[T], deadline: float = inf, *, first: bool = False) -> Steps[Answer[T]]:
        """Make one call. One that is denied is made again where the connection has changed meanwhile.

        :param deadline: reading of the monotonic clock after which its answer is of no use.
        :param first: do not wait behind the calls in line.
        """
        with self._connection.naming_unread_fields():
            try:
                return (yield from self._attempts(request, deadline, first))
            except DdsAccessDeniedError as error:
                denied = error
            service = yield from self.service()
            settings = yield from self._connection.changed_settings(denied, service.settings)
            self._service = None
            yield from self.service(settings)
            try:
                return (yield from self._attempts(request, deadline, first))
            except DdsAccessDeniedError as error:
                error.connection_changed = True  # so a connection that was just changed gets another poll
                raise

    def _attempts(self, request: Request[T], deadline: float, first: bool) -> Steps[Answer[T]]:
        service = yield from self.service()
        retries: Retries | None = None
        try:
            yield from self._turn(service, deadline, first=first or request.kind is Kind.ONCE)
            begun = self.clock.monotonic()
            while True:
                try:
                    return (yield from self._send(service, request, deadline))
                except DdsError as error:
                    failed = error
                if isinstance(failed, DdsThrottledError):
                    metrics.throttled(service.settings.region_id)
                retries = retries or Retries(request, service.limiter, self.clock.monotonic, begun, deadline)
                pause = retries.pause_after(failed)
                yield from Step(partial(self.clock.sleep, pause), partial(self.clock.asleep, pause))
                yield from self._turn(service, deadline, first=True)
        except DeadlineError:
            pass
        raise sending.too_late(request)

    def _turn(self, service: Service, deadline: float, *, first: bool) -> Step[None]:
        limiter, clock = service.limiter, self.clock
        return Step(
            partial(limiter.turn, clock.monotonic, clock.sleep, deadline),
            partial(limiter.aturn, clock.monotonic, clock.asleep, deadline, first=first),
        )

    def _send(self, service: Service, request: Request[T], deadline: float) -> Step[Answer[T]]:
        def blocking() -> Answer[T]:
            return sending.send(service, request, timeout=self._seconds_until(deadline))

        async def on_loop() -> Answer[T]:
            mask = masker_on(asyncio.get_running_loop())
            begun = threading.Lock()

            def work() -> Answer[T]:
                if not begun.acquire(blocking=False):
                    raise sending.too_late(request)  # which nobody hears: its caller has given up
                return sending.send(service, request, mask, self._seconds_until(deadline))

            try:
                with bounded(self._seconds_until(deadline)):
                    return await in_thread(service, work)
            except DeadlineError:
                if begun.acquire(blocking=False):
                    raise
            raise sending.given_up(request)

        return Step(blocking, on_loop)

    def _deadline(self, timeout: float | None) -> float:
        return inf if timeout is None else self.clock.monotonic() + timeout

    def _seconds_until(self, deadline: float) -> float | None:
        return None if deadline == inf else max(0.0, deadline - self.clock.monotonic())


def next_page(listing: Listing[T], answer: Answer[Page[T]]) -> Request[Page[T]] | None:
    """Return the request for the next page of a listing; None after the last one."""
    try:
        return listing.send(answer)
    except StopIteration:
        return None


def _masked(service: Service) -> Step[None]:
    return Step(
        lambda: mask_secrets(forms_of_all(service.credential.secrets)),
        lambda: amask_secrets(forms_of_all(service.credential.secrets)),
    )
