"""An Airflow connection of type ``dds`` as validated settings: pure, without the SDK and without I/O."""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, unquote, urlsplit

from airflow_provider_dds.console import SITES
from airflow_provider_dds.exceptions import DdsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

AUTH_TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # auth_type: (fields it needs, fields it may have)
    "access_key": (("access_key_id", "access_key_secret"), ()),
    "sts": (("access_key_id", "access_key_secret", "security_token"), ()),
    "ram_role_arn": (
        ("access_key_id", "access_key_secret", "role_arn"),
        ("security_token", "role_session_name", "role_session_expiration", "external_id", "policy"),
    ),
    "ecs_ram_role": ((), ("role_name",)),
    "oidc_role_arn": (
        ("role_arn", "oidc_provider_arn", "oidc_token_file_path"),
        ("role_session_name", "role_session_expiration", "policy"),
    ),
    "credentials_uri": (("credentials_uri",), ()),
    "default": ((), ()),
}
CREDENTIAL_FIELDS = tuple(dict.fromkeys(name for both in AUTH_TYPES.values() for names in both for name in names))
TRANSPORT_FIELDS = ("connect_timeout", "read_timeout", "proxy", "ca_file", "allow_http", "calls_per_second")
KNOWN_EXTRA = ("region_id", "region", "network", "auth_type", *CREDENTIAL_FIELDS, *TRANSPORT_FIELDS, "console")
_IN_FORM = {"access_key_id": "login", "access_key_secret": "password"}
CALLS_PER_SECOND = 20.0
"""Most calls that one process makes to one account and region, unless the connection says otherwise."""
_LEAST_ROLE_SESSION = 900
_REGION = re.compile("[a-z0-9]+(-[a-z0-9]+)*")
_SESSION_NAME = re.compile("[A-Za-z0-9.@_-]{2,64}")


@dataclass(frozen=True)
class DdsSettings:
    """What a client is built from. Hashable: equal settings share one client. Secrets stay out of its repr.

    :ivar credential: the credential's fields that are set, by the names of the connection.
    :ivar endpoint: host and port, None to derive it from the region.
    :ivar sts_region_id: region whose STS lends roles: the connection's own, so that tasks of all regions share a role.
    :ivar console: the site whose console links lead to, None to derive it from the region.
    :ivar calls_per_second: most calls that a process makes to the account and region.
    :ivar connect_timeout: seconds to wait for a connection.
    :ivar read_timeout: seconds to wait for an answer.
    """

    auth_type: str
    credential: tuple[tuple[str, Any], ...] = field(repr=False)
    region_id: str | None
    endpoint: str | None
    protocol: str = "https"
    network: str = "public"
    connect_timeout: float = 5.0
    read_timeout: float = 10.0
    proxy: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    sts_region_id: str | None = None
    console: str | None = None
    calls_per_second: float = CALLS_PER_SECOND

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that no text may carry, in the forms that an address gives them, too."""
        hidden = dict(self.credential)
        token, proxy_password = hidden.get("security_token", ""), urlsplit(self.proxy or "").password or ""
        found = [
            hidden.get("access_key_secret"),
            *(token, quote_plus(token)),
            hidden.get("credentials_uri"),
            *(proxy_password, unquote(proxy_password)),
        ]
        return tuple(dict.fromkeys(value for value in found if value))


def settings_from(
    *,
    conn_id: str,
    login: str | None,
    password: str | None,
    host: str | None,
    port: int | None,
    schema: str | None,
    extra: str | None,
    region_id: str | None = None,
) -> DdsSettings:
    """Return the settings that a connection's fields stand for.

    :param extra: the connection's extra, JSON text.
    :param region_id: region that overrides the connection's.
    :raises DdsConfigurationError: a field is missing, surplus or malformed; names the field and the fix.
    """
    reader = _Reader(conn_id, _extra_fields(conn_id, extra))
    found = {name: reader.text(name) for name in CREDENTIAL_FIELDS}
    found["access_key_id"] = (login or "").strip() or found["access_key_id"]
    found["access_key_secret"] = (password or "").strip() or found["access_key_secret"]
    auth_type = _auth_type(reader, found)
    credential: dict[str, Any] = {name: value for name, value in found.items() if value}
    if "role_session_expiration" in credential:
        expiration = reader.number("role_session_expiration", least=_LEAST_ROLE_SESSION)
        credential["role_session_expiration"] = int(expiration)
    if "role_session_name" in credential and not _SESSION_NAME.fullmatch(credential["role_session_name"]):
        raise reader.wrong("role_session_name", "it must be 2 to 64 letters, digits and . @ - _")
    if "policy" in credential and not _is_json_object(credential["policy"]):
        raise reader.wrong("policy", "it must be a JSON object with Version and Statement")
    if "credentials_uri" in credential and not _is_web_address(credential["credentials_uri"]):
        raise reader.wrong("credentials_uri", "it must be an http:// or https:// address")
    own_region = reader.text("region_id") or reader.text("region")
    region = (region_id or "").strip() or own_region
    for each in (region, own_region):
        if each and not _REGION.fullmatch(each):
            raise reader.wrong("region_id", f"{each!r} is not a region id, such as cn-hangzhou")
    endpoint, protocol = _endpoint(reader, host, port, schema)
    if not region and not endpoint:
        raise reader.wrong("region_id", "it is empty; set it (such as cn-hangzhou), or set Host to an endpoint")
    proxy = reader.text("proxy")
    if proxy and not _is_web_address(proxy):
        raise reader.wrong("proxy", "it must be http://[user:password@]host:port")
    return DdsSettings(
        auth_type=auth_type,
        credential=tuple(sorted(credential.items())),
        region_id=region or None,
        endpoint=endpoint,
        protocol=protocol,
        network=reader.one_of("network", ("public", "vpc")) or "public",
        connect_timeout=reader.number("connect_timeout", default=5.0),
        read_timeout=reader.number("read_timeout", default=10.0),
        proxy=proxy or None,
        ca_file=reader.text("ca_file") or None,
        sts_region_id=own_region or region or None,
        console=reader.one_of("console", tuple(SITES)) or None,
        calls_per_second=reader.number("calls_per_second", default=CALLS_PER_SECOND, least=0.01),
    )


def unknown_extra_fields(extra: str | None) -> list[str]:
    """Return a remark for each field of the extra that this package does not read, with the nearest name it does."""
    remarks = []
    for name in _extra_fields("", extra):
        if name not in KNOWN_EXTRA:
            close = difflib.get_close_matches(name, KNOWN_EXTRA, n=1)
            remarks.append(f"{name!r} (did you mean {close[0]!r}?)" if close else repr(name))
    return remarks


class _Reader:
    """Reads fields of a connection's extra; its errors name the connection, the field and the fix."""

    def __init__(self, conn_id: str, extra: Mapping[str, Any]) -> None:
        self.conn_id = conn_id
        self.extra = extra

    def wrong(self, name: str, why: str) -> DdsConfigurationError:
        return DdsConfigurationError(f"Connection {self.conn_id!r}, field {name!r}: {why}.")

    def text(self, name: str) -> str:
        value = self.extra.get(name)
        if value is None:
            return ""
        if isinstance(value, (dict, list)):
            if name == "policy":
                return json.dumps(value)
            raise self.wrong(name, "it must be text")
        return str(value).strip()

    def one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name)
        if value and value not in allowed:
            raise self.wrong(name, f"{value!r} is none of {', '.join(allowed)}")
        return value

    def number(self, name: str, *, default: float = 0.0, least: float | None = None) -> float:
        value = self.text(name)
        if not value:
            return default
        try:
            number = float(value)
        except ValueError:
            raise self.wrong(name, f"{value!r} is not a number") from None
        if not 0 < number < float("inf"):
            raise self.wrong(name, f"{value} must be more than 0")
        if least is not None and number < least:
            raise self.wrong(name, f"{value} is too little; the least is {least:g}")
        return number

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in ("true", "1", "yes")


