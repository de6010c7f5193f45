"""Connections, found where Airflow's own commands find them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.hooks.dds import DdsHook

if TYPE_CHECKING:
    import argparse

    from airflow_provider_dds.client.sending import Service


def hook_of(args: argparse.Namespace) -> _HookOfCommand:
    """Return the hook for the connection that a command line names.

    :param args: the command line.
    """
    return _HookOfCommand(args.conn_id, args.region_id)


class _HookOfCommand(DdsHook):
    """Also finds connections that were made in the UI: no task runs here whose supervisor could be asked for them."""

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        """Return a connection from wherever Airflow keeps one.

        :param conn_id: its id.
        """
        os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")  # as Airflow's commands do
        from airflow.models.connection import Connection

        return Connection.get_connection_from_secrets(conn_id)

    def service(self) -> Service:
        """Return what the calls go over.

        :raises DdsError: the connection cannot be read, or is wrong.
        """
        return self._service()
