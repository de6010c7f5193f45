"""The servers between client and emulator, which serve all schedules of a search, and what befalls each call there."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from airflow_provider_dds.client.sources import of_settings
from airflow_provider_dds.exceptions import DdsError
from airflow_provider_dds.hooks.dds import DdsHook
from tests.faults.wire_schedule import OVER_TLS, PROXIED, WIRE_FAULTS, Places, WirePlan
from tests.support.hostile import Silent, Trap, dead_port
from tests.support.hostile_front import Front
from tests.support.hostile_proxy import Proxy
from tests.support.tls import make_certificate, server_context

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_provider_dds.emulator import Emulator

HOST, TRAP_HOST = "mongodb.test", "trap.test"
PASSWORD = "search-proxy-password"
LOGIN = f"who:{PASSWORD}"
PATIENCE = 30.0
"""Real seconds until a call that ought to be answered counts as a bug of the search."""
CROWD = 24
"""Calls of another connection that hang at a time."""
_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Wires:
    """Serves while entered; :meth:`lay` leads a schedule's calls through it."""

    def __init__(self, emulator: Emulator, role: str) -> None:
        self.emulator = emulator
        self.plan = WirePlan()
        self._role = role

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._ca_file, key = make_certificate(home, HOST, TRAP_HOST)
            self._other_ca_file, _ = make_certificate(home, name="another")
            self.plain = stack.enter_context(Front(self.emulator.port))
            self.tls = stack.enter_context(Front(self.emulator.port, server_context(self._ca_file, key)))
            self.uri = stack.enter_context(Front(self.emulator.port))
            self.sts = stack.enter_context(Front(self.emulator.port, server_context(self._ca_file, key)))
            self.proxy = stack.enter_context(Proxy({}))
            self.trap = stack.enter_context(Trap())
            self.silent = stack.enter_context(Silent())
            self._dead = stack.enter_context(dead_port())
            stack.enter_context(patch.object(socket, "getaddrinfo", _resolving(socket.getaddrinfo)))
            stack.enter_context(patch.object(of_settings, "sts_endpoint_for", lambda _: self.sts.address))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    # --- what a plan makes of the connection ------------------------------------------------------------------------

    def lay(self, plan: WirePlan) -> dict[str, str]:
        """Begin anew with a plan, and return the environment in which tasks run."""
        self.plan = plan
        for server in (self.plain, self.tls, self.uri, self.sts, self.proxy):
            server.disconnect()
            server.forget()
        self.trap.caught.clear()
        self.proxy.login = LOGIN if plan.login else None
        self.proxy.hosts = {HOST: self.front.port}
        by_environment = plan.way in PROXIED and plan.proxy_by == "environment"
        proxy = self._proxy(LOGIN) if by_environment else f"http://{TRAP_HOST}:{self.trap.port}"
        variables = {**dict.fromkeys(_VARIABLES, ""), "http_proxy": proxy, "https_proxy": proxy}
        if plan.way == "excepted":
            variables["no_proxy"] = HOST
        return {**variables, "AIRFLOW_CONN_DDS_DEFAULT": json.dumps(self.connection())}

    def connection(self, login: str = LOGIN) -> dict[str, Any]:
        """Return the connection of the plan.

        :param login: for the proxy.
        """
        plan, given = self.plan, self.emulator.connection_dict()
        scheme = "https" if plan.way in OVER_TLS else "http"
        name = "127.0.0.1" if plan.way in ("plain", "tls") else HOST
        given["host"] = f"{scheme}://{name}"
        given["port"] = None if plan.way in PROXIED else self.front.port
        extra = given["extra"]
        extra.update(read_timeout=PATIENCE, connect_timeout=PATIENCE)
        if plan.way in OVER_TLS or plan.source == "sts":
            extra["ca_file"] = str(self._ca_file)
        if plan.way == "direct":
            extra["proxy"] = "none"
        elif plan.way in PROXIED and plan.proxy_by == "extra":
            extra["proxy"] = self._proxy(login)
        if plan.way == "forward":
            extra["allow_http"] = True
        if plan.source == "uri":
            given["login"] = given["password"] = None
            extra.pop("security_token", None)
            name = self._role.rpartition("/")[2]
            extra.update(auth_type="credentials_uri", credentials_uri=f"{self.uri.url}/credentials/{name}")
        elif plan.source == "sts":
            extra.update(auth_type="ram_role_arn", role_arn=self._role)
        return given

    @property
    def front(self) -> Front:
        """What serves the service's host."""
        return self.tls if self.plan.way in OVER_TLS else self.plain

    @property
    def source(self) -> Front:
        """What lends the credential, if anything does."""
        return self.sts if self.plan.source == "sts" else self.uri

    @property
    def edge(self) -> Front:
        """What the client's connection ends at: its HTTP, or its TLS."""
        return self.proxy if self.plan.way == "forward" else self.front

    @property
    def named(self) -> set[str]:
        """The hosts that the connection names for a proxy to go to."""
        return {HOST} if self.plan.way in PROXIED else set()

    def _proxy(self, login: str) -> str:
        return f"http://{login}@{self.proxy.address}" if self.plan.login else self.proxy.url

    # --- what befalls a call ----------------------------------------------------------------------------------------

    def can_befall(self, fault: str) -> bool:
        """Return whether a fault can happen on the plan's way."""
        return self.plan.way in WIRE_FAULTS[fault].ways

    def befall(self, fault: str, *, source: bool = False) -> None:
        """Let a fault befall the next call, or the next request to the credential source."""
        known, edge = WIRE_FAULTS[fault], self.source if source else self.edge
        if known.fresh and not source:  # which is asked over a new connection each time
            (self.proxy if self.plan.way == "tunnel" else edge).disconnect()
        if known.twist is None:
            self.proxy.tunnels(known.tunnel)
            return
        there = self.connection()
        here = f"{there['host']}:{there['port']}/" if there["port"] else f"{there['host']}/"
        places = Places(
            trap=f"{TRAP_HOST}:{self.trap.port}",
            dead=f"{TRAP_HOST}:{self._dead}",
            here=self.source.url if source else here,
        )
        edge.then(known.twist(places))

    def settle(self) -> None:
        """Wait until nothing more will become of what was sent. What has befallen nothing by then, will not."""
        for server in (self.proxy, self.plain, self.tls, self.uri, self.sts):
            server.wait_until_settled(patience=PATIENCE)
            server.drop_twists()

    # --- other connections ------------------------------------------------------------------------------------------

    def ask_neighbour(self, db_instance_id: str) -> BaseException | None:
        """Call the same host with a connection that must not get there; return the error, None if it got there.

        It trusts another authority, or has another password for the proxy. The connection of the tasks has just called,
        and is held as a task would.
        """
        mine = DdsHook()
        mine.describe_db_instance(db_instance_id)
        other = self.connection(login="who:wrong")
        if self.plan.way in OVER_TLS:
            other["extra"]["ca_file"] = str(self._other_ca_file)
        with patch.dict(os.environ, {"AIRFLOW_CONN_DDS_NEIGHBOUR": json.dumps(other)}):
            try:
                DdsHook("dds_neighbour").describe_db_instance(db_instance_id)
            except Exception as error:
                return error
        return None

    @property
    def has_neighbour(self) -> bool:
        """Whether there is something that keeps another connection to the host out."""
        plan = self.plan
        by_password = plan.way in PROXIED and plan.login and plan.proxy_by == "extra"
        return plan.neighbour and (plan.way in OVER_TLS or by_password)

    def is_alone_in_a_crowd(self, db_instance_id: str, patience: float) -> bool:
        """Return whether a call is answered while many of another connection wait for a source that hangs."""
        hanging = self.emulator.connection_dict()
        extra = {"auth_type": "credentials_uri", "credentials_uri": f"{self.silent.url}/never"}
        hanging.update(login=None, password=None)
        hanging["extra"] = {"region_id": "cn-hangzhou", "calls_per_second": 10_000, "read_timeout": PATIENCE, **extra}

        async def crowded() -> bool:
            calls = [
                asyncio.ensure_future(DdsHook("dds_hanging").adescribe_db_instance(db_instance_id))
                for _ in range(CROWD)
            ]
            try:
                await asyncio.to_thread(self.silent.wait_until_asked)
                await asyncio.wait_for(DdsHook().adescribe_db_instance(db_instance_id), patience)
            except (DdsError, AssertionError, asyncio.TimeoutError):
                return False
            finally:
                for each in calls:
                    each.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
            return True

        self.silent.asked.clear()
        with patch.dict(os.environ, {"AIRFLOW_CONN_DDS_HANGING": json.dumps(hanging)}):
            try:
                return asyncio.run(crowded())
            finally:
                self.silent.disconnect()


def _resolving(resolve: Any) -> Any:
    """Let made-up names stand for the loopback."""

    def getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        made_up = isinstance(host, str) and host.endswith(".test")
        return resolve("127.0.0.1" if made_up else host, *rest, **options)

    return getaddrinfo
