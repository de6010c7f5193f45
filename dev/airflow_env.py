"""The environment of a scratch Airflow: everything it needs is said here, nothing is taken from the caller's.

Heartbeats are short so that tests need not wait for them, and nothing leaves the loopback interface.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet

KEPT = ("LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "LOGNAME")
"""What a child may still know of the caller's environment: no proxies, no credentials, no AIRFLOW_*."""


@dataclass(frozen=True)
class AirflowSettings:
    """Where a scratch Airflow lives and how one gets in."""

    home: Path
    port: int
    user: str = "admin"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(9))

    @property
    def dags(self) -> Path:
        """The folder that the DAG processor reads."""
        return self.home / "dags"

    @property
    def logs(self) -> Path:
        """The folder of the task logs."""
        return self.home / "logs"

    @property
    def url(self) -> str:
        """The address of the API server and the UI."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def passwords_file(self) -> Path:
        """Where the simple auth manager finds the password."""
        return self.home / "passwords.json"

    def prepare(self) -> None:
        """Make the directories and the password file."""
        self.dags.mkdir(parents=True)
        self.passwords_file.write_text(json.dumps({self.user: self.password}))
        self.passwords_file.chmod(0o600)


def base_environment(home: Path) -> dict[str, str]:
    """Return the environment of any child: this interpreter's commands, a home of its own, no proxy."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": str(home),
        "NO_PROXY": "*",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_COLOR": "1",
    }


def airflow_environment(home: Path, **options: str) -> dict[str, str]:
    """Return what any Airflow command needs to work in ``home``.

    :param options: more ``AIRFLOW__SECTION__KEY`` variables
    """
    return {
        **base_environment(home),
        "AIRFLOW_HOME": str(home),
        # on a busy machine the usual 5 seconds for the lock are not enough, and "database is locked" comes up
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        **options,
    }


def server_environment(settings: AirflowSettings) -> dict[str, str]:
    """Return the environment of the four components."""
    return airflow_environment(
        settings.home,
        AIRFLOW__CORE__EXECUTOR="LocalExecutor",
        AIRFLOW__CORE__PARALLELISM="4",
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS=f"{settings.user}:admin",
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=str(settings.passwords_file),
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{settings.url}/execution/",
        AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL="5",
        AIRFLOW__API__HOST="127.0.0.1",
        AIRFLOW__API__WORKERS="1",  # four are the default of Airflow 3.0
        AIRFLOW__API__PORT=str(settings.port),
        AIRFLOW__API__BASE_URL=settings.url,
        AIRFLOW__API__SECRET_KEY=secrets.token_hex(16),
        AIRFLOW__API_AUTH__JWT_ISSUER="dds-airflow",  # Airflow 3.0 has no default that its PyJWT takes
        AIRFLOW__API_AUTH__JWT_SECRET=base64.b64encode(os.urandom(64)).decode(),
        AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL="10",
        AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME="0.3",
        AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC="1",
        AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL="2",
        AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC="1",
        AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL="1",
        AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD="8",
    )
