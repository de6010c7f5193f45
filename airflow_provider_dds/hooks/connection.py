"""The Airflow connection of a hook, read into settings; what is said of one that cannot be read, or not all of it."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_dds.client.driver import Step, Steps
from airflow_provider_dds.client.settings import settings_from, unknown_extra_fields
from airflow_provider_dds.compat import afailed_look_up, connection_of, failed_look_up, says_no_secret
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsConfigurationError, DdsError, DdsTransportError
from airflow_provider_dds.get_provider_info import CONN_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.providers.common.compat.sdk import BaseHook

    from airflow_provider_dds.client.settings import DdsSettings

MOST_NAMED = 5
"""Fields that are not read, of those a text names."""


class AirflowConnection:
    """One connection of Airflow's, as a hook reads it.

    :param hook_class: reads connections.
    :param conn_id: its id.
    :param region_id: region that overrides its own.
    :param log: of the hook.
    :ivar unread: sentence about fields that are not read; empty where there are none.
    """

    def __init__(self, hook_class: type[BaseHook], conn_id: str, region_id: str | None, log: Any) -> None:
        self._hook_class = hook_class  # not the hook, which would live on with what it holds until it is collected
        self._conn_id = conn_id
        self._region_id = region_id
        self._log = log
        self.unread = ""

    def settings(self) -> Steps[DdsSettings]:
        """Look the connection up and give the settings that it stands for.

        :raises DdsConfigurationError: it is not defined, may not be read, or is wrong.
        :raises DdsTransportError: Airflow did not answer.
        """
        conn_id = self._conn_id
        try:
            connection = yield from Step(
                partial(self._hook_class.get_connection, conn_id), partial(connection_of, self._hook_class, conn_id)
            )
        except AirflowNotFoundException:
            failed = yield from Step(partial(failed_look_up, conn_id), partial(afailed_look_up, conn_id))
        except Exception as error:
            failed = error
        else:
            return self._settings_of(connection)
        raise not_read(conn_id, failed)

    def changed_settings(self, denied: DdsAccessDeniedError, in_use: DdsSettings) -> Steps[DdsSettings]:
        """Look the connection up again and give its settings, if they are not those in use.

        :param denied: the denial of a call, for which it is looked up.
        :raises DdsAccessDeniedError: that denial: the connection is as it was.
        :raises DdsError: it cannot be read now.
        """
        try:
            settings = yield from self.settings()
        except DdsError as error:
            said = f"{error} It was read again because the service denied a call: {denied}"
            raise error.with_text(said).with_traceback(error.__traceback__) from error.__cause__
        if settings == in_use:
            raise denied
        self._log.warning("Connection %r was changed; going on with what it is now.", self._conn_id)
        return settings

    @contextmanager
    def naming_unread_fields(self) -> Iterator[None]:
        """Let an error name the fields of the connection that are misspelt: they may be what it comes of."""
        try:
            yield
        except DdsError as error:
            if self.unread and self.unread not in str(error):
                said = f"{error} {self.unread}"
                raise error.with_text(said).with_traceback(error.__traceback__) from error.__cause__
            raise

    def _settings_of(self, connection: Any) -> DdsSettings:
        if connection.conn_type == CONN_TYPE:
            self.unread = unread_fields(self._conn_id, connection.extra)
        with self.naming_unread_fields():
            settings = settings_from(
                conn_id=self._conn_id,
                login=connection.login,
                password=connection.password,
                host=connection.host,
                port=connection.port,
                schema=connection.schema,
                extra=connection.extra,
                region_id=self._region_id,
            )
        if self.unread:
            self._log.warning("%s", self.unread)
        return settings


def unread_fields(conn_id: str, extra: str | None) -> str:
    """Return the sentence about fields of a connection that are not read, empty where there are none."""
    try:
        unknown = unknown_extra_fields(extra)
    except DdsConfigurationError:  # it is no JSON, which is said as soon as it is read
        return ""
    more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
    named = f"{', '.join(unknown[:MOST_NAMED])}{more}"
    return f"Connection {conn_id!r}: fields of extra not read: {named}." if unknown else ""


def not_read(conn_id: str, error: Exception | None) -> DdsError:
    """Return what stands for a failed look-up of a connection; an error that may hold a secret is not quoted."""
    if error is None:
        return DdsConfigurationError(
            f"Connection {conn_id!r} is not defined. Add it in Airflow (type dds), or correct dds_conn_id."
        )
    said = f"{type(error).__name__}: {error}" if says_no_secret(error) else type(error).__name__
    if isinstance(error, PermissionError):
        return DdsConfigurationError(
            f"Airflow does not let this task read connection {conn_id!r} ({said}). Allow it, or correct dds_conn_id."
        )
    if isinstance(error, (ValueError, TypeError)):
        return DdsConfigurationError(
            f"Connection {conn_id!r} cannot be read ({said}). Look at how it is written where it is kept: Airflow, an "
            "environment variable, or a secrets backend."
        )
    return DdsTransportError(
        f"Connection {conn_id!r} could not be read from Airflow: {said}. If it goes on, look at Airflow's API server "
        "and database, and at the secrets backend.",
        request_sent=False,
    )
