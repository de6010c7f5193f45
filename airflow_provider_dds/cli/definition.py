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
)


def get_cli_commands() -> list[Any]:
    """Return the commands in Airflow's form (provider info ``cli``)."""
    return [GroupCommand(name="dds", help="ApsaraDB for MongoDB: which backups there are", subcommands=COMMANDS)]
