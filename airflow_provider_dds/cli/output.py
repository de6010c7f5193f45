"""What the commands print: a table for people, JSON or YAML for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 200
"""Columns of a table that is not printed to a terminal."""


def print_rows(rows: Sequence[dict[str, Any]], output: str) -> None:
    """Print rows to standard output.

    :param rows: plain JSON, with the same keys each.
    :param output: ``table``, ``json`` or ``yaml``.
    """
    if output == "json":
        print(json.dumps(rows, indent=2))
    elif output == "yaml":
        import yaml  # type: ignore[import-untyped]  # Airflow depends on it, and on no types of it

        print(yaml.safe_dump(list(rows), sort_keys=False), end="")
    elif rows:
        from rich.box import ASCII_DOUBLE_HEAD
        from rich.console import Console
        from rich.table import Table

        table = Table(*rows[0], box=ASCII_DOUBLE_HEAD, show_edge=False)
        for each in rows:
            table.add_row(*map(str, each.values()))
        Console(width=None if sys.stdout.isatty() else WIDTH, markup=False, highlight=False).print(table)
