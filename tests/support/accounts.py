"""An account whose key is rotated: in the service, and in the connection that Airflow keeps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.emulator.credentials import Credential

if TYPE_CHECKING:
    import pytest

    from airflow_provider_dds.emulator import Emulator

NEW = Credential("rotated-access-key-id", "rotated-access-key-secret")


class Account:
    """The account behind the connection, and what Airflow keeps of its key."""

    def __init__(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.emulator, self.monkeypatch = emulator, monkeypatch

    def disable_old_key(self) -> None:
        old = self.emulator.scenario.credentials[0]
        disabled = Credential(old.access_key_id, old.access_key_secret, active=False)
        self.emulator.service.credentials[old.access_key_id] = disabled

    def make_new_key(self) -> None:
        self.emulator.service.credentials[NEW.access_key_id] = NEW

    def change_connection(self) -> None:
        new = {"login": NEW.access_key_id, "password": NEW.access_key_secret}
        self.keep({**self.emulator.connection_dict(), **new})

    def keep(self, connection: dict[str, Any]) -> None:
        self.monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(connection))

    def rotate(self) -> None:
        self.make_new_key()
        self.change_connection()
        self.disable_old_key()
