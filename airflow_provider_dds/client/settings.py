"""An Airflow connection of type ``dds`` as validated settings: pure, without the SDK and without I/O."""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_dds.client.fields import AUTH_TYPES, CREDENTIAL_FIELDS, KNOWN_EXTRA
from airflow_provider_dds.client.proxy import NEVER, is_loopback, proxy_problem
from airflow_provider_dds.client.reading import FieldReader
from airflow_provider_dds.masking import escaped, secrets_of_address, secrets_of_proxy

if TYPE_CHECKING:
    from collections.abc import Mapping

_IN_FORM = {"access_key_id": "login", "access_key_secret": "password"}
PORT = 443
REGION = re.compile("[a-z0-9]+(-[a-z0-9]+)*")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?", re.IGNORECASE)
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
    :ivar read_timeout: seconds that a whole answer may take.
    :ivar proxy: address of the proxy, ``none`` for never one, None to go by the environment.
    """

    auth_type: str
    credential: tuple[tuple[str, Any], ...] = field(repr=False)
    region_id: str | None
    endpoint: str | None
    connect_timeout: float
    read_timeout: float
    calls_per_second: float
    protocol: str = "https"
    network: str = "public"
    proxy: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    sts_region_id: str | None = None
    console: str | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that no text may carry, in none of their forms."""
        hidden = dict(self.credential)
        found = [hidden[name] for name in ("access_key_secret", "security_token") if name in hidden]
        return (*found, *secrets_of_proxy(self.proxy or ""), *secrets_of_address(hidden.get("credentials_uri", "")))


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
    reader = FieldReader(conn_id, extra)
    found = {name: reader.text(name) for name in CREDENTIAL_FIELDS}
    for name, value in (("access_key_id", login), ("access_key_secret", password)):
        found[name] = reader.plain(_field(name), value) or found[name]
    auth_type = _auth_type(reader, found)
    credential: dict[str, Any] = {name: value for name, value in found.items() if value}
    if "role_session_expiration" in credential:
        credential["role_session_expiration"] = int(reader.number("role_session_expiration"))
    if "role_session_name" in credential and not _SESSION_NAME.fullmatch(credential["role_session_name"]):
        raise reader.wrong("role_session_name", "it must be 2 to 64 letters, digits and . @ - _")
    if "policy" in credential and not _is_json_object(credential["policy"]):
        raise reader.wrong("policy", "it must be a JSON object with Version and Statement")
    if "credentials_uri" in credential and not is_web_address(credential["credentials_uri"]):
        raise reader.wrong(
            "credentials_uri",
            "it must be an http:// or https:// address with a host, and without # and backslash (write %23 and %5C)",
        )
    own_region = reader.text("region_id") or reader.text("region")
    region = (region_id or "").strip() or own_region
    for each in (region, own_region):
        if each and not REGION.fullmatch(each):
            raise reader.wrong("region_id", f"{each!r} is not a region id, such as cn-hangzhou")
    endpoint, protocol = _endpoint(reader, host, port, schema)
    if not region and not endpoint:
        raise reader.wrong("region_id", "it is empty; set it (such as cn-hangzhou), or set Host to an endpoint")
    return DdsSettings(
        auth_type=auth_type,
        credential=tuple(sorted(credential.items())),
        region_id=region or None,
        endpoint=endpoint,
        protocol=protocol,
        network=reader.one_of("network") or "public",
        connect_timeout=reader.number("connect_timeout"),
        read_timeout=reader.number("read_timeout"),
        proxy=_proxy(reader),
        ca_file=reader.text("ca_file") or None,
        sts_region_id=own_region or region or None,
        console=reader.one_of("console") or None,
        calls_per_second=reader.number("calls_per_second"),
    )


def unknown_extra_fields(extra: str | None) -> list[str]:
    """Return a remark for each field of the extra that this package does not read, with the nearest name it does."""
    remarks = []
    for name in FieldReader("", extra).extra:
        if name not in KNOWN_EXTRA:
            shown = escaped(name, limit=60)
            close = difflib.get_close_matches(shown.lower(), KNOWN_EXTRA, n=1)
            remarks.append(f"{shown!r} (did you mean {close[0]!r}?)" if close else repr(shown))
    return remarks


def _auth_type(reader: FieldReader, found: Mapping[str, str]) -> str:
    """Return the auth type, once the fields that are set are exactly those it takes."""
    given = reader.one_of("auth_type")
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


def _endpoint(reader: FieldReader, host: str | None, port: int | None, schema: str | None) -> tuple[str | None, str]:
    """Return ``name[:port]`` and the protocol; plain http only to this machine, or where it is explicitly allowed."""
    address = reader.plain("host", host)
    scheme = reader.plain("schema", schema).lower()
    if scheme not in ("", "http", "https"):
        raise reader.wrong("schema", f"{schema!r} is neither https nor http")
    _check_port(reader, port, address)
    if not address:
        return None, "https"
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        name, own_port = parts.hostname, parts.port
    except ValueError:
        name, own_port, parts = None, None, urlsplit("")
    if not name or not _is_host(name) or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
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
    if protocol == "http" and not is_loopback(name) and not reader.flag("allow_http"):
        raise reader.wrong(
            "host",
            f"plain http to {name} would show requests to the network; use https, or set extra allow_http to true",
        )
    chosen_port = own_port or port
    shown = f"[{name}]" if ":" in name else name
    return f"{shown}:{chosen_port}" if chosen_port else shown, protocol


def _check_port(reader: FieldReader, port: int | None, address: str) -> None:
    if port and not 0 < port < 65536:
        raise reader.wrong("port", f"{port} is no port; write 1 to 65535, or leave it empty")
    if port and port != PORT and not address:  # Airflow's form sends 443 along when a connection is tested
        raise reader.wrong("port", f"{port} needs an endpoint in host")


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def is_web_address(address: str) -> bool:
    """Whether an address can be asked for a credential, and means the same to all who read it."""
    if "#" in address or "\\" in address:  # it would be cut off, or read in two ways
        return False
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        return False


def _is_host(name: str) -> bool:
    """Whether a text is a host name or an IP address, so that it means the same to all who read it."""
    try:
        return bool(_HOST.fullmatch(name) or ipaddress.ip_address(name))
    except ValueError:
        return False


def _proxy(reader: FieldReader) -> str | None:
    """Return the proxy's address, ``none`` for never one, None to go by the environment."""
    proxy = reader.text("proxy")
    if not proxy or proxy.lower() == NEVER:
        return NEVER if proxy else None
    problem = proxy_problem(proxy)
    if problem:
        raise reader.wrong("proxy", f"{problem}; {NEVER!r} uses none, also not that of the environment")
    return proxy


def _shown(address: str) -> str:
    return address.rpartition("@")[2]
