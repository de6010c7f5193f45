"""The loggers of the SDK, which write to stderr by themselves unless they are kept from it."""

from __future__ import annotations

import logging


def hush() -> None:
    """Keep the SDK from printing signatures, tokens and whole answers. To be called once its modules are imported."""
    for name, level in (
        ("darabonba-core", logging.WARNING),
        ("alibabacloud-tea", logging.WARNING),
        ("apscheduler", logging.ERROR),
        ("credentials", logging.CRITICAL + 1),  # the addresses of its warnings hold tokens; errors say what happened
    ):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(level)
