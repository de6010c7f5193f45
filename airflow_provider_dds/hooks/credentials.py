"""Settings -> the credential of a connection: fetched by the SDK's providers, shared, renewed in time, and masked.

A process has one credential for a connection, however many hooks, triggers and threads use it. The SDK's own cache
asks again at each call once less than 15 minutes are left, lets every thread ask for itself when an answer takes
long, and gives up while the old token is still good. So when to ask is decided here; the SDK's providers only ask.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from airflow_provider_dds.compat import mask_secrets
from airflow_provider_dds.connection import CALLS_PER_SECOND
from airflow_provider_dds.exceptions import DdsError, DdsThrottledError, DdsTransportError
from airflow_provider_dds.hooks.credential_errors import credential_error, unreadable_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alibabacloud_credentials.models import CredentialModel

    from airflow_provider_dds.connection import DdsSettings

ROLE_SESSION_NAME = "airflow-provider-dds"
RENEW_BEFORE = 900.0
"""A token is renewed this many seconds before it expires, or when a third of its life is left, if that is later."""
TRY_AGAIN = 30.0
"""Seconds until the next attempt to renew a token that is still good, when one failed for a passing reason."""
CENTRAL_STS = frozenset({"ap-south-1", "ap-southeast-2", "cn-beijing-gov-1"})
"""Regions without an STS of their own, after the SDK's table."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """On whose behalf a credential is asked for.

    :ivar call: the call that needs it, for errors.
    :ivar mask: tells Airflow's secrets masker what no log may show, in a way that suits the thread.
    """

    call: str = "The call"
    mask: Callable[[Iterable[str]], None] = mask_secrets


CALLER: ContextVar[Caller] = ContextVar("dds_caller", default=Caller())  # noqa: B039 - it cannot be changed


class Credential:
    """The credential of a connection. The SDK's client asks for it before each call, from any thread.

    :param settings: whose credential it is.
    """

    def __init__(self, settings: DdsSettings) -> None:
        self.generation = 0
        self._settings = settings
        self._lock = threading.Lock()
        self._provider: Any = None
        self._model: CredentialModel | None = None
        self._renew_at = 0.0
        self._expires_at = 0.0

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that no text may carry: the connection's, and those in use now."""
        model = self._model
        now = () if model is None else (model.access_key_secret, model.security_token)
        return (*self._settings.secrets, *(value for value in now if value))

    def get_credential(self) -> CredentialModel:
        """Return the credential to sign with, fetched or renewed if need be.

        :raises DdsError: there is none; nothing was sent to ApsaraDB for MongoDB.
        """
        with self._lock:
            self._renew_if_due()
            return self._model

    def ready(self) -> int:
        """Have a credential at hand and return its number.

        :raises DdsError: there is none; nothing was sent to ApsaraDB for MongoDB.
        """
        with self._lock:
            self._renew_if_due()
            return self.generation

    def replace(self, generation: int) -> bool:
        """Ask for another credential, once for all calls that the service refused with that one as expired.

        :param generation: number of the credential that was refused.
        :return: whether there is another one now.
        """
        with self._lock:
            if self.generation == generation and self._settings.auth_type not in ("access_key", "sts"):
                self._provider = None
                self._expires_at = 0.0
                self._fetch()
            return self.generation != generation

    def _renew_if_due(self) -> None:
        if self._model is None or time.time() >= self._renew_at:
            self._fetch()

    def _fetch(self) -> None:
        caller = CALLER.get()
        failure: DdsError | None = None
        found: Any = None
        try:
            if self._provider is None:
                self._provider = _provider_for(self._settings)
            if token := _read_token(self._settings):
                caller.mask(token)
            found = self._provider.get_credentials()
        except Exception as error:  # the SDK declares none of what it raises
            failure = credential_error(
                error,
                caller.call,
                self._settings,
                self.secrets,
                sts=sts_endpoint_for(self._settings),
                had_one=self._model is not None,
            )
        if failure is not None:  # raised here, so that it does not carry the SDK's error, which may show a token
            self._bear_with(failure)
            return
        self._take(found, caller)

    def _bear_with(self, failure: DdsError) -> None:
        left = self._expires_at - time.time()
        if left <= 0 or not isinstance(failure, (DdsThrottledError, DdsTransportError)):
            raise failure
        self._renew_at = time.time() + min(TRY_AGAIN, left / 2)
        _log.warning("The credential is good for another %d s, but could not be renewed yet: %s", left, failure)

    def _take(self, found: Any, caller: Caller) -> None:
        from alibabacloud_credentials.models import CredentialModel

        secret, token = found.get_access_key_secret(), found.get_security_token()
        if self._model is None or (secret, token) != (self._model.access_key_secret, self._model.security_token):
            if self._settings.auth_type not in ("access_key", "sts"):
                caller.mask(value for value in (secret, token) if value)
            self.generation += 1
        self._model = CredentialModel(
            access_key_id=found.get_access_key_id(),
            access_key_secret=secret,
            security_token=token,
            type=self._settings.auth_type,
            provider_name=found.get_provider_name(),
        )
        now, expires_at = time.time(), found.get_expiration()
        if expires_at is None:  # a fixed one, or of a source that does not tell and is asked each time
            self._renew_at = inf if self._settings.auth_type in ("access_key", "sts") else 0.0
            return
        self._expires_at = float(expires_at)
        self._renew_at = expires_at - min(RENEW_BEFORE, (expires_at - now) / 3)


