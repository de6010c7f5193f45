"""Words that mean no good, and what no line may hold of them."""

from __future__ import annotations

import json
import logging
from typing import Any

EVIL = "evil\r\n::group::evil\x1b[2J\x9b1mevil\u2028evil\u202eevil\u2066\x00\x85\ufeff\n##[group]evil\n"
MOST = 3000
"""Characters of an error's text: the advice, and a handful of words of others."""


class Lines(logging.Handler):
    """Keeps what this package and those below it log, record by record."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(("airflow_provider_dds.emulator", "uvicorn")):
            self.said.append(record.getMessage())


def harmful(text: str) -> list[str]:
    """Return what a text holds that no line may."""
    parts = ["\r", "\x1b[2J", "\x9b", "\u2028", "\u202e", "\u2066", "\x00", "\x85", "\ufeff", "::group::", "##["]
    return [part for part in [*parts, "\n"] if part in text]


def assert_harmless(*values: Any) -> None:
    """Look into texts, errors with their fields, and whatever JSON holds."""
    for value in values:
        if isinstance(value, BaseException):
            assert_harmless(str(value), vars(value), *value.args)
            shown_too = value.__cause__ or (None if value.__suppress_context__ else value.__context__)
            assert_harmless(*([shown_too] if shown_too else []))
        else:
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            assert harmful(shown) == []
            assert len(shown) < MOST
