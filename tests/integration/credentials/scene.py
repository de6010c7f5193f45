"""What tests of credentials have in common, besides fixtures."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dds.api.errors import is_outcome_unknown
from airflow_provider_dds.emulator import Credential, Emulator, ManualClock
from airflow_provider_dds.exceptions import DdsError
from tests.support.frames import secrets_in_frames
from tests.support.runner import REPLICA

if TYPE_CHECKING:
    from airflow_provider_dds.hooks.dds import DdsHook

ARN = "acs:ram::1000000000000001:role/backup"
OIDC_ARN = "acs:ram::1000000000000001:oidc-provider/ack"
TOKEN = "eyJhbGciOi.first-token-of-the-pod.c2lnbmF0dXJl"
STS_CALL = {"ram_role_arn": "AssumeRole", "oidc_role_arn": "AssumeRoleWithOIDC"}
FETCH = {**STS_CALL, "ecs_ram_role": "MetadataCredential", "credentials_uri": "CredentialsURI"}
FETCHED = list(FETCH)
SECRETS = (TOKEN, "secret-of-the-user", "Signature=", "CAIS")


class Moved(ManualClock):
    """The machine's clock, which stands still unless it is moved."""

    def __init__(self, traveller: Any) -> None:
        self._traveller = traveller

    @property
    def now(self) -> float:
        return time.time()

    def __call__(self) -> float:
        return time.time()

    def advance(self, seconds: float) -> float:
        self._traveller.shift(seconds)
        return time.time()


class FakeTime:
    """The module ``time`` for Airflow's sensors, on the moved clock."""

    def __init__(self, clock: Moved) -> None:
        self.sleep, self.monotonic = clock.advance, clock


def lent(emulator: Emulator) -> list[Credential]:
    """Return the temporary credentials that were given, oldest first."""
    return [each for each in emulator.service.credentials.values() if each.access_key_id.startswith("STS.emulated")]


def expire(emulator: Emulator) -> None:
    """Let all that was lent expire at once, as the service does when a session is revoked."""
    for credential in lent(emulator):
        emulator.service.add_credential(replace(credential, expires_at="2020-01-01T00:00:00Z"))
    emulator.sts._lent.clear()


def refused(error: type[DdsError], hook: DdsHook) -> Any:
    """Ask for a backup, of which nothing may arrive, and return the error."""
    with pytest.raises(error) as caught:
        hook.create_backup(REPLICA)
    text = str(caught.value)
    assert not is_outcome_unknown(caught.value)
    assert caught.value.__context__ is None or isinstance(caught.value.__context__, DdsError)
    for secret in SECRETS:
        assert secret not in text
    assert secrets_in_frames(caught.value, *SECRETS) == []
    return caught.value
