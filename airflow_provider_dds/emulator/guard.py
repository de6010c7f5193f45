"""Who may steer an emulator: callers on this machine, and no page that a browser on it has open.

A page of anybody can send requests to an address of this machine (its browser adds an ``Origin``), and can make its own
name stand for such an address (then ``Host`` is that name).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping


def foreign_header(headers: Mapping[str, str], scheme: str, bound_host: str, arrived_at: str) -> str | None:
    """Return which header shows that a request comes from elsewhere, with its value; None if it may steer.

    :param headers: the request's headers; their names in lower case
    :param scheme: ``http`` or ``https``, by which the request came
    :param bound_host: host or address that the emulator listens on
    :param arrived_at: own address at which the request came in
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    name = _name(host)
    if not name or (name not in (_name(bound_host), _name(arrived_at)) and not _is_loopback(name)):
        return f"Host {host!r}"
    if origin is not None and origin.lower() != f"{scheme}://{host}".lower():
        return f"Origin {origin!r}"
    return None


def _name(host: str) -> str:
    """Return the name or address in ``name[:port]``, in the one way to write it; empty if there is none."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        parts = urlsplit(f"//{host}")
        name = "" if parts.username is not None or parts.path else parts.hostname or ""
        _ = parts.port
    except ValueError:
        return ""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.rstrip(".")


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
