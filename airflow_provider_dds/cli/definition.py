"""The commands and their arguments, once: Airflow asks for them by the provider's metadata."""

from __future__ import annotations

from typing import Any

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

_CONNECTION = (
    Arg(("--conn-id",), help="Airflow connection (default: dds_default)", default="dds_default"),
    Arg(("--region-id",), help="region that overrides the connection's, such as cn-hangzhou"),
)
_OUTPUT = Arg(
    ("-o", "--output"),
    help="how it is printed: table, json or yaml (default: table)",
    metavar="(table, json, yaml)",
    choices=("table", "json", "yaml"),
    default="table",
)


COMMANDS = (
    ActionCommand(
        name="doctor",
        func=lazy_load_command("airflow_provider_dds.cli.doctor.run"),
        args=(
            Arg(("--instance",), help="instance that permissions are tried at (default: the first of the region)"),
            *_CONNECTION,
            _OUTPUT,
        ),
        help="Look whether a connection works, and what its key may do",
        description=(
            "Look whether a connection works, and what its key may do, by calls that change nothing. Exit status: 0 if "
            "all is well, 1 if there is a problem, 2 if the connection is of no use."
        ),
    ),
    ActionCommand(
        name="backups",
        func=lazy_load_command("airflow_provider_dds.cli.backups.run"),
        args=(
            Arg(("db_instance_id",), help="instance id, such as dds-bp12c5b040dc4f04"),
            Arg(
                ("--since",),
                help="how far back, such as 24h, 7d or 90m, or a time such as 2026-01-01T00:00:00Z (default: 7d)",
                default="7d",
            ),
            *_CONNECTION,
            _OUTPUT,
        ),
        help="List the backups of an instance, and whether they are good",
        description=(
            "List the backups of an instance, whoever made them, newest first. Exit status: 0 if one of them is good, "
            "1 if none is, 2 if that could not be found out."
        ),
    ),
    ActionCommand(
        name="audit",
        func=lazy_load_command("airflow_provider_dds.cli.audit.run"),
        args=(
            Arg(
                ("db_instance_ids",),
                help="instance ids; none: those with the tags, or all of the region",
                nargs="*",
                metavar="INSTANCE",
            ),
            Arg(
                ("--tag",),
                help="only instances with this tag, such as env=prod; may be given again",
                action="append",
                default=[],
            ),
            Arg(
                ("--max-age",), help="greatest age of the newest good backup, such as 26h (default: 26h)", default="26h"
            ),
            Arg(("--max-recovery-lag",), help="what a restore may lose at most, such as 15m"),
            Arg(("--require-log-backup",), help="logs have to be backed up", action="store_true"),
            Arg(("--min-retention-days",), help="days that backups are kept at the least", type=float),
            *_CONNECTION,
            _OUTPUT,
        ),
        help="Tell which instances have no good backup that is new enough",
        description=(
            "Audit the backups of many instances. Exit status: 0 if all hold what is asked, 1 if one does not, 2 if of "
            "one that could not be found out."
        ),
    ),
)


def get_cli_commands() -> list[Any]:
    """Return the commands in Airflow's form (provider info ``cli``)."""
    return [GroupCommand(name="dds", help="ApsaraDB for MongoDB: which backups there are", subcommands=COMMANDS)]
