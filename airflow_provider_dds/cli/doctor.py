"""``airflow dds doctor``: whether a connection works, and what its key may do."""

from __future__ import annotations

import os
import sys
import time
from contextlib import redirect_stdout
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_dds import arguments
from airflow_provider_dds.api import requests
from airflow_provider_dds.cli.connections import hook_of
from airflow_provider_dds.cli.diagnosis import (
    SIGNED_CALL,
    Line,
    Result,
    Seen,
    of_clock,
    of_permissions,
    ranges_action,
    seen_of,
)
from airflow_provider_dds.cli.output import print_rows
from airflow_provider_dds.client.proxy import proxy_for
from airflow_provider_dds.exceptions import DdsConfigurationError, DdsError
from airflow_provider_dds.masking import escaped

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from airflow_provider_dds.api.models import DBInstance
    from airflow_provider_dds.api.requests import ApiCalls
    from airflow_provider_dds.cli.connections import _HookOfCommand
    from airflow_provider_dds.client.sending import Service

WELL, PROBLEMS, UNUSABLE = 0, 1, 2
_FROM = timedelta(hours=1)


def run(args: argparse.Namespace) -> NoReturn:
    """Look at the connection, and end with a status that scripts can use: 0 well, 1 problems, 2 of no use at all.

    :param args: the command line, as :mod:`airflow_provider_dds.cli.definition` has it.
    """
    lines: list[Line] = []
    try:
        with redirect_stdout(sys.stderr):  # to which Airflow 2 and 3.0 log
            for line in _lines(args):
                lines.append(line)
    except DdsError as error:
        lines.append(Line("connection", Result.PROBLEM, str(error)))
        status = UNUSABLE
    else:
        wrong = {line.check for line in lines if line.result is Result.PROBLEM}
        status = UNUSABLE if SIGNED_CALL in wrong else PROBLEMS if wrong else WELL
    print_rows([line.cells() for line in lines], args.output)
    sys.exit(status)


def _lines(args: argparse.Namespace) -> Any:
    wanted = arguments.required_id("--instance", args.instance) if args.instance else None
    hook = hook_of(args)
    service = hook.service()
    yield from _resolved(service)
    skew = _clock(service)
    if skew is not None:
        yield skew
    works, said = hook.test_connection()
    yield Line(SIGNED_CALL, Result.OK if works else Result.PROBLEM, said)
    if not works:
        return
    seen: dict[str, Seen] = {}
    instance = yield from _instance(hook, wanted, seen)
    if instance is not None:
        for action, steps in _probes(hook, instance).items():
            seen[action] = _try(hook, steps)
    yield from of_permissions(seen, sharded=instance is not None and instance.is_sharded)


def _resolved(service: Service) -> Any:
    """Give what the connection resolves to, without a secret."""
    settings, host = service.settings, service.host
    region = settings.region_id or "not set"
    yield Line("endpoint", Result.OK, f"{settings.protocol}://{host}, region {region}, network {settings.network}")
    proxy = proxy_for(settings.proxy, settings.protocol, host, os.environ)
    source = "the connection" if settings.proxy else "the environment"
    shown = f"{proxy.rpartition('@')[2].removeprefix('http://')}, by {source}" if proxy else "none is asked"
    yield Line("proxy", Result.OK, escaped(shown, service.credential.secrets))
    authority = "those of this machine and of certifi" + (f", and {settings.ca_file}" if settings.ca_file else "")
    yield Line("authorities", Result.OK, authority if settings.protocol == "https" else "none: not encrypted")
    lent = service.credential.lent()
    token = ", with a security token" if lent.security_token else ""
    key = f"{lent.access_key_id[:4]}...{lent.access_key_id[-4:]}" if len(lent.access_key_id) >= 12 else "a short key id"
    yield Line("credential", Result.OK, f"{settings.auth_type}, {key}{token}, from {lent.source or settings.auth_type}")
    yield Line(
        "limits",
        Result.OK,
        f"connect_timeout {settings.connect_timeout:g} s, read_timeout {settings.read_timeout:g} s, "
        f"{settings.calls_per_second:g} calls a second",
    )


def _clock(service: Service) -> Line | None:
    """Ask without a signature, which is refused, and read the date of the refusal; None where there is none."""
    begun, moment = time.monotonic(), time.time()
    try:
        answer = service.wire.send("GET", f"{service.settings.protocol}://{service.host}/", headers={}, timeout=10.0)
        took = time.monotonic() - begun
        date = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except Exception:  # no answer, or no date: the signed call says what is wrong
        return None
    return of_clock(date + 0.5 - (moment + took / 2), took)  # a date is cut to its second


def _instance(hook: _HookOfCommand, wanted: str | None, seen: dict[str, Seen]) -> Any:
    """Give the instance that permissions are tried at: the one that is named, or the first of the region."""
    listed: list[DBInstance] = []

    def first() -> ApiCalls[None]:
        found, _ = yield from requests.collect(requests.describe_db_instances())
        listed.extend(found)

    seen["DescribeDBInstances"] = _try(hook, first)
    name = wanted or next((each.db_instance_id for each in listed), None)
    if name is None:
        yield Line("instance", Result.UNTRIED, "none is known to try permissions at; name one with --instance")
        return None
    try:
        instance = hook.describe_db_instance(name)
    except DdsError as error:
        seen["DescribeDBInstanceAttribute"] = seen_of(error)
        yield Line("instance", Result.PROBLEM, str(error))
        return None
    seen["DescribeDBInstanceAttribute"] = Seen.ALLOWED
    yield Line("instance", Result.OK, f"{name} is {instance.status}, {instance.layout.value}")
    return instance


def _probes(hook: _HookOfCommand, instance: DBInstance) -> dict[str, Callable[[], ApiCalls[Any]]]:
    """Return the calls that change nothing, by their actions. What would change something is not among them."""
    name, node = instance.db_instance_id, next(iter(instance.shard_node_ids), None)
    now = datetime.fromtimestamp(hook.clock.now(), tz=timezone.utc)
    probes: dict[str, Callable[[], ApiCalls[Any]]] = {
        "DescribeBackupTasks": lambda: requests.describe_backup_tasks(name),
        "DescribeBackups": lambda: _first(requests.describe_backups(name, node_id=node, start_time=now - _FROM)),
        "DescribeBackupPolicy": lambda: requests.describe_backup_policy(name),
        "DescribeBackupStorage": lambda: requests.describe_backup_storage(instance),
        ranges_action(sharded=instance.is_sharded): lambda: requests.describe_recover_ranges(instance),
        "DescribeHistoryTasks": lambda: _first(
            requests.describe_history_tasks(name, from_start_time=now - _FROM, to_start_time=now)
        ),
    }
    if instance.is_sharded:
        probes["DescribeClusterBackups"] = lambda: _first(
            requests.describe_cluster_backups(name, start_time=now - _FROM)
        )
    return probes


def _first(listing: Any) -> ApiCalls[None]:
    yield from requests.read(listing, first_page_only=True)


def _try(hook: _HookOfCommand, steps: Callable[[], ApiCalls[Any]]) -> Seen:
    try:
        hook.run(steps())
    except DdsConfigurationError:
        raise
    except DdsError as error:
        return seen_of(error)
    return Seen.ALLOWED
