"""What the docstring of something public has to say, and what one leaves out."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GIVES = re.compile(r":return|\b(return|yield|give|whether)", re.IGNORECASE)
LIKE = re.compile(r"Like :meth:`(\w+)`")
CALLS_THE_API = re.compile(r"\boperations\.(?!describe_regions)")
API_PAGE = re.compile(r"https://www\.alibabacloud\.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-\w+")
IS_A_TIME = re.compile(
    r"(^|_)(after|at|deadline|elapsed|expiration|grace|interval|left|now|period|seconds|since|time|timeout|until|wait)$"
)
UNIT = re.compile(r"\b(seconds?|minutes?|hours?|days?|timedelta|UTC)\b")


def missing_in_class(cls: type, template_fields: tuple[str, ...] = ()) -> list[str]:
    """Return what the docstring of a class leaves out. It documents the constructor's arguments, too.

    A dataclass shows its fields, which are its arguments, by itself.
    """
    text = own_docstring(cls)
    if not text:
        return ["a docstring"]
    constructor = None if dataclasses.is_dataclass(cls) else vars(cls).get("__init__")
    missing = [] if constructor is None else list(_of_arguments(constructor, text, template_fields))
    for name, member in _own_members(cls).items():
        if not name.startswith("_") and (function := _function_of(member)) is not None:
            missing += [f"{name}: {each}" for each in _of_method(cls, member, function)]
    return missing


def missing_in_function(function: Callable[..., Any]) -> list[str]:
    """Return what the docstring of a function leaves out."""
    text = own_docstring(function)
    if not text:
        return ["a docstring"]
    return [*_of_arguments(function, text), *_of_result(function, text), *_of_errors(function, text)]


def own_docstring(documented: Any) -> str:
    """Return a docstring without its indentation; empty where there is only that of a base class."""
    return inspect.cleandoc(documented.__doc__ or "")


def _own_members(cls: type) -> dict[str, Any]:
    """Return what a class has from its own package, its private base classes included."""
    package = cls.__module__.partition(".")[0]
    bases = [each for each in reversed(cls.__mro__) if each.__module__.partition(".")[0] == package]
    return {name: member for each in bases for name, member in vars(each).items()}


def _function_of(member: Any) -> Callable[..., Any] | None:
    if isinstance(member, property):
        return member.fget
    if isinstance(member, (classmethod, staticmethod)):
        return member.__func__
    return member if inspect.isfunction(member) else None


def _of_method(cls: type, member: Any, function: Callable[..., Any]) -> list[str]:
    text = own_docstring(function)
    if isinstance(member, property):
        return [] if text else ["a docstring"]
    if twin := LIKE.match(text):
        return _of_twin(function, getattr(cls, twin.group(1), None))
    missing = missing_in_function(function)
    if issubclass(cls, BaseHook) and CALLS_THE_API.search(inspect.getsource(function)):
        missing += [] if API_PAGE.search(text) else ["the page of the API"]
        missing += [] if ":raises " in text else [":raises"]
    return missing


def _of_twin(function: Callable[..., Any], twin: Any) -> list[str]:
    """Return what stays open when a docstring leaves all else to that of another method."""
    if twin is None:
        return ["the method that it is like"]
    documented = own_docstring(twin)
    return [] if "Like :meth:" not in documented and not list(_of_arguments(function, documented)) else ["arguments"]


def _of_arguments(function: Any, text: str, template_fields: tuple[str, ...] = ()) -> Iterator[str]:
    arguments = [each for each in inspect.signature(function).parameters.values() if each.name not in ("self", "cls")]
    said = dict(re.findall(r"^:(?:param|ivar) (\w+):(.*?)(?=^:|^\.\. |^$|\Z)", text, re.DOTALL | re.MULTILINE))
    for argument in arguments:
        name = argument.name
        if name not in said:
            if argument.kind is not argument.VAR_KEYWORD:
                yield f":param {name}:"
        elif name in template_fields and "(templated)" not in said[name]:
            yield f"(templated) of {name}"
        elif IS_A_TIME.search(name) and not UNIT.search(said[name]):
            yield f"the unit of {name}"
    if not any(argument.kind is argument.VAR_KEYWORD for argument in arguments):
        for name in re.findall(r"^:param (\w+):", text, re.MULTILINE):
            if name not in {argument.name for argument in arguments}:
                yield f"an argument {name}, which it documents"


def _of_result(function: Callable[..., Any], text: str) -> list[str]:
    nothing = inspect.signature(function).return_annotation in (None, "None")
    return [] if nothing or GIVES.search(text) else ["what it returns"]


def _of_errors(function: Callable[..., Any], text: str) -> Iterator[str]:
    """Yield the errors that a function raises by itself, but does not name."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if isinstance(node, ast.Raise) and node.exc is not None:
            made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = made.id if isinstance(made, ast.Name) and made.id[0].isupper() else ""
            if f":raises {name}" not in text:
                yield f":raises {name or '...'}:"
