"""``airflow dds audit``: whether each of many instances has a good backup that is new enough."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, NoReturn

from airflow_provider_dds import arguments
from airflow_provider_dds.cli.connections import hook_of
from airflow_provider_dds.cli.output import print_rows
from airflow_provider_dds.cli.spans import span_of, tags_of
from airflow_provider_dds.exceptions import DdsConfigurationError, DdsError
from airflow_provider_dds.waiting.inventory.audit import Audit, audit_all, instances_to_audit
from airflow_provider_dds.waiting.inventory.freshness import Freshness
from airflow_provider_dds.waiting.inventory.table import cells_of, failure_of

if TYPE_CHECKING:
    import argparse

ALL_HOLD, VIOLATED, NOT_KNOWN = 0, 1, 2


def run(args: argparse.Namespace) -> NoReturn:
    """Audit them, and end with a status that scripts can use: 0 if all hold, 1 if one does not, 2 if one is not known.

    :param args: the command line, as :mod:`airflow_provider_dds.cli.definition` has it.
    """
    try:
        with redirect_stdout(sys.stderr):  # to which Airflow 2 and 3.0 log
            asked = _asked(args)
            ids = arguments.ids("INSTANCE", args.db_instance_ids) if args.db_instance_ids else None
            tags = arguments.tags("--tag", tags_of("--tag", args.tag))
            if ids and tags:
                raise DdsConfigurationError("Instances and --tag are both given; leave one of them out.")
            hook = hook_of(args)
            rows = list(audit_all(hook.run, instances_to_audit(hook.run, ids, tags), asked, hook.clock.now))
    except DdsError as error:
        print(error, file=sys.stderr)
        sys.exit(NOT_KNOWN)
    rows.sort(key=lambda row: {False: 0, None: 1, True: 2}[row.ok])
    print_rows([cells_of(row) if args.output == "table" else row.to_dict() for row in rows], args.output)
    if failure := failure_of(rows):
        print(failure, file=sys.stderr)
    worst = {row.ok for row in rows}
    sys.exit(VIOLATED if False in worst else NOT_KNOWN if None in worst else ALL_HOLD)


def _asked(args: argparse.Namespace) -> Audit:
    lag, days = args.max_recovery_lag, args.min_retention_days
    return Audit(
        Freshness(arguments.seconds("--max-age", span_of("--max-age", args.max_age))),
        None if lag is None else span_of("--max-recovery-lag", lag),
        args.require_log_backup,
        None if days is None else arguments.days("--min-retention-days", days),
    )
