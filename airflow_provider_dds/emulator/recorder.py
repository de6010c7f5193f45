"""The log of requests, for tests and people to look at; no secret, signature or token enters it."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_logger = logging.getLogger(__name__)

KEPT = 100_000
"""How many requests are kept; older ones are forgotten."""

_NOT_LOGGED = frozenset(
    {
        "AccessKeyId",
        "Action",
        "Format",
        "SecurityToken",
        "Signature",
        "SignatureMethod",
        "SignatureNonce",
        "SignatureType",
        "SignatureVersion",
        "BearerToken",
        "OIDCToken",
        "Timestamp",
        "Version",
    }
)


@dataclass(frozen=True)
class RecordedRequest:
    """A request that arrived, and what became of it."""

    sequence: int
    """1 for the first request since the start or the last reset."""
    time: float
    """When it arrived, in epoch seconds of the emulator's clock, without any skew."""
    request_id: str
    action: str | None
    params: dict[str, str]
    """Its parameters without the parts that sign or address it."""
    access_key_id: str | None = None
    user_agent: str | None = None
    status: int | None = None
    """HTTP status of the answer; None: not answered (yet)."""
    code: str | None = None
    """Error code of the answer."""
    executed: bool = False
    """Whether the service did what was asked."""
    fault: str | None = None
    """Kind of the fault it met."""

    def to_json(self) -> dict[str, Any]:
        """Return all fields as a JSON object."""
        return asdict(self)


class Recorder:
    """Keeps the last requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, RecordedRequest] = {}
        self._order: deque[str] = deque()
        self._last = 0

    def arrived(
        self,
        time: float,
        request_id: str,
        action: str | None,
        params: Iterable[tuple[str, str]],
        user_agent: str | None,
    ) -> None:
        """Log a request before anything is done about it."""
        shown = {name: value for name, value in params if name not in _NOT_LOGGED}
        with self._lock:
            self._last += 1
            self._by_id[request_id] = RecordedRequest(
                self._last, time, request_id, action, shown, user_agent=user_agent
            )
            self._order.append(request_id)
            if len(self._order) > KEPT:
                del self._by_id[self._order.popleft()]

    def saw(self, time: float, action: str, user_agent: str | None) -> None:
        """Log a request of another service than the database's, of which nothing more is noted."""
        self.arrived(time, str(uuid.uuid4()), action, (), user_agent)

    def note(self, request_id: str, **changes: Any) -> None:
        """Add what became of a request."""
        with self._lock:
            known = self._by_id.get(request_id)
            if known is not None:
                self._by_id[request_id] = replace(known, **changes)

    def log(self, request_id: str) -> None:
        """Write a request and what became of it to the program's log."""
        with self._lock:
            request = self._by_id.get(request_id)
        if request is not None:
            _logger.info(
                "%s %s: %s %s%s",
                request.action,
                request.params,
                request.status or "no answer",
                request.code or "",
                f" (fault {request.fault})" if request.fault else "",
            )

    def requests(self, action: str | None = None) -> list[RecordedRequest]:
        """Return the requests (of an action) in the order they came."""
        with self._lock:
            logged = [self._by_id[request_id] for request_id in self._order]
        return [request for request in logged if action is None or request.action == action]

    def clear(self) -> None:
        """Forget all requests; those under way stay out of the log, too."""
        with self._lock:
            self._by_id.clear()
            self._order.clear()
            self._last = 0
