"""What can go wrong between client and service, as plain data: the way that calls take, and what befalls them there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hypothesis import strategies as st

from tests.support.hostile_answers import TLS_TWISTS, TWISTS, error_in_200, odd, redirect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.hostile_front import Twist

Way = Literal["plain", "tls", "direct", "excepted", "forward", "tunnel"]
WAYS: tuple[Way, ...] = ("plain", "tls", "direct", "excepted", "forward", "tunnel")
OVER_TLS: tuple[Way, ...] = ("tls", "direct", "excepted", "tunnel")
PROXIED: tuple[Way, ...] = ("forward", "tunnel")
SOURCE = "the credential source"
"""What stands for the action of a request to it."""


@dataclass(frozen=True)
class WirePlan:
    """How calls get to the service. A proxy that must not be asked is offered wherever none, or another one, is named.

    :ivar way: ``plain`` HTTP or ``tls`` to a loopback address; TLS to a name, ``direct``-ly since extra ``proxy`` is
        ``none``, or since NO_PROXY has it ``excepted``; or HTTP that a proxy ``forward``-s, TLS that it ``tunnel``-s.
    :ivar proxy_by: what names the proxy.
    :ivar login: whether the proxy asks for a password, which the address has.
    :ivar source: where the credential comes from: a credentials ``uri``, or ``sts``, for a role; None: it is a key.
    :ivar neighbour: whether another connection to the same host is used, too, which its own settings forbid.
    :ivar crowd: whether many calls of another connection hang beside a call of this one.
    """

    way: Way = "plain"
    proxy_by: Literal["extra", "environment"] = "extra"
    login: bool = False
    source: Literal["uri", "sts"] | None = None
    neighbour: bool = False
    crowd: bool = False


@dataclass(frozen=True)
class Places:
    """Where a redirect may lead.

    :ivar trap: address of a host that nobody may talk to.
    :ivar dead: one where nobody listens.
    :ivar here: the service's own.
    """

    trap: str
    dead: str
    here: str


@dataclass(frozen=True)
class WireFault:
    """Something that befalls a call on its way.

    :ivar meaning: what a caller may make of it: the answer ``passes``; the fate of the request is not known (``lost``);
        it certainly never left (``unsent``); it was ``throttled`` or ``denied``.
    :ivar twist: what the service's front does; None: it befalls the proxy.
    :ivar tunnel: what the proxy does with a CONNECT.
    :ivar ways: where it can happen.
    :ivar endless: whether nothing but the call's deadline ends it.
    """

    meaning: Literal["passes", "lost", "unsent", "throttled", "denied"]
    twist: Callable[[Places], Twist] | None = None
    tunnel: Literal["closed", "half", "hang", "die"] | int | None = None
    ways: tuple[Way, ...] = WAYS
    endless: bool = False

    @property
    def fresh(self) -> bool:
        """Whether it befalls new connections only."""
        return self.meaning == "unsent"


def _always(twist: Twist) -> Callable[[Places], Twist]:
    return lambda _: twist


def _on_any_wire() -> dict[str, WireFault]:
    endless = ("hangs", "hangs_once_executed", "hangs_in_the_body", "drips", "head_drips")
    passes = ("passes_chunked", "passes_after_100", "passes_twice", "comes_after_103")
    left_out = ("passes", "body_without_end")  # whose 32 MiB take a tenth of a second
    return {
        name: WireFault("passes" if name in passes else "lost", _always(twist), endless=name in endless)
        for name, twist in TWISTS.items()
        if name not in left_out
    }


def _in_tls() -> dict[str, WireFault]:
    return {
        name: WireFault("unsent" if twist.handshake else "lost", _always(twist), ways=OVER_TLS)
        for name, twist in TLS_TWISTS.items()
    }


def _odd_bodies() -> dict[str, WireFault]:
    lost = [(200, "list"), (200, "text"), (200, "not_utf8"), (200, "deep"), (200, "xml")]
    lost += [(408, "html"), (499, "empty"), (500, "html"), (503, "xml"), (504, "html")]
    throttled = [(429, "html"), (429, "empty"), (429, "xml"), (429, "list")]
    denied = [(401, "html"), (403, "html"), (403, "empty")]
    return {
        **{f"{body}_{status}": WireFault("lost", _always(odd(status, body))) for status, body in lost},
        **{f"{body}_{status}": WireFault("throttled", _always(odd(status, body))) for status, body in throttled},
        **{f"{body}_{status}": WireFault("denied", _always(odd(status, body))) for status, body in denied},
        "html_407": WireFault("denied", _always(odd(407, "html")), ways=("forward",)),
    }


def _errors_in_200() -> dict[str, WireFault]:
    executed = error_in_200("InternalError", delivered=True, Success=False)
    return {
        "throttled_in_200": WireFault("throttled", _always(error_in_200("Throttling.User", Success=False))),
        "throttled_in_200_by_its_code": WireFault("throttled", _always(error_in_200("Throttling"))),
        "denied_in_200": WireFault("denied", _always(error_in_200("Forbidden.RAM", Success=False))),
        "unavailable_in_200": WireFault("lost", _always(error_in_200("ServiceUnavailable", Success=False))),
        "unavailable_in_200_once_executed": WireFault("lost", _always(executed)),
    }


def _redirects() -> dict[str, WireFault]:
    return {
        "redirect_302_to_a_trap": WireFault("lost", lambda places: redirect(302, f"http://{places.trap}/")),
        "redirect_307_to_a_trap": WireFault("lost", lambda places: redirect(307, f"http://{places.trap}/")),
        "redirect_308_to_a_trap": WireFault("lost", lambda places: redirect(308, f"https://{places.trap}/")),
        "redirect_307_to_a_dead_port": WireFault("lost", lambda places: redirect(307, f"http://{places.dead}/")),
        "redirect_307_in_a_loop": WireFault("lost", lambda places: redirect(307, places.here)),
    }


def _in_tunnels() -> dict[str, WireFault]:
    fates: tuple[Literal["closed", "half", "hang", "die"] | int, ...] = (403, 407, 503, "closed", "half", "hang", "die")
    return {
        f"tunnel_{fate}": WireFault("unsent", tunnel=fate, ways=("tunnel",), endless=fate == "hang") for fate in fates
    }


WIRE_FAULTS: dict[str, WireFault] = {
    **_on_any_wire(),
    **_in_tls(),
    **_odd_bodies(),
    **_errors_in_200(),
    **_redirects(),
    **_in_tunnels(),
}
_OF_ANY_SOURCE = ("hangs", "drips", "dropped", "reset", "html_500", "redirect_307_to_a_trap", "cut_in_the_body")
SOURCE_FAULTS = {"uri": _OF_ANY_SOURCE, "sts": (*_OF_ANY_SOURCE, *TLS_TWISTS)}
"""What befalls a credential source, too; each passes, and the call is not sent until it has."""


def meaning(fault: str | None) -> str | None:
    """Return what a caller may make of a fault; None if it is none of the wire's."""
    return WIRE_FAULTS[fault].meaning if fault in WIRE_FAULTS else None


def meaning_one_of(*meanings: str) -> tuple[str, ...]:
    """Return the names of the wire's faults with one of some meanings."""
    return tuple(name for name, fault in WIRE_FAULTS.items() if fault.meaning in meanings)


plans = st.builds(
    WirePlan,
    way=st.sampled_from(WAYS),
    proxy_by=st.sampled_from(["extra", "environment"]),
    login=st.booleans(),
    source=st.sampled_from([None, None, "uri", "sts"]),
    neighbour=st.booleans(),
    crowd=st.sampled_from([False] * 9 + [True]),
)
