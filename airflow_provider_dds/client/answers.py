"""What came back, or did not -> a JSON object of the API, or the error that it stands for. Pure.

A status counts without JSON, too; an error inside HTTP 200 is that error; and what can only be a proxy's is said to be.
Errors are returned, not raised: whoever raises them holds no request that a traceback would keep.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_dds.api.errors import api_error
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsConfigurationError,
    DdsError,
    DdsResponseError,
    DdsThrottledError,
    DdsTransportError,
)
from airflow_provider_dds.masking import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_dds.client.outcome import HttpAnswer, WireError
    from airflow_provider_dds.client.settings import DdsSettings

_COUNT_ALONE = (401, 403, 407, 429)
"""Statuses below 500 that say what they mean without JSON."""
_NO_ERROR = ("", "0", "200", "ok", "success", "successful", "true")
"""What ``Code`` may say where all is well, in lower case."""


@dataclass(frozen=True)
class Call:
    """What errors say of a call.

    :ivar action: API action.
    :ivar db_instance_id: instance it is about, or None.
    """

    action: str
    db_instance_id: str | None = None

    def __str__(self) -> str:
        return f"{self.action} for {self.db_instance_id}" if self.db_instance_id else self.action


def object_in(
    answer: HttpAnswer, call: Call, secrets: Callable[[], Iterable[str]] = tuple
) -> dict[str, Any] | DdsError:
    """Return the JSON object of an answer, or the error that it stands for.

    :param call: the call that was answered.
    :param secrets: gives what no text may show; asked only where there is one.
    """
    if 300 <= answer.status < 400:
        return _redirected(answer, call, secrets)
    body = _json(answer.body)
    if isinstance(body, dict):
        code = _code(body)
        if 200 <= answer.status < 300 and code is None and not _says_no(body):
            return body
        return _refused(answer, call, code, body, secrets)
    if answer.status in _COUNT_ALONE or answer.status >= 500:
        said = {"Message": f"the answer is {kind_of(answer.body)}, not the API's JSON{_whose(answer)}"}
        return _refused(answer, call, None, said, secrets)
    who = f"the proxy {answer.proxy} does not answer" if answer.proxy else "no proxy answers"
    return DdsResponseError(
        f"{call} was answered with something that is not a JSON object of the API (HTTP {answer.status}, "
        f"{kind_of(answer.body)}). If it goes on, check that Host is an endpoint of ApsaraDB for MongoDB and that "
        f"{who} in its place."
    )


def no_answer(error: WireError, call: Call, settings: DdsSettings) -> DdsError:
    """Return the error for a call without an answer: how far it came, and what to do.

    :param settings: those of the connection, whose limits the text names.
    """
    by = f" by way of the proxy {error.proxy}" if error.proxy else ""
    if error.request_sent is False:
        return _not_sent(error, call, settings)
    if error.timed_out and error.request_sent:
        limit = (
            f"within read_timeout ({settings.read_timeout:g} s). If it goes on, raise read_timeout in the connection's"
        )
        return DdsTransportError(
            f"{call} was sent to {error.host}{by}, but not answered "
            + ("before its time was up." if error.by_deadline else f"{limit} extra, and look at proxy and firewall."),
            request_sent=True,
        )
    return DdsTransportError(
        f"{call} lost its connection to {error.host}{by} before the answer came ({error.reason}). If it goes on, look "
        "at network, proxy and firewall.",
        request_sent=error.request_sent,
    )


def kind_of(body: bytes) -> str:
    """Return what a body is, in a word or two."""
    start = body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return "empty"
    if start.startswith(b"<"):
        return "HTML" if b"<html" in start or start.startswith(b"<!doctype html") else "XML"
    if _json(body) is not None or start == b"null":
        return "JSON of another shape"
    return "broken JSON" if start.startswith((b"{", b"[")) else "text"


def _not_sent(error: WireError, call: Call, settings: DdsSettings) -> DdsError:
    lead = f"{call} was not sent"
    if error.phase == "request" and error.timed_out:
        why = "its time was up before it could be" if error.by_deadline else "read_timeout leaves no time for it"
        return DdsTransportError(f"{lead}: {why}.", request_sent=False)
    if error.phase == "request":
        return DdsConfigurationError(
            f"{lead}: {error.reason}. Check AccessKey id, secret and security_token of the connection for characters "
            "that do not belong there."
        )
    if error.status in (401, 403, 407):
        return DdsAccessDeniedError(
            f"{lead}: the proxy {error.proxy} lets nothing pass to {error.host} (HTTP {error.status} from the proxy). "
            "Check the user and password in the proxy's address (extra proxy, or HTTPS_PROXY), and that it allows that "
            "host. Request id: none.",
            action=call.action,
            http_status=error.status,
            message=error.reason,
            db_instance_id=call.db_instance_id,
        )
    if error.certificate:
        why = (
            f"the TLS certificate of {error.host} was not accepted ({error.reason}). Check Host, or name the "
            "authority's certificate in extra ca_file."
        )
    else:
        where = f"the proxy {error.proxy}" if error.by_proxy else error.host
        what = {"tunnel": f"{where} makes no way to {error.host}", "handshake": f"no TLS with {where}"}.get(
            error.phase, f"no connection to {where}"
        )
        reason = error.reason
        if error.timed_out and not error.by_deadline:
            reason = f"not within connect_timeout, {settings.connect_timeout:g} s"
        why = f"{what} ({reason}). Check Host, region, network (public or vpc), proxy and firewall."
    return DdsTransportError(f"{lead}: {why}", request_sent=False)


def _refused(
    answer: HttpAnswer, call: Call, code: str | None, body: Mapping[str, Any], secrets: Callable[[], Iterable[str]]
) -> DdsError:
    error = api_error(
        action=call.action,
        code=code,
        http_status=answer.status,
        request_id=_field(body, "RequestId"),
        message=_field(body, "Message") or "",
        db_instance_id=call.db_instance_id,
        secrets=secrets(),
    )
    if isinstance(error, DdsThrottledError):
        error.retry_after = _seconds(answer.headers.get("x-acs-retry-after"), 1000) or _seconds(
            answer.headers.get("retry-after"), 1
        )
    return error


def _redirected(answer: HttpAnswer, call: Call, secrets: Callable[[], Iterable[str]]) -> DdsResponseError:
    try:
        host = urlsplit(answer.headers.get("location", "")).hostname
    except ValueError:
        host = None
    where = f"to {escaped(host, secrets())}" if host else "elsewhere on that host"
    return DdsResponseError(
        f"{call} was answered by {answer.host} with a redirect {where} (HTTP {answer.status}); nothing was sent "
        "there. Check that Host is an endpoint of ApsaraDB for MongoDB, and that no proxy or login page of a network "
        "answers in its place."
    )


def _whose(answer: HttpAnswer) -> str:
    if answer.proxy and answer.status in (401, 403, 407):
        return f": it is the proxy {answer.proxy} that refuses"
    if answer.proxy:
        return f": it comes from the proxy {answer.proxy}, or from something behind it"
    return ": it comes from something on the way"


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _code(body: Mapping[str, Any]) -> str | None:
    """Return the code of an error, None where the answer names none."""
    code = (_field(body, "Code") or "").strip()
    return None if code.lower() in _NO_ERROR else code


def _says_no(body: Mapping[str, Any]) -> bool:
    return (_field(body, "Success") or "").strip().lower() == "false"


def _field(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name, body.get(name[0].lower() + name[1:]))
    return None if value is None else str(value)


def _seconds(text: str | None, per_second: int) -> float | None:
    """Return a wait that a header asks for; None for none, and for what is no count of seconds, such as a date."""
    try:
        wait = float(text or "") / per_second
    except ValueError:
        return None
    return wait if 0 < wait < float("inf") else None
