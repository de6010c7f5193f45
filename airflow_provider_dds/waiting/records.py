"""What one process stores for a later one, read strictly: what is not understood is never used.

A deployment runs two releases for a while, and a store can be edited by hand: anything may be there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")

LATEST = 250_000_000_000.0
"""Epoch seconds in the year 9892: what is stored is times and spans, and none comes near."""


class UnreadableError(ValueError):
    """What is stored is not what this release stores; the text says what is wrong with it."""


def read(
    data: Any, shape: Mapping[str, str], version: int | None = None, *, optional: Collection[str] = ()
) -> dict[str, Any]:
    """Return the fields of what was stored, which must be those of a shape and no others.

    :param data: what was stored.
    :param shape: for each field its kind: ``text``, ``count``, ``seconds``, ``flag``, ``record``, ``texts``, with ``?``
        where it may be null.
    :param version: what its field ``version`` must hold; None where it has no such field.
    :param optional: fields that may be missing, as in what an older release stored.
    :return: the fields, without the version.
    :raises UnreadableError: it is something else.
    """
    if not isinstance(data, Mapping):
        raise UnreadableError(f"it is {_shown(data)}, not a record")
    if version is not None:
        if data.get("version") != version or isinstance(data["version"], bool):
            raise UnreadableError(f"its version is {_shown(data.get('version'))}; this release reads {version}")
        data = {name: value for name, value in data.items() if name != "version"}
    if unknown := [name for name in data if name not in shape]:
        raise UnreadableError(f"field {unknown[0]!r} is not known")
    for name, kind in shape.items():
        if name not in data and name in optional:
            continue
        if name not in data:
            raise UnreadableError(f"field {name!r} is missing")
        words, fits = _KINDS[kind.removesuffix("?")]
        if not (fits(data[name]) or (data[name] is None and kind.endswith("?"))):
            raise UnreadableError(f"field {name!r} is {_shown(data[name])}, not {words}")
    return dict(data)


def read_dataclass(kind: type[T], data: Any) -> T:
    """Return the dataclass that stored JSON stands for; a field that is missing has its default.

    :param kind: a dataclass of counts, spans, flags, texts and lists of texts, each with a default.
    :param data: what was stored.
    :raises UnreadableError: it is something else.
    """
    shape = shape_of((each.name, str(each.type)) for each in fields(kind))  # type: ignore[arg-type]  # no bound for it
    found = read(data, shape, optional=shape)
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in found.items()})


def shape_of(annotations: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the shape of fields or arguments, from their names and their annotations as text."""
    return {
        name: OF_TYPE[annotation.removesuffix(" | None")] + ("?" if annotation.endswith(" | None") else "")
        for name, annotation in annotations
    }


def _shown(value: Any) -> str:
    """Return a value in a few words, not whole: it may be long, or secret."""
    if value is None:
        return "null"
    return f"{value!r:.40}" if isinstance(value, (bool, int, float)) else f"a {type(value).__name__}"


def is_seconds(value: Any) -> bool:
    """Whether a value can be a time or a span in seconds."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= LATEST


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "text": ("text", lambda value: isinstance(value, str)),
    "count": ("a whole number from 0 on", lambda value: isinstance(value, int) and is_seconds(value)),
    "seconds": ("a time or span in seconds", is_seconds),
    "flag": ("true or false", lambda value: isinstance(value, bool)),
    "record": ("a record", lambda value: isinstance(value, Mapping)),
    "texts": (
        "a list of texts",
        lambda value: isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value),
    ),
}
OF_TYPE = {
    "str": "text",
    "int": "count",
    "float": "seconds",
    "bool": "flag",
    "dict[str, Any]": "record",
    "tuple[str, ...]": "texts",
}
