"""What no text may show: the forms of a secret, and the words of others without them.

Whoever answers (service, STS, metadata service, proxy) chooses its words: a newline could forge a log line, a control
sequence could repaint a terminal, a log command could fold the log away, and a message may hold megabytes or the secret
that it was sent.
"""

from __future__ import annotations

import base64
import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_plus, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = 500
"""Characters that are shown of what somebody else says."""
MASK = "***"
LEAST_LENGTH = 8
"""Parts of an address that are shorter are no secrets: to mask ``backup`` or ``json`` would spoil every log."""
LEAST_SEGMENT = 16
"""Likewise for one step of its path, such as ``credentials``."""
_AS_GIVEN = "!#$%&'()*+,/:;=?@[]~"
_HARMLESS_SPACES = "\u00a0\u3000"
_SHOWS_SIGNATURE = re.compile(r"[.,;]?\s*(server\s+)?string to sign.*", re.IGNORECASE | re.DOTALL)
_LOG_COMMAND = re.compile(r"::(?=[a-z][\w-]*( [^:]*=[^:]*)?::)|##(?=\[)", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9_.-]*")
_PERCENT = re.compile("%[0-9A-F]{2}")


def escaped(text: object, secrets: Iterable[str] = (), limit: int = LIMIT) -> str:
    """Return what somebody else says as a line that is safe to log, raise, store and link to.

    Secrets are masked, what the service quotes of a signature is left out, characters that do not print (controls,
    line separators, marks of writing direction) are written as escapes, log commands such as ``::group::`` are taken
    apart, and what is longer than the limit is cut, with a mark that says how long it was. The work does not grow with
    the text.

    :param text: any value; None gives an empty text.
    :param secrets: what must not be shown, in none of its :func:`forms`.
    :param limit: most characters of the line.
    """
    whole = "" if text is None else str(text)
    if not secrets and _PLAIN.fullmatch(whole) and len(whole) <= limit:
        return whole  # as ids and words of the service are: what follows would be a fortieth of what a poll costs
    hidden = forms_of_all(secrets)
    longest = len(hidden[0]) if hidden else 0
    head = whole[: limit + longest]
    for form in hidden:
        head = head.replace(form, MASK)
    if len(whole) > limit + longest:
        head = head[: len(head) - longest]  # the beginning of a secret that ends beyond it
    shown = _SHOWS_SIGNATURE.sub("", head).strip()
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(map(_visible, shown))
    shown = _LOG_COMMAND.sub(lambda found: " ".join(found.group()), shown)
    if len(whole) <= limit + longest and len(shown) <= limit:
        return shown
    mark = f"... (cut, {len(whole)} characters)"
    return shown[: limit - len(mark)] + mark


def forms(secret: str) -> tuple[str, ...]:
    """Return a secret as an address, JSON, HTML or a header may show it: itself, quoted, decoded.

    :param secret: a password, key, token or address; an empty one has no forms.
    """
    quoted = (quote(secret, safe=""), quote(secret), quote_plus(secret), as_sent(secret))
    decoded = (unquote(secret), unquote_plus(secret))
    found = [
        *(secret, *quoted, *decoded),
        *(_PERCENT.sub(lambda code: code.group().lower(), each) for each in quoted),
        *(quote(each, safe="") for each in quoted),  # as in the text that is signed
        *(json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], secret.replace("/", r"\/")),
        *(html.escape(secret), html.escape(secret, quote=False)),
        *(base64.b64encode(each.encode(errors="replace")).decode() for each in (secret, unquote(secret))),
    ]
    return tuple(dict.fromkeys(each for each in found if each))


def forms_of_all(secrets: Iterable[str]) -> list[str]:
    """Return the forms of some secrets, the longest first, so that no form within another leaves a rest of it."""
    return sorted(dict.fromkeys(form for secret in secrets for form in forms(secret)), key=len, reverse=True)


def secrets_of_address(address: str) -> tuple[str, ...]:
    """Return what is secret of an address that is itself one: the whole, and the parts that a log may show."""
    try:
        parts = urlsplit(address)
        values = parse_qsl(parts.query)
    except ValueError:
        return (address,)
    user_info = parts.netloc.rpartition("@")[0]
    found = [
        parts.path + (f"?{parts.query}" if parts.query else ""),
        *(parts.path, parts.query),
        *(user_info, user_info.partition(":")[2]),
        *(value for _, value in values),
        *(pair.partition("=")[2] for pair in parts.query.split("&")),
    ]
    long_ones = [part for part in found if len(part) >= LEAST_LENGTH]
    long_ones += [segment for segment in parts.path.split("/") if len(segment) >= LEAST_SEGMENT]
    return tuple(dict.fromkeys(part for part in (address, *long_ones) if part))


def secrets_of_proxy(address: str) -> tuple[str, ...]:
    """Return what is secret of a proxy's address, whatever is wrong with it: the password, and with it the user.

    HTTP's Basic scheme sends both as one. Instead of a password a user may be the token.
    """
    user_info = (address.partition("://")[2] or address).rpartition("@")[0]
    user, _, password = user_info.partition(":")
    if password:
        return tuple(dict.fromkeys((password, user_info, unquote(password), unquote(user_info))))
    return (user, f"{user}:") if len(user) >= LEAST_LENGTH else ()


def as_sent(part: str) -> str:
    """Return a path or query with what no address may hold percent-encoded, and all else as it is."""
    return quote(part, safe=_AS_GIVEN)


def _visible(character: str) -> str:
    if character.isprintable() or character in _HARMLESS_SPACES:
        return character
    return character.encode("unicode_escape").decode()
