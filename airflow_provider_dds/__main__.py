"""``python -m airflow_provider_dds``: the commands of ``airflow dds``, on any Airflow."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    with redirect_stdout(sys.stderr):  # where Airflow's log goes from its first line on, not among what is printed
        from airflow_provider_dds.cli.definition import COMMANDS
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_dds", description="ApsaraDB for MongoDB")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        of_command = commands.add_parser(command.name, help=command.help, description=command.description)
        for argument in command.args:
            argument.add_to_parser(of_command)
        of_command.set_defaults(func=command.func)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    :param arguments: the command line; None: that of the process.
    """
    found = make_parser().parse_args(arguments)
    found.func(found)


if __name__ == "__main__":
    main()
