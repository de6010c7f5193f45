"""The service ApsaraDB for MongoDB (DDS) in a box, for tests and for trying DAGs without a cloud account."""

try:
    import starlette as _starlette  # noqa: F401 - only to know that it is there
    import uvicorn as _uvicorn  # noqa: F401 - only to know that it is there
except ImportError as error:
    raise ImportError(
        f"The emulator needs the package {error.name!r}: pip install 'airflow-provider-dds[emulator]'",
        name=error.name,
    ) from error

from .clock import Clock, ManualClock
from .credentials import Credential
from .emulator import Emulator
from .errors import ServiceError
from .faults import Fault
from .model import Instance, InstanceKind, JobOutcome, Timing
from .readings import Readings
from .recorder import RecordedRequest
from .scenario import QueuedOutcome, Scenario
from .service import JobState, Service
from .sts import Metadata, Role, TokenService
from .validate import InvalidInputError

__all__ = [
    "Clock",
    "Credential",
    "Emulator",
    "Fault",
    "Instance",
    "InstanceKind",
    "InvalidInputError",
    "JobOutcome",
    "JobState",
    "ManualClock",
    "Metadata",
    "QueuedOutcome",
    "Readings",
    "RecordedRequest",
    "Role",
    "Scenario",
    "Service",
    "ServiceError",
    "Timing",
    "TokenService",
]
