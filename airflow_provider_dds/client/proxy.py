"""Which proxy a request goes through: pure, by the connection's field and the environment."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_dds.exceptions import DdsConfigurationError
from airflow_provider_dds.masking import secrets_of_proxy

if TYPE_CHECKING:
    from collections.abc import Mapping

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA_HOST = "100.100.100.200"
"""The metadata service of an ECS instance; link-local in all but its number."""
NEVER = "none"
"""Value of the extra ``proxy`` that keeps a connection from using any."""
_ALL = "all_proxy"
_PORTS = {"http": 80, "https": 443}
_UNSUPPORTED = ("https", "socks", "socks4", "socks4a", "socks5", "socks5h")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")


def proxy_for(proxy: str | None, scheme: str, host: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy to ask for an address, ``http://[user:password@]name[:port]``, or None to go there directly.

    Loopback addresses and the metadata service are never asked through a proxy, whatever connection and environment
    say. A test that wants to see a proxy at work therefore calls a name that is no loopback one and that only its proxy
    resolves, such as ``mongodb.test``.

    The environment is read as curl, requests and Go read it: ``HTTPS_PROXY`` or ``HTTP_PROXY`` by the scheme, else
    ``ALL_PROXY``, each in lower case first; where ``REQUEST_METHOD`` is set, ``HTTP_PROXY`` is a header of somebody's
    request to a CGI script, and does not count. ``NO_PROXY`` lists names (with all below them), addresses and networks
    to go to directly, each with or without a port, or ``*``.

    :param proxy: the connection's extra ``proxy``: an address, ``none``, or None to go by the environment.
    :param scheme: ``https`` or ``http``, of the address that is to be asked.
    :param host: its name or IP address, with or without a port.
    :raises DdsConfigurationError: the value that counts is no proxy that this package can use; names the field or the
        variable, never the value.
    """
    name, port = _name_and_port(host)
    if _is_here(name) or (proxy or "").lower() == NEVER:
        return None
    if proxy:
        address, source, fix = proxy, "Connection field 'proxy'", ""
    else:
        variable = _variable((f"{scheme}_proxy", _ALL), environ)
        excepted = environ.get(_variable(("no_proxy",), environ) or "", "")
        if variable is None or _is_excepted(name, port or _PORTS[scheme], excepted):
            return None
        value = environ[variable].strip()
        address, source = value if "://" in value else f"http://{value}", f"Environment variable {variable}"
        fix = (
            " Correct it, name the host in NO_PROXY, or set the connection's extra proxy "
            f"(to {NEVER!r} to go there directly)."
        )
    problem = proxy_problem(address)
    if problem:
        raise DdsConfigurationError(f"{source}: {problem}.{fix}")
    return f"http://{urlsplit(address).netloc}"


def environment_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is secret of the proxies of the environment, whichever of them is used."""
    names = [name for lower in (*(f"{scheme}_proxy" for scheme in _PORTS), _ALL) for name in (lower, lower.upper())]
    return tuple(secret for name in names for secret in secrets_of_proxy(environ.get(name, "").strip()))


def proxy_problem(address: str) -> str | None:
    """Return why an address is not that of a proxy that this package can use, without showing it; None if it is."""
    wrong = "it must be http://[user:password@]host:port, with what is special in user and password percent-encoded"
    if _UNSAFE.search(address):
        return wrong
    try:
        parts = urlsplit(address)
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return wrong
    if parts.scheme in _UNSUPPORTED:
        return (
            f"a proxy that is itself spoken to by {parts.scheme} is not supported, only http:// ones are (https goes "
            "through them encrypted, by CONNECT)"
        )
    if parts.scheme != "http" or not is_address or parts.path not in ("", "/") or "?" in address or "#" in address:
        return wrong
    return None


def is_loopback(name: str) -> bool:
    """Whether a host name or IP address certainly stands for this machine."""
    address = _ip(name)
    return name.lower().rstrip(".") == "localhost" if address is None else address.is_loopback


def _is_here(name: str) -> bool:
    """Whether a name is of this machine, by any spelling, or the metadata service's."""
    if is_loopback(name) or name.endswith(".localhost"):
        return True
    address = _ip(name)
    if address is None:
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(name))  # 127.1, 0x7f000001 and the like, as resolvers do
        except (OSError, ValueError):
            return False
    return address.is_loopback or address.is_unspecified or str(address) == METADATA_HOST


def _variable(names: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    """Return the first variable that is set to something; one in lower case that is set to nothing hides the other."""
    for lower in names:
        name = lower if lower in environ else lower.upper()
        if environ.get(name, "").strip() and not (name == "HTTP_PROXY" and "REQUEST_METHOD" in environ):
            return name
    return None


def _is_excepted(name: str, port: int, no_proxy: str) -> bool:
    address = _ip(name)
    for entry in re.split(r"[\s,]+", no_proxy.lower()):
        if entry == "*":
            return True
        if "/" in entry and address is not None:
            try:
                if address in ipaddress.ip_network(entry, strict=False):
                    return True
            except ValueError:
                continue
        excepted, own_port = _name_and_port(entry)
        excepted = excepted.removeprefix("*").lstrip(".")
        if not excepted or own_port not in (None, port):
            continue
        if address is not None:
            if address == _ip(excepted):
                return True
        elif name == excepted or name.endswith(f".{excepted}"):
            return True
    return False


def _name_and_port(host: str) -> tuple[str, int | None]:
    """Return a host's name in lower case, without brackets and last dot, and its port."""
    name, colon, port = host.lower().rpartition(":")
    if not colon or not port.isdecimal() or (":" in name and not name.endswith("]")):  # none, or a bare IPv6 address
        name, port = host.lower(), ""
    return name.removeprefix("[").removesuffix("]").rstrip("."), int(port) if port else None


def _ip(name: str) -> Address | None:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
