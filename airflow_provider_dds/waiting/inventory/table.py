"""An audit as people read it: a table, and one text that names what does not hold. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_dds.waiting.inventory.freshness import span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_dds.waiting.inventory.audit import AuditRow

COLUMNS = ("instance", "ok", "age", "recovery lag", "kept", "logs", "next due (UTC)", "reasons")
_OK = {True: "yes", False: "NO", None: "?"}
_LOGS = {True: "yes", False: "no", None: "?"}
_LONGEST = 300
"""Characters that one text has of the reasons of an instance; the table and the row have all."""


def cells_of(row: AuditRow) -> dict[str, str]:
    """Return a row as the cells of the table, by their columns."""
    lag, days = row.recovery_lag_seconds, row.retention_days
    cells = (
        row.db_instance_id,
        _OK[row.ok],
        "?" if row.age_seconds is None else span(row.age_seconds),
        "?" if lag is None else span(lag),
        "?" if days is None else "for ever" if days < 0 else f"{days} days",
        _LOGS[row.log_backup],
        f"{row.next_due:%Y-%m-%d %H:%M}" if row.next_due else "?",
        "; ".join(row.reasons),
    )
    return dict(zip(COLUMNS, cells, strict=True))


def table_of(rows: Sequence[AuditRow]) -> list[str]:
    """Return the lines of a table, its head first."""
    lines = [COLUMNS, *(tuple(cells_of(row).values()) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS) - 1)]
    return ["  ".join([*map(str.ljust, line, widths), line[-1]]).rstrip() for line in lines]


def failure_of(rows: Sequence[AuditRow]) -> str | None:
    """Return in one text every instance that does not hold or is not known, with its reasons; None where all hold."""
    bad, unknown = ([row for row in rows if row.ok is ok] for ok in (False, None))
    said = []
    if bad:
        said.append(f"{len(bad)} of {len(rows)} instances do not hold what is asked of their backups: {_named(bad)}")
    if unknown:
        said.append(f"of {len(unknown)} of {len(rows)} instances it could not be found out: {_named(unknown)}")
    return f"{'. '.join(each[0].upper() + each[1:] for each in said)}." if said else None


def _named(rows: Sequence[AuditRow]) -> str:
    return "; ".join(f"{row.db_instance_id} ({_cut('; '.join(row.reasons).rstrip('.'))})" for row in rows)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
