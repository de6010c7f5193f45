"""Turning JSON into dataclasses, strictly, with errors that name the place."""

from __future__ import annotations

import math
import types
from dataclasses import MISSING, fields
from difflib import get_close_matches
from enum import Enum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_NAMES = {str: "text", bool: "true or false", int: "a whole number", float: "a number", type(None): "null"}


class InvalidInputError(ValueError):
    """JSON that does not fit; the text begins with the place, such as ``faults[0].times``."""


def build(cls: type[T], data: Any, place: str = "") -> T:
    """Build a dataclass from a JSON object whose members are its fields.

    :param cls: the dataclass
    :param data: the parsed JSON
    :param place: where ``data`` stands, for errors
    :raises InvalidInputError: a member is missing, unknown or of the wrong type, or the dataclass refuses it
    """
    if not isinstance(data, dict):
        raise InvalidInputError(f"{place or 'top level'}: must be an object, not {_shown(data)}")
    hints = get_type_hints(cls)
    known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]  # any dataclass will do
    for name in data:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise InvalidInputError(f"{_join(place, name)}: unknown field; {hint}")
    for name, item in known.items():
        if name not in data and item.default is MISSING and item.default_factory is MISSING:
            raise InvalidInputError(f"{_join(place, name)}: missing")
    values = {name: convert(hints[name], value, _join(place, name)) for name, value in data.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise InvalidInputError(_join(place, str(error))) from None


def convert(kind: Any, value: Any, place: str) -> Any:
    """Check a JSON value against a type and turn it into that type.

    :raises InvalidInputError: it does not fit
    """
    if kind is Any:
        return value
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        (inner,) = (item for item in get_args(kind) if item is not type(None))
        return None if value is None else convert(inner, value, place)
    if origin is Literal:
        if value in get_args(kind):
            return value
        choices = ", ".join(str(choice) for choice in get_args(kind))
        raise InvalidInputError(f"{place}: must be one of {choices}, not {_shown(value)}")
    if origin in (list, dict):
        return _filled(origin, get_args(kind)[-1], value, place)
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            choices = ", ".join(str(item.value) for item in kind)
            raise InvalidInputError(f"{place}: must be one of {choices}, not {_shown(value)}") from None
    if kind in _NAMES:
        return _plain(kind, value, place)
    return build(kind, value, place)


def _filled(origin: type, kind: Any, value: Any, place: str) -> Any:
    """Return a list, or an object with any names, whose items are all of one type."""
    if origin is list and isinstance(value, list):
        return [convert(kind, item, f"{place}[{index}]") for index, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {name: convert(kind, item, _join(place, name)) for name, item in value.items()}
    raise InvalidInputError(f"{place}: must be {'a list' if origin is list else 'an object'}, not {_shown(value)}")


def _plain(kind: type, value: Any, place: str) -> Any:
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if kind is not float and type(value) is kind:
        return value
    raise InvalidInputError(f"{place}: must be {_NAMES[kind]}, not {_shown(value)}")


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    return "null" if value is None else repr(value)
