"""Settings and credential -> client -> one call -> a JSON object. With ``credentials`` all that imports the SDK.

The SDK's typed methods swallow an answer whose shape they do not expect and drop fields they do not know, so a call
goes through the client's generic ``call_api`` and its JSON is read here. The SDK's own retries stay off: they would
repeat a create.
"""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary, finalize

from airflow_provider_dds import __version__
from airflow_provider_dds.api_errors import api_error
from airflow_provider_dds.compat import mask_secrets
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsApiError,
    DdsConfigurationError,
    DdsError,
    DdsResponseError,
    DdsThrottledError,
    DdsTransportError,
)
from airflow_provider_dds.hooks.credential_errors import safe
from airflow_provider_dds.hooks.credentials import CALLER, Caller, credential_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from alibabacloud_dds20151201.client import Client

    from airflow_provider_dds.connection import DdsSettings

API_VERSION = "2015-12-01"
USER_AGENT = f"airflow-provider-dds/{__version__}"
TOKEN_EXPIRED = "InvalidSecurityToken.Expired"  # noqa: S105 - a code of the service
_log = logging.getLogger(__name__)


_clients: WeakValueDictionary[DdsSettings, Client] = WeakValueDictionary()
_making = threading.Lock()


def client_for(settings: DdsSettings) -> Client:
    """Return the client for some settings, with its pooled connections: one in a process, as long as somebody holds it.

    :raises DdsConfigurationError: a file that the settings name cannot be read.
    """
    with _making:
        client = _clients.get(settings)
        if client is None:
            client = _clients[settings] = _new_client(settings)
            host = f"{settings.protocol}://{endpoint_of(client)}"
            finalize(client, _close_connections, host).atexit = False
        return client


def forget_clients() -> None:
    """Forget all clients of the process, so that each is made anew."""
    with _making:
        _clients.clear()


def _close_connections(host: str) -> None:
    """Let go of the SDK's connections to a host, unless another client uses them; they close when no call does.

    The SDK keeps them by host, for as long as the process lives. Those to STS stay: one at most for each host.
    """
    from darabonba.core import DaraCore

    used = (client() for client in _clients.valuerefs())
    if all(client is None or f"{client._protocol.lower()}://{endpoint_of(client)}" != host for client in used):
        for key in [key for key in DaraCore._sessions if key.startswith(f"{host}:")]:
            DaraCore._sessions.pop(key, None)


def _new_client(settings: DdsSettings) -> Client:
    from alibabacloud_dds20151201.client import Client
    from alibabacloud_tea_openapi.utils_models import Config

    _hush()
    if settings.ca_file:
        _readable(settings.ca_file, "ca_file")
    client = Client(
        Config(
            credential=credential_for(settings),
            endpoint=settings.endpoint or "set below, once the SDK's map of endpoints is at hand",
            region_id=settings.region_id,
            protocol=settings.protocol.upper(),
            connect_timeout=round(settings.connect_timeout * 1000),
            read_timeout=round(settings.read_timeout * 1000),
            http_proxy=settings.proxy,
            https_proxy=settings.proxy,
            ca=settings.ca_file,
            user_agent=USER_AGENT,
        )
    )
    if settings.endpoint is None:
        client._endpoint = endpoint_for(settings, client._endpoint_map)
    return client


def endpoint_for(settings: DdsSettings, known: Mapping[str, str]) -> str:
    """Return the host to call: the connection's, else the SDK's for a region it knows, else the documented pattern.

    :param known: the SDK's map from region to public host.
    """
    region = settings.region_id or ""
    if settings.endpoint:
        return settings.endpoint
    if settings.network == "vpc":
        return f"mongodb-vpc.{region}.aliyuncs.com"
    return known.get(region) or f"mongodb.{region}.aliyuncs.com"


def endpoint_of(client: Client) -> str:
    """Return the host that a client calls."""
    return str(client._endpoint)


def call(
    client: Client,
    settings: DdsSettings,
    action: str,
    query: Mapping[str, Any],
    mask: Callable[[Iterable[str]], None] = mask_secrets,
) -> dict[str, Any]:
    """Make one call and return the JSON object of its answer.

    A token that the service calls expired is renewed once, and the call repeated: it was refused before it was
    executed.

    :param mask: tells Airflow's secrets masker what no log may show, in a way that suits this thread.
    :raises DdsApiError: the service answered with an error; the class follows from its code.
    :raises DdsTransportError: there was no answer; ``request_sent`` says whether the service may have acted.
    :raises DdsResponseError: the answer cannot be read.
    :raises DdsConfigurationError: no credential could be made from the settings.
    """
    sent = {name: str(value) for name, value in query.items() if value is not None}
    if settings.region_id:
        sent.setdefault("RegionId", settings.region_id)
    name = call_name(action, sent.get("DBInstanceId") or sent.get("InstanceId"))
    caller = CALLER.set(Caller(name, mask))
    try:
        number = client._credential.ready()
        try:
            return _send(client, settings, action, sent)
        except DdsAccessDeniedError as error:
            if error.code != TOKEN_EXPIRED or not client._credential.replace(number):
                raise
        _log.warning("%s was refused since its security token had expired; repeating it with a fresh one.", name)
        return _send(client, settings, action, sent)
    finally:
        CALLER.reset(caller)


