"""Reading the parameters of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .clock import MINUTE_FORMAT, SECOND_FORMAT, parse_utc
from .errors import malformed, missing_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping


class Params:
    """A request's parameters; an empty value counts as none.

    :param values: names and values as sent
    :param missing: how a missing one is refused, a value of ``Readings.missing_parameter``
    """

    def __init__(self, values: Mapping[str, str], missing: str) -> None:
        self._values = values
        self._missing = missing

    def get(self, name: str) -> str | None:
        """Return a value without surrounding blanks, None when there is none."""
        return self._values.get(name, "").strip() or None

    def require(self, name: str) -> str:
        """Return a value that must be there."""
        value = self.get(name)
        if value is None:
            raise missing_parameter(name, self._missing)
        return value

    def listed(self, name: str) -> set[str] | None:
        """Return the items of a comma list."""
        value = self.get(name)
        return None if value is None else {item.strip() for item in value.split(",") if item.strip()}

    def integer(self, name: str) -> int | None:
        """Return a whole number."""
        value = self.get(name)
        if value is None:
            return None
        try:
            return int(value)
        except ValueError:
            raise malformed(name) from None

    def boolean(self, name: str) -> bool:
        """Return a truth value; False when there is none."""
        value = (self.get(name) or "false").lower()
        if value not in ("true", "false"):
            raise malformed(name)
        return value == "true"

    def minute(self, name: str) -> float | None:
        """Return a moment written to the minute, in epoch seconds."""
        value = self.get(name)
        return None if value is None else _moment(name, value, MINUTE_FORMAT)

    def second(self, name: str) -> float:
        """Return a moment written to the second, in epoch seconds; it must be there."""
        return _moment(name, self.require(name), SECOND_FORMAT)


def _moment(name: str, value: str, layout: str) -> float:
    moment = parse_utc(value, layout)
    if moment is None:
        raise malformed(name)
    return moment
