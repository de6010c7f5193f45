"""The newest backup that is what is asked for, and in words why there is none. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_dds.waiting.inventory.backup import Backup, BackupState
from airflow_provider_dds.waiting.inventory.freshness import span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_provider_dds.waiting.inventory.freshness import Freshness

_MOST_NAMED = 3


def newest_fit(backups: Sequence[Backup], asked: Freshness, now: float) -> Backup | None:
    """Return the newest backup that is what is asked for.

    :param backups: the newest first.
    :param now: epoch seconds.
    """
    counted = [each for each in backups if asked.counts(each)]
    return next((each for each in counted if asked.why_not(each, counted, now) is None), None)


def newest_good(backups: Sequence[Backup], asked: Freshness) -> Backup | None:
    """Return the newest good backup of those that are asked for, whatever its age."""
    return next((each for each in backups if asked.counts(each) and each.good), None)


def not_good_since(backups: Sequence[Backup], asked: Freshness) -> list[Backup]:
    """Return the backups after the newest good one, or all where there is none: what runs, failed or is not whole."""
    counted = [each for each in backups if asked.counts(each)]
    newest = newest_good(backups, asked)
    return counted if newest is None else counted[: counted.index(newest)]


def why_none_fits(
    backups: Sequence[Backup], asked: Freshness, now: float, *, since: float, next_due: datetime | None = None
) -> list[str]:
    """Return in words the newest good backup, what was made since, what runs, and when the next one is due.

    :param since: seconds before now from which on they are listed.
    :param next_due: when the schedule makes the next one.
    """
    counted = [each for each in backups if asked.counts(each)]
    newest, later = newest_good(backups, asked), not_good_since(backups, asked)
    if newest is None:
        left_out = next((each for each in backups if each.good and each not in counted), None)
        said = [f"no good backup has begun in the last {span(since)}"]
        if left_out is not None:
            said = [f"the newest good backup, {name_of(left_out)}, is left out by backup_modes or backup_methods"]
    else:
        said = [f"the newest good backup, {name_of(newest)}, {asked.why_not(newest, counted, now)}"]
    said += [f"running now: {name_of(each)}" for each in later if each.state is BackupState.RUNNING][:1]
    bad = [f"{name_of(each)} {each.why_not}" for each in later if each.state is not BackupState.RUNNING]
    if bad:
        more = f" and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
        said.append(f"{'since then' if newest else 'not good'}: {', '.join(bad[:_MOST_NAMED])}{more}")
    if next_due is not None:
        said.append(f"the next automatic one is due at {next_due:%Y-%m-%d %H:%M UTC}")
    return said


def name_of(backup: Backup) -> str:
    """Return a backup as the console shows it: ``5664 (Automated, 2026-01-02 03:10 UTC)``."""
    began = backup.start_time.strftime("%Y-%m-%d %H:%M UTC") if backup.start_time else "start unknown"
    name = backup.backup_id or f"job {backup.backup_job_id}"
    return f"{name} ({backup.backup_mode or 'mode unknown'}, {began})"
