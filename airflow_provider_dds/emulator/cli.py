"""The command line: ``python -m airflow_provider_dds.emulator``."""

from __future__ import annotations

import argparse
import logging
import math
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from .emulator import Emulator
from .validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

EXIT_USAGE = 2

_DESCRIPTION = """\
Serve the backup operations of ApsaraDB for MongoDB (dds 2015-12-01) on this machine, with real signatures,
several instances, jobs that take their time, and faults to switch on."""

_EPILOG = """\
instances: dds-demo-replica, dds-demo-cluster, dds-demo-sharded, dds-demo-local, dds-demo-standalone
control:   under /_emulator: GET health, requests[?action=], state, faults, readings;
           POST faults, instances, outcomes, backups, clock, readings, reset; DELETE faults[?id=]
stop:      Ctrl-C or SIGTERM; the exit code is then 0.
           A bad argument, scenario or certificate, or a busy port, ends with 2."""


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    arguments = argparse.ArgumentParser(
        prog="python -m airflow_provider_dds.emulator",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    arguments.add_argument(
        "--port", type=_port, default=8180, help="TCP port; 0 picks a free one (default: %(default)s)"
    )
    arguments.add_argument(
        "--speed",
        type=_speed,
        help="divide every duration of the service by this: at 60 a backup of 5 minutes takes 5 seconds "
        "(default: the scenario's, or 60)",
    )
    arguments.add_argument(
        "--skew",
        metavar="SECONDS",
        type=_skew,
        help="by how many seconds the service's clock is ahead of its callers'; less than 0: behind "
        "(default: the scenario's, or 0)",
    )
    arguments.add_argument("--scenario", metavar="FILE", help="JSON file with the state to start in")
    arguments.add_argument(
        "--port-file",
        metavar="FILE",
        type=Path,
        help="write the port to this file once requests are answered",
    )
    arguments.add_argument("--ssl-certfile", metavar="FILE", help="PEM certificate, to serve HTTPS")
    arguments.add_argument("--ssl-keyfile", metavar="FILE", help="PEM key of the certificate")
    arguments.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="warning",
        help="least level of log lines on stderr; info shows every request (default: %(default)s)",
    )
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run the emulator until it is told to stop.

    :param argv: the arguments; those of the process when left out
    :return: the exit code
    """
    arguments = parser()
    options = arguments.parse_args(argv)
    if options.ssl_keyfile and not options.ssl_certfile:
        arguments.error("--ssl-keyfile needs --ssl-certfile")
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        emulator = Emulator(
            options.port,
            options.speed,
            scenario=options.scenario,
            host=options.host,
            ssl_certfile=options.ssl_certfile,
            ssl_keyfile=options.ssl_keyfile,
            skew=options.skew,
        )
    except InvalidInputError as error:
        return _fail(f"{options.scenario}: {error}")
    except OSError as error:
        return _fail(f"cannot read {options.scenario}: {error.strerror or error}")
    return _serve(emulator, stop, options.port_file)


def _serve(emulator: Emulator, stop: threading.Event, port_file: Path | None) -> int:
    try:
        emulator.start()
    except InvalidInputError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"cannot serve on {emulator.host} port {emulator.port}: {error.strerror or error}")
    try:
        if port_file is not None:
            _write_at_once(port_file, f"{emulator.port}\n")
        print(_banner(emulator), flush=True)
        stop.wait()
    except OSError as error:
        return _fail(f"cannot write {port_file}: {error.strerror or error}")
    finally:
        emulator.stop()
    return 0


def _banner(emulator: Emulator) -> str:
    return "\n".join(
        [
            f"ApsaraDB for MongoDB emulator on {emulator.url} (speed {emulator.service.speed:g})",
            f"AccessKey id:     {emulator.access_key_id}",
            f"AccessKey secret: {emulator.access_key_secret}",
            f"Instances:        {', '.join(emulator.service.instances)}",
            f"Control plane:    {emulator.url}/_emulator/health",
            f"AIRFLOW_CONN_DDS_DEFAULT='{emulator.connection_json()}'",
        ]
    )


def _write_at_once(path: Path, text: str) -> None:
    """Write a file so that a reader finds either nothing or all of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def _fail(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)
    return EXIT_USAGE


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be 0 to 65535, not {text!r}")
    return int(text)


def _skew(text: str) -> float:
    try:
        skew = float(text)
    except ValueError:
        skew = float("nan")
    if not math.isfinite(skew):
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}")
    return skew


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return speed