def credential_for(settings: DdsSettings) -> Credential:
    """Return the credential for some settings, whatever region is called: one in a process, as long as it is held."""
    key = replace(settings, region_id=None, endpoint=None, protocol="https", calls_per_second=CALLS_PER_SECOND)
    with _making:
        credential = _credentials.get(key)
        if credential is None:
            credential = _credentials[key] = Credential(key)
        return credential


def forget_credentials() -> None:
    """Forget all credentials of the process, so that each is fetched again."""
    with _making:
        _credentials.clear()
        _default_chain.cache_clear()


_credentials: WeakValueDictionary[DdsSettings, Credential] = WeakValueDictionary()
_making = threading.Lock()


@lru_cache(maxsize=1)
def _default_chain() -> Any:
    """Return the SDK's chain, which takes no settings. There is one in a process, since each leaves a thread behind."""
    from alibabacloud_credentials import provider as sdk

    return sdk.DefaultCredentialsProvider()


def sts_endpoint_for(settings: DdsSettings) -> str:
    """Return the STS to ask: that of the connection's region, inside a VPC its entrance there."""
    region = settings.sts_region_id
    if not region or region in CENTRAL_STS:
        return "sts.aliyuncs.com"
    return f"{'sts-vpc' if settings.network == 'vpc' else 'sts'}.{region}.aliyuncs.com"


def _provider_for(settings: DdsSettings) -> Any:
    """Return what fetches. Its fields were checked before, so that it fills none from the environment."""
    from alibabacloud_credentials import provider as sdk
    from alibabacloud_credentials.http import HttpOptions

    fields = dict(settings.credential)
    http = HttpOptions(
        proxy=settings.proxy,
        connect_timeout=round(settings.connect_timeout * 1000),
        read_timeout=round(settings.read_timeout * 1000),
    )
    if settings.auth_type in ("access_key", "sts"):
        return _static(fields)
    if settings.auth_type == "default":
        return _default_chain()
    if settings.auth_type == "ecs_ram_role":
        # Link-local, so never by proxy and with the SDK's short timeouts; without its thread for each provider.
        return sdk.EcsRamRoleCredentialsProvider(role_name=fields.get("role_name", ""), async_update_enabled=False)
    if settings.auth_type == "credentials_uri":
        return _trusting(sdk.URLCredentialsProvider(uri=fields["credentials_uri"], http_options=http), settings)
    session = {
        "role_arn": fields["role_arn"],
        "role_session_name": fields.get("role_session_name", ROLE_SESSION_NAME),
        "duration_seconds": fields.get("role_session_expiration"),
        "policy": _signable(fields.get("policy")),
        "sts_endpoint": sts_endpoint_for(settings),
        "http_options": http,
    }
    if settings.auth_type == "oidc_role_arn":
        oidc = {name: fields[name] for name in ("oidc_provider_arn", "oidc_token_file_path")}
        return _trusting(sdk.OIDCRoleArnCredentialsProvider(**oidc, **session), settings)
    return _trusting(
        sdk.RamRoleArnCredentialsProvider(
            credentials_provider=_static(fields), external_id=fields.get("external_id"), **session
        ),
        settings,
    )


def _static(fields: dict[str, Any]) -> Any:
    from alibabacloud_credentials import provider as sdk

    key = {name: fields[name] for name in ("access_key_id", "access_key_secret")}
    if "security_token" in fields:
        return sdk.StaticSTSCredentialsProvider(security_token=fields["security_token"], **key)
    return sdk.StaticAKCredentialsProvider(**key)


def _trusting(provider: Any, settings: DdsSettings) -> Any:
    """Let a provider trust the connection's ca_file; the SDK passes it on, but has no argument for it."""
    if settings.ca_file:
        provider._runtime_options["ca"] = settings.ca_file
    return provider


def _signable(policy: str | None) -> str | None:
    """Return the same policy without a blank: the SDK signs a blank as ``+``, and STS as ``%20``."""
    if policy is None:
        return None
    return json.dumps(json.loads(policy), separators=(",", ":")).replace(" ", "\\u0020")


def _read_token(settings: DdsSettings) -> tuple[str, ...]:
    """Return the OIDC token that the SDK is about to send in a URL, so that it can be masked."""
    path = dict(settings.credential).get("oidc_token_file_path")
    if path is None:
        return ()
    try:
        return (Path(path).read_text(encoding="utf-8").strip(),)
    except (OSError, ValueError) as error:
        raise unreadable_file(path, error) from None
