"""Connections, found where Airflow's own commands find them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.hooks.dds import DdsHook

if TYPE_CHECKING:
    import argparse


def hook_of(args: argparse.Namespace) -> DdsHook:
    """Return the hook for the connection that a command line names.

    :param args: the command line.
    """
    return _HookOfCommand(args.conn_id, args.region_id)


class _HookOfCommand(DdsHook):
    """Also finds connections that were made in the UI: no task runs here whose supervisor could be asked for them."""

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")  # as Airflow's commands do
        from airflow.models.connection import Connection

        return Connection.get_connection_from_secrets(conn_id)
