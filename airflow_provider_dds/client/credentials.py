"""Settings -> the credential of a connection: fetched from its source, shared, renewed in time, and masked.

A process has one credential for a connection, however many hooks, triggers and threads use it. One call fetches it for
all that wait; nobody waits for longer than for that call's own time, and what it fails with is theirs, too.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, cast
from weakref import WeakValueDictionary

from airflow_provider_dds.client.credential_errors import NoCredentialError, unexpected
from airflow_provider_dds.client.forks import Lock, begin
from airflow_provider_dds.client.proxy import environment_secrets
from airflow_provider_dds.client.sources.asking import Attempt
from airflow_provider_dds.client.sources.of_settings import FIXED, lent_for
from airflow_provider_dds.client.sources.profiles import forget_profiles
from airflow_provider_dds.client.wire import wire_for
from airflow_provider_dds.compat import mask_secrets
from airflow_provider_dds.exceptions import DdsConfigurationError, DdsTransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alibabacloud_credentials.models import CredentialModel

    from airflow_provider_dds.client.settings import DdsSettings
    from airflow_provider_dds.client.sources.asking import Lent

RENEW_BEFORE = 900.0
"""A token is renewed this many seconds before it expires, or when a third of its life is left, if that is later."""
TRY_AGAIN = 30.0
"""Seconds until the next attempt to renew a token that is still good, when one failed."""
READ_AGAIN = 60.0
"""Seconds until a source is asked again that does not say when its credential expires."""
SLOW = 1.0
"""Seconds from which on a failure counts as slow: another attempt would hang as well."""
SHARED_FAILURE = 5.0
"""Seconds for which a slow failure is that of all who ask. A quick one is only theirs who waited for it."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """On whose behalf a credential is asked for.

    :ivar call: the call that needs it, for errors.
    :ivar mask: tells Airflow's secrets masker what no log may show, in a way that suits the thread.
    :ivar deadline: reading of the monotonic clock by which the call has to end.
    """

    call: str = "The call"
    mask: Callable[[Iterable[str]], None] = mask_secrets
    deadline: float = inf


CALLER: ContextVar[Caller] = ContextVar("dds_caller", default=Caller())  # noqa: B039 - it cannot be changed


@dataclass(frozen=True)
class _Held:
    """A credential, and until when.

    :ivar lent: None while there has been none.
    :ivar renew_at: epoch seconds from which on another one is asked for.
    :ivar expires_at: epoch seconds until which it can be used, as far as anybody says.
    """

    lent: Lent | None = None
    renew_at: float = 0.0
    expires_at: float = 0.0
    generation: int = 0


class _Fetch:
    """One fetch, for all that wait for it.

    :ivar ended: whether it is over; without an outcome where only its own caller had no more time.
    """

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.outcome: _Held | NoCredentialError | None = None


class Credential:
    """The credential of a connection. The client asks for it before each call, from any thread.

    :param settings: whose credential it is.
    """

    def __init__(self, settings: DdsSettings) -> None:
        self._settings = settings
        self._wire = wire_for(settings)
        self._lock = Lock()  # never held while anything is waited for
        self._held = _Held()
        begin(self)

    def begin(self) -> None:
        """Wait for no fetch of a process from which this one was forked: its thread is not here."""
        self._under_way: _Fetch | None = None
        self._failed: _Fetch | None = None
        self._failed_until = -inf

    @property
    def generation(self) -> int:
        """Number of the credential in use."""
        return self._held.generation

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that no text may carry: the connection's, those of the environment's proxies, those in use now."""
        lent = self._held.lent
        now = () if lent is None else (lent.access_key_secret, lent.security_token)
        connection = (*self._settings.secrets, *environment_secrets(os.environ))
        return (*connection, *(value for value in now if value))

    def get_credential(self) -> CredentialModel:
        """Return the credential to sign with, in the SDK's shape, fetched or renewed if need be.

        :raises DdsError: there is none; nothing was sent to ApsaraDB for MongoDB.
        """
        from alibabacloud_credentials.models import CredentialModel

        lent = self.lent()
        return CredentialModel(
            access_key_id=lent.access_key_id,
            access_key_secret=lent.access_key_secret,
            security_token=lent.security_token,
            type=self._settings.auth_type,
            provider_name=lent.source,
        )

    def lent(self) -> Lent:
        """Return the credential to sign with, fetched or renewed if need be.

        :raises DdsError: there is none; nothing was sent to ApsaraDB for MongoDB.
        """
        return cast("Lent", self._current().lent)

    def ready(self) -> int:
        """Have a credential at hand and return its number.

        :raises DdsError: there is none; nothing was sent to ApsaraDB for MongoDB.
        """
        return self._current().generation

    def replace(self, generation: int) -> bool:
        """Ask for another credential, once for all calls that the service refused with that one as expired.

        :param generation: number of the credential that was refused.
        :return: whether there is another one now.
        """
        if self._settings.auth_type in FIXED:
            return False
        with self._lock:
            if self._held.generation == generation:
                self._held = replace(self._held, renew_at=-inf, expires_at=-inf)
        return self._current().generation != generation

    def _current(self) -> _Held:
        """Return a credential that is good now, fetched for all who ask meanwhile."""
        caller = CALLER.get()
        outcome: _Held | NoCredentialError | None = None
        while outcome is None:
            held = self._held
            if time.time() < held.renew_at:
                return held
            fetch, is_mine = self._join(held)
            if is_mine:
                outcome = self._run(fetch, caller)
            elif time.time() < held.expires_at:
                outcome = held  # it is good while another call renews it
            elif fetch.ended.wait(max(0.0, min(self._bound, caller.deadline - time.monotonic()))):
                outcome = fetch.outcome
            else:
                outcome = NoCredentialError(
                    "another call still asks for it", "It is asked for again.", error=DdsTransportError
                )
        if isinstance(outcome, NoCredentialError):
            raise outcome.for_call(caller.call, self._settings.auth_type)
        return outcome

    @property
    def _bound(self) -> float:
        """Most seconds that a fetch takes, however many requests it makes."""
        return self._settings.connect_timeout + self._settings.read_timeout

    def _join(self, held: _Held) -> tuple[_Fetch, bool]:
        """Return the fetch that is to replace what is held, and whether it is the caller's to run it."""
        with self._lock:
            if self._under_way is not None:
                return self._under_way, False
            if self._failed is not None and time.monotonic() < self._failed_until:
                return self._failed, False
            fetch = _Fetch()
            if self._held is not held:  # something has come of another one just now
                fetch.ended.set()
                return fetch, False
            self._under_way = fetch
            return fetch, True

    def _run(self, fetch: _Fetch, caller: Caller) -> _Held | NoCredentialError:
        """Fetch for all who wait, and return what came of it."""
        begun = time.monotonic()
        try:
            outcome = self._fetched(min(begun + self._bound, caller.deadline), caller)
            ended = time.monotonic()
            with self._lock:
                if isinstance(outcome, _Held):
                    self._held = fetch.outcome = outcome
                    self._failed = None
                elif ended < caller.deadline or begun + self._bound <= caller.deadline:
                    fetch.outcome = outcome
                    if ended - begun >= SLOW:
                        self._failed, self._failed_until = fetch, ended + SHARED_FAILURE
        finally:
            with self._lock:
                self._under_way = None
            fetch.ended.set()
        return outcome

    def _fetched(self, deadline: float, caller: Caller) -> _Held | NoCredentialError:
        """Ask the source once."""
        held = self._held
        attempt = Attempt(self._wire, deadline, self.secrets, caller.mask, renews=held.lent is not None)
        try:
            lent = lent_for(self._settings, attempt)
        except NoCredentialError as error:
            failure = error
        except DdsConfigurationError as error:
            failure = NoCredentialError(str(error).rstrip("."), "", error=DdsConfigurationError)
        except Exception as error:
            failure = unexpected(error)
        else:
            if not lent.has_unseen_marks():
                return self._holding(lent, caller)
            failure = NoCredentialError(
                f"what {lent.source} gives holds a character that does not print",
                "Write it anew where it is kept.",
                error=DdsConfigurationError,
            )
        failure.__traceback__ = failure.__context__ = None  # their frames hold what was asked with
        left = held.expires_at - time.time()
        if held.lent is None or left <= 0:
            return failure
        _log.warning("The credential is good for another %d s, but could not be renewed yet: %s", left, failure)
        return replace(held, renew_at=time.time() + min(TRY_AGAIN, left / 2))

    def _holding(self, lent: Lent, caller: Caller) -> _Held:
        """Return what was fetched with the time until which it can be kept, once no log can show it."""
        held, now = self._held, time.time()
        generation = held.generation
        if held.lent is None or _secrets_of(lent) != _secrets_of(held.lent):
            generation += 1
            if self._settings.auth_type not in FIXED:
                caller.mask(_secrets_of(lent))
        if lent.expires_at is None:  # nobody says: it is a key, or read again and again
            renew_at = inf if self._settings.auth_type in FIXED else now + READ_AGAIN
            return _Held(lent, renew_at, inf, generation)
        renew_at = lent.expires_at - min(RENEW_BEFORE, (lent.expires_at - now) / 3)
        return _Held(lent, renew_at, lent.expires_at, generation)


def _secrets_of(lent: Lent) -> tuple[str, ...]:
    return tuple(value for value in (lent.access_key_secret, lent.security_token) if value)


def credential_for(settings: DdsSettings) -> Credential:
    """Return the credential for some settings, whatever region is called: one in a process, as long as it is held.

    Settings that differ in whom they trust, or in how they reach it, share none.
    """
    key = replace(settings, region_id=None, endpoint=None, protocol="https", calls_per_second=0)
    with _making:
        credential = _credentials.get(key)
        if credential is None:
            credential = _credentials[key] = Credential(key)
        return credential


def forget_credentials() -> None:
    """Forget all credentials of the process, so that each is fetched again."""
    with _making:
        _credentials.clear()
        forget_profiles()


_credentials: WeakValueDictionary[DdsSettings, Credential] = WeakValueDictionary()
_making = Lock()
