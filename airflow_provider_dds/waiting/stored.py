"""What a process left for a later one, as plain JSON, read back with its types checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

from airflow_provider_dds.exceptions import DdsConfigurationError
from airflow_provider_dds.waiting.records import is_seconds

T = TypeVar("T")


def _is_whole(value: Any) -> bool:
    return is_seconds(value) and isinstance(value, int)


def _is_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)


_KINDS: dict[Any, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (_is_whole, "a whole number from 0 on"),
    float: (is_seconds, "a number from 0 on"),
    str: (lambda value: isinstance(value, str), "text"),
    int | None: (lambda value: value is None or _is_whole(value), "a whole number from 0 on, or null"),
    float | None: (lambda value: value is None or is_seconds(value), "a number from 0 on, or null"),
    tuple[str, ...]: (_is_texts, "a list of texts"),
}


def from_stored(kind: type[T], data: Any, what: str) -> T:
    """Return the dataclass that stored JSON stands for; a field that is missing has its default.

    :param kind: a dataclass of numbers, flags, texts and lists of texts.
    :param data: what was stored.
    :param what: the name of what was stored, for the text of an error.
    :raises DdsConfigurationError: it is of another version, or was not stored by this package.
    """
    if not isinstance(data, Mapping):
        raise DdsConfigurationError(f"{what} is {str(data)[:100]!r}, not an object; this version cannot read it.")
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # mypy has no bound for dataclasses here
    if unknown := sorted(str(name) for name in data if name not in names):
        raise DdsConfigurationError(f"{what} has the unknown field {', '.join(unknown)}; this version cannot read it.")
    for name in data:
        fits, words = _KINDS[hints[name]]
        if not fits(data[name]):
            raise DdsConfigurationError(
                f"{what} has {str(data[name])[:100]!r} as {name}, which has to be {words}; this version cannot read it."
            )
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()})
