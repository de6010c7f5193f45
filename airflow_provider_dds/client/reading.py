"""How fields of an Airflow connection are read: what is wrong with one is said with its name and the fix. Pure."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.client.fields import FIELDS
from airflow_provider_dds.exceptions import DdsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINES = re.compile(r"[\t\r\n]")
_NOT_JSON = object()


class FieldReader:
    """Reads fields of a connection; its errors name the connection, the field and the fix, never a secret.

    :param conn_id: id of the connection.
    :param extra: its extra, JSON text.
    :raises DdsConfigurationError: the extra is no JSON object.
    """

    def __init__(self, conn_id: str, extra: str | None) -> None:
        self.conn_id = conn_id
        self.extra = self._parsed(extra)

    def wrong(self, name: str, why: str) -> DdsConfigurationError:
        """Return the error for a field."""
        return DdsConfigurationError(f"Connection {self.conn_id!r}, field {name!r}: {why}.")

    def text(self, name: str) -> str:
        """Return a field of the extra without the white space around it; empty where it is absent."""
        value = self.extra.get(name)
        if value is None:
            return ""
        if isinstance(value, (dict, list)):
            if name == "policy":
                return json.dumps(value)
            raise self.wrong(name, "it must be text")
        return self.plain(name, _LINES.sub(" ", str(value)) if name == "policy" else str(value))

    def plain(self, name: str, value: str | None) -> str:
        """Return a text without white space around it, once all of it prints: what is pasted may hold unseen marks."""
        clean = (value or "").strip()
        place = next((place for place, character in enumerate(clean, 1) if not character.isprintable()), None)
        if place is not None:
            raise self.wrong(name, f"character {place} of it (U+{ord(clean[place - 1]):04X}) does not print; retype it")
        return clean

    def one_of(self, name: str) -> str:
        """Return a field of the extra that is a choice; empty where it is absent."""
        value = self.text(name)
        if value and value not in FIELDS[name].words:
            raise self.wrong(name, f"{value!r} is none of {', '.join(FIELDS[name].words)}")
        return value

    def number(self, name: str) -> float:
        """Return a field of the extra that is a number within its bounds, as such or as text; or its default."""
        value, field = self.text(name), FIELDS[name]
        if not value:
            return float(field.default or 0)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise self.wrong(name, f"{value!r} is not a number")
        if not field.least <= number <= field.most:
            is_little = number < field.least
            bound = f"little; the least is {field.least:g}" if is_little else f"much; the most is {field.most:.15g}"
            raise self.wrong(name, f"{value} is too {bound}")
        return number

    def flag(self, name: str) -> bool:
        """Return whether a field of the extra says yes."""
        return self.text(name).lower() in ("true", "1", "yes")

    def _parsed(self, extra: str | None) -> Mapping[str, Any]:
        fields = _json(extra) if extra and extra.strip() else {}
        if isinstance(fields, dict):
            return fields
        raise self.wrong("extra", "it is not JSON" if fields is _NOT_JSON else "it must be a JSON object")


def _json(text: str) -> Any:
    """Return what a text stands for; the error of one that is no JSON would show it, as the context of ours, too."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOT_JSON