def _send(client: Client, settings: DdsSettings, action: str, query: dict[str, str]) -> dict[str, Any]:
    from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
    from darabonba.runtime import RuntimeOptions

    params = Params(
        action=action,
        version=API_VERSION,
        protocol="HTTPS",
        pathname="/",
        method="POST",
        auth_type="AK",
        style="RPC",
        req_body_type="formData",
        body_type="string",
    )
    instance = query.get("DBInstanceId") or query.get("InstanceId")
    try:
        answer = client.call_api(params, OpenApiRequest(query=dict(query)), RuntimeOptions())
        body = json.loads(answer["body"])
    except ValueError:
        raise _unreadable(action, instance) from None
    except Exception as error:  # the SDK declares none of what it raises
        raise _translated(error, action, instance, settings, client) from None
    if not isinstance(body, dict):
        raise _unreadable(action, instance)
    return body


def _translated(error: Exception, action: str, instance: str | None, settings: DdsSettings, client: Client) -> DdsError:
    """Return this package's error for one of the SDK's, which may hold the request's signature and is dropped."""
    from darabonba.exceptions import ResponseException, RetryError, UnretryableException

    if isinstance(error, ResponseException):
        return _answered(error, action, instance, client._credential.secrets)
    cause = error.inner_exception if isinstance(error, UnretryableException) else error
    if isinstance(cause, DdsError):  # the credential was renewed just then, and could not be
        return cause
    if isinstance(cause, RetryError):
        return _no_answer(cause.__context__, action, instance, settings, endpoint_of(client))
    return _unreadable(action, instance)


def _answered(error: Any, action: str, instance: str | None, secrets: Iterable[str]) -> DdsApiError:
    data = error.data if isinstance(error.data, dict) else {}
    code = error.code if error.code and error.code != "None" else None
    request_id = error.request_id if error.request_id != "None" else None
    translated = api_error(
        action=action,
        code=code,
        http_status=error.status_code,
        request_id=request_id,
        message=safe(str(data.get("Message") or data.get("message") or ""), secrets),
        db_instance_id=instance,
    )
    if isinstance(translated, DdsThrottledError) and error.retry_after:
        translated.retry_after = error.retry_after / 1000
    return translated


def _no_answer(
    cause: BaseException | None, action: str, instance: str | None, settings: DdsSettings, host: str
) -> DdsTransportError:
    """Return the error for a call without an answer; whether it was sent follows from where it broke."""
    from requests import exceptions as http
    from urllib3 import exceptions as wire

    reason = getattr(cause.args[0], "reason", None) if cause and cause.args else None
    before_sending = (wire.NewConnectionError, wire.ConnectTimeoutError, wire.SSLError, wire.ProxyError)
    name = call_name(action, instance)
    if isinstance(cause, http.SSLError) and isinstance(reason, wire.SSLError):
        return DdsTransportError(
            f"{name} was not sent: the TLS certificate of {host} was not accepted. Check Host, or name the authority's "
            "certificate in extra ca_file.",
            request_sent=False,
        )
    if isinstance(cause, http.ConnectTimeout) or isinstance(reason, before_sending):
        return DdsTransportError(
            f"{name} was not sent: no connection to {host} ({type(reason or cause).__name__}). Check Host, region, "
            "network (public or vpc), proxy and firewall.",
            request_sent=False,
        )
    if isinstance(cause, http.ReadTimeout):
        return DdsTransportError(
            f"{name} was sent to {host}, but not answered within read_timeout ({settings.read_timeout:g} s). If it "
            "goes on, raise read_timeout in the connection's extra, and look at proxy and firewall.",
            request_sent=True,
        )
    return DdsTransportError(
        f"{name} lost its connection to {host} before the answer came ({type(cause).__name__}). If it goes on, look at "
        "network, proxy and firewall.",
        request_sent=None,
    )


def _unreadable(action: str, instance: str | None) -> DdsResponseError:
    return DdsResponseError(
        f"{call_name(action, instance)} was answered with something that is not a JSON object of the API. If it goes "
        "on, check that Host is an endpoint of ApsaraDB for MongoDB and that no proxy answers in its place."
    )


def call_name(action: str, instance: str | None) -> str:
    """Return how an error's text names a call."""
    return f"{action} for {instance}" if instance else action


def _readable(path: str, name: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise DdsConfigurationError(
            f"Connection field {name!r}: {path} cannot be read here ({error.strerror})."
        ) from None


def _hush() -> None:
    """Keep the SDK from writing to stderr by itself, where it may print signatures, tokens and whole answers."""
    for name, level in (
        ("darabonba-core", logging.WARNING),
        ("alibabacloud-tea", logging.WARNING),
        ("apscheduler", logging.ERROR),
        ("credentials", logging.CRITICAL + 1),  # the addresses of its warnings hold tokens; errors say what happened
    ):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(level)
