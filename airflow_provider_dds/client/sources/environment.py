"""The variables that Alibaba Cloud's tools know, read when they are asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from airflow_provider_dds.client.credential_errors import NoCredentialError
from airflow_provider_dds.client.settings import REGION
from airflow_provider_dds.client.sources.sts import Role, sts_host
from airflow_provider_dds.exceptions import DdsConfigurationError
from airflow_provider_dds.masking import escaped

PREFIX = "ALIBABA_CLOUD_"


@dataclass(frozen=True)
class Environment:
    """The variables of this process.

    :ivar default_sts: the STS to ask where no variable names one.
    """

    default_sts: str

    def of(self, name: str) -> str | None:
        """Return a variable, None where it is empty."""
        return os.environ.get(PREFIX + name, "").strip() or None

    def is_on(self, name: str) -> bool:
        """Whether a variable says true."""
        return (self.of(name) or "").lower() == "true"

    def named(self, role: Role) -> Role:
        """Return a role with the name of a session that the environment gives, where it has none."""
        return role if role.session_name else replace(role, session_name=self.of("ROLE_SESSION_NAME"))

    def sts_host(self, region_id: str | None = None, *, vpc: bool | None = None) -> str:
        """Return the STS to ask.

        :param region_id: its region; None: as the variables say.
        :param vpc: whether by its entrance inside a VPC; None: as the variables say.
        :raises NoCredentialError: the region cannot be one.
        """
        region = region_id or self.of("STS_REGION")
        if region is None:
            return self.default_sts
        if not REGION.fullmatch(region):
            raise NoCredentialError(
                f"{escaped(region, limit=60)!r} is not a region id, such as cn-hangzhou",
                f"Correct {PREFIX}STS_REGION, or the region of the profile.",
                error=DdsConfigurationError,
            )
        return sts_host(region, vpc=self.is_on("VPC_ENDPOINT_ENABLED") if vpc is None else vpc)
