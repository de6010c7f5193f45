"""Spans and tags as a command line has them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_dds.exceptions import DdsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPAN = re.compile(r"(\d{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def span_in(text: str) -> timedelta | None:
    """Return the span that a text such as ``24h``, ``7d`` or ``90m`` is; None for any other text."""
    found = _SPAN.fullmatch(text.strip())
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


def span_of(option: str, text: str) -> float:
    """Return the seconds that an option asks for.

    :raises DdsConfigurationError: its text is no span.
    """
    span = span_in(text)
    if not span:
        raise DdsConfigurationError(f"{option} is {text!r}. Give a span such as 24h, 7d or 90m.")
    return span.total_seconds()


def tags_of(option: str, texts: Sequence[str]) -> dict[str, str] | None:
    """Return the tags that an option asks for, None for none.

    :raises DdsConfigurationError: one of them is no tag.
    """
    if wrong := [text for text in texts if not text.partition("=")[0] or "=" not in text]:
        raise DdsConfigurationError(f"{option} is {wrong[0]!r}. Give a tag such as env=prod.")
    return dict(text.split("=", 1) for text in texts) or None
