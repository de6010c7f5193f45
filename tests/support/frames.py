"""What the frames that an exception keeps would show: debuggers, Sentry and rich tracebacks print their variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


def secrets_in_frames(error: BaseException, *secrets: str) -> list[str]:
    """Return where an exception, or one that it keeps as cause or context, holds one of some secrets.

    Looks into the text and the arguments of the exceptions, and into the variables of the frames of their tracebacks
    that are code of this package or of what it calls: not into those of tests.
    """
    found = []
    for each in _chain(error):
        for secret in secrets:
            if secret in str(each) or secret in repr(each.args):
                found.append(f"{type(each).__name__} says {secret!r}")
        for frame in _frames(each.__traceback__):
            code = frame.f_code
            if "/tests/" in code.co_filename:
                continue
            found += [
                f"{code.co_filename}:{code.co_name}: {name} holds {secret!r}"
                for name, value in frame.f_locals.items()
                for secret in secrets
                if secret in shown(value)
            ]
    return found


def shown(value: Any) -> str:
    """Return what a debugger would print of a variable."""
    try:
        return repr(value) if not isinstance(value, (bytes, bytearray)) else bytes(value).decode("latin-1")
    except Exception:
        return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        todo += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]


def _frames(traceback: TracebackType | None) -> Iterator[Any]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next