def _extra_fields(conn_id: str, extra: str | None) -> Mapping[str, Any]:
    try:
        fields = json.loads(extra) if extra and extra.strip() else {}
    except ValueError:
        raise DdsConfigurationError(f"Connection {conn_id!r}, field 'extra': it is not JSON.") from None
    if not isinstance(fields, dict):
        raise DdsConfigurationError(f"Connection {conn_id!r}, field 'extra': it must be a JSON object.")
    return fields


def _auth_type(reader: _Reader, found: Mapping[str, str]) -> str:
    """Return the auth type, once the fields that are set are exactly those it takes."""
    given = reader.one_of("auth_type", tuple(AUTH_TYPES))
    pair = found["access_key_id"] or found["access_key_secret"]
    auth_type = given or (("sts" if found["security_token"] else "access_key") if pair else "default")
    needed, optional = AUTH_TYPES[auth_type]
    for name in needed:
        if not found[name]:
            raise reader.wrong(
                _field(name),
                f"auth_type {auth_type!r} needs it, and it is empty; nothing is taken from the environment to fill it",
            )
    for name in CREDENTIAL_FIELDS:
        if found[name] and name not in needed and name not in optional:
            raise reader.wrong(
                _field(name), f"auth_type {auth_type!r} does not take it; clear it, or choose another auth_type"
            )
    return auth_type


def _field(name: str) -> str:
    """Return a field under the name that the connection form gives it."""
    return f"{_IN_FORM[name]} ({name})" if name in _IN_FORM else name


def _endpoint(reader: _Reader, host: str | None, port: int | None, schema: str | None) -> tuple[str | None, str]:
    """Return ``name[:port]`` and the protocol; plain http only to this machine, or where it is explicitly allowed."""
    address = (host or "").strip()
    scheme = (schema or "").strip().lower()
    if scheme not in ("", "http", "https"):
        raise reader.wrong("schema", f"{schema!r} is neither https nor http")
    if not address and port:
        raise reader.wrong("port", f"{port} needs an endpoint in host")
    if not address:
        return None, "https"
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        name, own_port = parts.hostname, parts.port
    except ValueError:
        name, own_port, parts = None, None, urlsplit("")
    if not name or " " in name or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise reader.wrong(
            "host", f"{_shown(address)!r} is not an endpoint; write name, name:port or https://name:port"
        )
    if parts.scheme not in ("", "http", "https"):
        raise reader.wrong("host", f"{parts.scheme}:// is neither https:// nor http://")
    if parts.scheme and scheme and parts.scheme != scheme:
        raise reader.wrong("schema", f"{scheme!r} contradicts host, which says {parts.scheme}://")
    if own_port and port and own_port != port:
        raise reader.wrong("port", f"{port} contradicts host, which says {own_port}")
    protocol = parts.scheme or scheme or "https"
    if protocol == "http" and not _is_loopback(name) and not reader.flag("allow_http"):
        raise reader.wrong(
            "host",
            f"plain http to {name} would show requests to the network; use https, or set extra allow_http to true",
        )
    chosen_port = own_port or port
    shown = f"[{name}]" if ":" in name else name
    return f"{shown}:{chosen_port}" if chosen_port else shown, protocol


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _is_web_address(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _shown(address: str) -> str:
    return address.rpartition("@")[2]


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
