"""How a request is sent: once, and again where the table of errors allows it."""

from __future__ import annotations

import logging
import time
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode
from weakref import WeakValueDictionary

from airflow_provider_dds.api.requests import Answer, Kind, Request
from airflow_provider_dds.client import sdk
from airflow_provider_dds.client.answers import Call, no_answer, object_in
from airflow_provider_dds.client.credentials import CALLER, Caller, credential_for, forget_credentials
from airflow_provider_dds.client.forks import Lock
from airflow_provider_dds.client.outcome import WireError
from airflow_provider_dds.client.pace import forget_limiters, limiter_for
from airflow_provider_dds.client.signing import signed_headers
from airflow_provider_dds.client.wire import wire_for
from airflow_provider_dds.compat import mask_secrets
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsConfigurationError,
    DdsError,
    DdsResponseError,
    DdsTransportError,
)
from airflow_provider_dds.masking import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alibabacloud_dds20151201.client import Client

    from airflow_provider_dds.client.settings import DdsSettings

T = TypeVar("T")

API_VERSION = "2015-12-01"
TOKEN_EXPIRED = "InvalidSecurityToken.Expired"  # noqa: S105 - a code of the service
_log = logging.getLogger(__name__)


class Service:
    """What all hooks of a process with equal settings share. It goes with the last of them, and with it what it holds.

    :ivar wire: their connections; nobody else's calls go over them.
    :ivar credential: whom they sign for.
    :ivar limiter: lets their calls out, and those of others to this account and region.
    :ivar masked: whether Airflow's secrets masker knows the secrets of the settings.
    """

    def __init__(self, settings: DdsSettings) -> None:
        self.settings = settings
        self.wire = wire_for(settings)
        self.credential = credential_for(settings)
        self.limiter = limiter_for(settings)
        self.masked = False
        self._client: Client | None = None
        self._host: str | None = None

    @property
    def client(self) -> Client:
        """The SDK's client, for those who ask for it: calls of this package are made without. Making it reads files.

        :raises DdsConfigurationError: a file that the settings name cannot be read.
        """
        if self._client is None:
            self.wire.trusted()
            self._client = sdk.client_for(self.settings, self.credential)
        return self._client

    @property
    def host(self) -> str:
        """``name[:port]`` that is called. To find it out may import the SDK: ask for it in a thread that may wait."""
        if self._host is None:
            self._host = self.settings.endpoint or sdk.endpoint_of(self.client)
        return self._host


_services: WeakValueDictionary[DdsSettings, Service] = WeakValueDictionary()
_making = Lock()


def service_for(settings: DdsSettings) -> Service:
    """Return what hooks with these settings share: settings that differ, as after a change, share only the pace."""
    with _making:
        service = _services.get(settings)
        if service is None:
            service = _services[settings] = Service(settings)
        return service


def forget_services() -> None:
    """Begin as a fresh process does: with no connection, no credential, and a pace that nobody has slowed down."""
    with _making:
        _services.clear()
    sdk.forget_clients()
    forget_credentials()
    forget_limiters()


def send(
    service: Service,
    request: Request[T],
    mask: Callable[[Iterable[str]], None] = mask_secrets,
    timeout: float | None = None,
) -> Answer[T]:
    """Send one request, once, and return its parsed answer.

    A token that the service calls expired is renewed once, and the call repeated: it was refused before it was
    executed. A request that is sent ONCE goes over a new connection: one
    that has died while it was idle would leave its fate in doubt.

    :param mask: tells Airflow's secrets masker what no log may show, in a way that suits this thread.
    :param timeout: seconds that it may take in all, besides what the settings allow.
    :raises DdsApiError: the service answered with an error; the class follows from its code.
    :raises DdsTransportError: there was no answer; ``request_sent`` says whether the service may have acted.
    :raises DdsResponseError: the answer cannot be read.
    :raises DdsConfigurationError: no credential could be made from the settings.
    """
    call = Call(request.action, request.db_instance_id)
    deadline = inf if timeout is None else time.monotonic() + timeout
    body = _body_of(service, request, call, mask, deadline)
    if isinstance(body, DdsError):
        raise body
    request_id = escaped(body.get("RequestId"))
    try:
        return Answer(request.parse(body), request_id)
    except DdsResponseError as error:
        raise DdsResponseError(
            f"{call} was answered in a shape that cannot be trusted: {error} If it goes on, ask the support of Alibaba "
            f"Cloud with the request id. Request id: {request_id or 'none'}."
        ) from None


def _body_of(
    service: Service, request: Request[Any], call: Call, mask: Callable[[Iterable[str]], None], deadline: float
) -> dict[str, Any] | DdsError:
    query = {name: str(value) for name, value in request.query.items() if value is not None}
    if service.settings.region_id:
        query.setdefault("RegionId", service.settings.region_id)
    caller = CALLER.set(Caller(str(call), mask, deadline))
    try:
        number = service.credential.ready()  # which may take seconds: what is confirmed before it may be over after it
        _confirm(request)
        body = _attempt(service, request, call, query, deadline)
        if not (isinstance(body, DdsAccessDeniedError) and body.code == TOKEN_EXPIRED):
            return body
        if not service.credential.replace(number):
            return body
        _log.warning("%s was refused since its security token had expired; repeating it with a fresh one.", call)
        _confirm(request)
        return _attempt(service, request, call, query, deadline)
    finally:
        CALLER.reset(caller)


def _confirm(request: Request[Any]) -> None:
    """Ask whoever sends a request whether it is still to be sent."""
    if request.before_sending is not None:
        request.before_sending()


def _attempt(
    service: Service, request: Request[Any], call: Call, query: dict[str, str], deadline: float
) -> dict[str, Any] | DdsError:
    """Sign and send. What fails is returned, not raised: a traceback would keep this frame, with the signature."""
    headers = signed_headers(request.action, API_VERSION, service.host, query, service.credential.lent())
    url = f"{service.settings.protocol}://{service.host}/?{urlencode(query, quote_via=quote, safe='')}"
    timeout = None if deadline == inf else deadline - time.monotonic()
    try:
        answer = service.wire.send("POST", url, headers=headers, timeout=timeout, fresh=request.kind is Kind.ONCE)
    except WireError as error:
        return no_answer(error, call, service.settings)
    except DdsConfigurationError as error:
        return error.with_traceback(None)
    return object_in(answer, call, lambda: service.credential.secrets)


def too_late(request: Request[Any]) -> DdsTransportError:
    """Return the error for a request whose turn comes after the deadline of what it belongs to."""
    return DdsTransportError(
        f"{Call(request.action, request.db_instance_id)} was not sent: its time was up before "
        "its turn came. If that goes on, raise calls_per_second in the connection's extra, or let fewer tasks wait at "
        "a time.",
        request_sent=False,
    )


def given_up(request: Request[Any]) -> DdsTransportError:
    """Return the error for a request that is under way in a thread when its time is up."""
    return DdsTransportError(
        f"{Call(request.action, request.db_instance_id)} was not answered before its time was up.", request_sent=None
    )
