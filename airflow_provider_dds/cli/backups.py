"""``airflow dds backups``: the backups of an instance, and whether they are good."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_dds.cli.connections import hook_of
from airflow_provider_dds.cli.output import print_rows
from airflow_provider_dds.cli.spans import span_in
from airflow_provider_dds.exceptions import DdsConfigurationError, DdsError

if TYPE_CHECKING:
    import argparse

    from airflow_provider_dds.waiting.inventory.backup import Backup

GOOD, NONE_GOOD, NOT_KNOWN = 0, 1, 2


def run(args: argparse.Namespace) -> NoReturn:
    """List them, and end with a status that scripts can use: 0 for a good one, 1 for none, 2 where nobody knows.

    :param args: the command line, as :mod:`airflow_provider_dds.cli.definition` has it.
    """
    try:
        with redirect_stdout(sys.stderr):  # to which Airflow 2 and 3.0 log
            since = moment(args.since, datetime.now(timezone.utc))
            backups = hook_of(args).list_backups(args.db_instance_id, since=since)
    except DdsError as error:
        print(error, file=sys.stderr)
        sys.exit(NOT_KNOWN)
    print_rows([row(each) if args.output == "table" else each.to_dict() for each in backups], args.output)
    if not backups:
        print(f"{args.db_instance_id} has no backup that began since {since:%Y-%m-%d %H:%M} UTC.", file=sys.stderr)
    sys.exit(GOOD if any(each.good for each in backups) else NONE_GOOD)


def moment(since: str, now: datetime) -> datetime:
    """Return the time that ``--since`` means.

    :param since: a span such as ``24h``, ``7d`` or ``90m``, or a time in ISO 8601 with its zone.
    :param now: the present.
    :raises DdsConfigurationError: it is neither.
    """
    try:
        if span := span_in(since):
            return now - span
        found = datetime.fromisoformat(since.strip().replace("Z", "+00:00"))
    except (ValueError, OverflowError):
        found = datetime.min
    if found.tzinfo is None:
        raise DdsConfigurationError(
            f"--since is {since!r}. Give a span such as 24h, 7d or 90m, or a time with its zone such as "
            "2026-01-01T00:00:00Z."
        )
    return found


def row(backup: Backup) -> dict[str, Any]:
    """Return a backup as a line of the table."""
    return {
        "began (UTC)": f"{backup.start_time:%Y-%m-%d %H:%M}" if backup.start_time else "?",
        "good": "yes" if backup.good else "no",
        "why not": backup.why_not or "",
        "mode": backup.backup_mode or "?",
        "method": backup.backup_method or "?",
        "size": _size(backup.size_bytes),
        "expires": f"{backup.expire_time:%Y-%m-%d}" if backup.expire_time else "?",
        "job": backup.backup_job_id or "",
        "set": backup.backup_id or "",
    }


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "?"
    size, unit = float(size_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
