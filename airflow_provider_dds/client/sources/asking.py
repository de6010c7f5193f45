"""One attempt to get a credential: over which wire, for how long; and what comes of it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_dds import __version__
from airflow_provider_dds.client.credential_errors import NoCredentialError
from airflow_provider_dds.client.outcome import WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_dds.client.credential_errors import Question
    from airflow_provider_dds.client.outcome import HttpAnswer
    from airflow_provider_dds.client.wire import Wire

SECOND_LOOK_AFTER = 0.5
"""Seconds after a refusal until it is believed."""
USER_AGENT = f"airflow-provider-dds/{__version__}"
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?\s*(?:([Zz])|([+-])(\d\d):?(\d\d))?", re.ASCII
)
_FITS = re.compile(r"[\x21-\x7e]{1,16384}")
"""What a header may hold: anything else would break each call that is made with it."""


@dataclass(frozen=True)
class Lent:
    """A credential to sign with.

    :ivar expires_at: epoch seconds; None where nobody says.
    :ivar source: name of the source, as the SDK's providers call themselves.
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    source: str = "static_ak"

    def has_unseen_marks(self) -> bool:
        """Whether a character of it does not print: then it cannot be signed with."""
        return not all(map(str.isprintable, (self.access_key_id, self.access_key_secret, self.security_token or "")))


@dataclass(frozen=True)
class Attempt:
    """What a source asks with.

    :ivar wire: the connection's own.
    :ivar deadline: reading of the monotonic clock by which all of it has ended.
    :ivar secrets: what no text may hold.
    :ivar mask: tells Airflow's secrets masker what no log may show, in a way that suits the thread.
    :ivar renews: whether the source has given a credential before.
    """

    wire: Wire
    deadline: float
    secrets: tuple[str, ...]
    mask: Callable[[Iterable[str]], None]
    renews: bool = False

    def ask(
        self,
        question: Question,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        direct: bool = False,
    ) -> HttpAnswer:
        """Ask and return what was answered with a status of its own: neither a redirect nor a passing trouble.

        What somebody on the way may have refused in passing is asked once more: a refusal is final.

        :param direct: use no proxy, whatever the connection says.
        :raises NoCredentialError: there is no such answer.
        """
        headers = {"accept": "application/json", "user-agent": USER_AGENT, **headers, "connection": "close"}
        outcome = self._exchange(question, method, url, headers, body, direct=direct)
        if not isinstance(outcome, NoCredentialError) and question.deserves_second_look(outcome):
            pause = min(SECOND_LOOK_AFTER, self.deadline - time.monotonic())
            if pause > 0:
                time.sleep(pause)
            outcome = self._exchange(question, method, url, headers, body, direct=direct)
        if isinstance(outcome, NoCredentialError):
            raise outcome
        if isinstance(outcome, WireError):
            raise question.no_answer(outcome)
        if 300 <= outcome.status < 400:
            raise question.not_followed(outcome)
        failure = question.passing_answer(outcome)
        if failure is not None:
            raise failure
        return outcome

    def _exchange(
        self, question: Question, method: str, url: str, headers: Mapping[str, str], body: bytes, *, direct: bool
    ) -> HttpAnswer | WireError | NoCredentialError:
        left = self.deadline - time.monotonic()
        if left <= 0:
            return question.passing(f"there was no time left to ask {question.who}", "It is asked again.")
        try:
            return self.wire.send(method, url, headers=headers, body=body, timeout=left, direct=direct)
        except WireError as error:
            return error


def lent_from(question: Question, fields: Any, source: str) -> Lent | None:
    """Return the credential that a JSON object holds, None if it does not.

    :raises NoCredentialError: it has expired.
    """
    if not isinstance(fields, dict):
        return None
    key, secret, token = (fields.get(name, "") for name in ("AccessKeyId", "AccessKeySecret", "SecurityToken"))
    expires_at = epoch_of(fields.get("Expiration"))
    if expires_at is None or not all(isinstance(each, str) and _FITS.fullmatch(each) for each in (key, secret, token)):
        return None
    if expires_at <= time.time():
        raise question.expired(expires_at)
    return Lent(key, secret, token, expires_at, source)


def epoch_of(text: Any) -> float | None:
    """Return the epoch seconds of a moment in ISO 8601: to the second or finer, in UTC or with an offset.

    ``datetime.fromisoformat`` of Python 3.10 takes neither ``Z`` nor most fractions.
    """
    match = _MOMENT.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    date, clock, fraction, _, sign, hours, minutes = match.groups()
    try:
        moment = datetime.strptime(f"{date} {clock}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        return (moment + (offset if sign == "-" else -offset)).timestamp() + float(f"0.{fraction or 0}")
    except (ValueError, OverflowError):
        return None
