"""What Airflow shows of this package: its modules and the connection form, defined here once.

Airflow may read it while it is itself being imported: so nothing that imports Airflow is imported here.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_dds import __version__
from airflow_provider_dds.console import SITES

CONN_TYPE = "dds"
HOOK_NAME = "ApsaraDB for MongoDB (DDS)"
DOCS = "https://www.alibabacloud.com/help/en/mongodb/"
_INTEGRATION = "ApsaraDB for MongoDB"
_REGIONS = (
    "cn-hangzhou", "cn-shanghai", "cn-beijing", "cn-shenzhen", "cn-zhangjiakou", "cn-chengdu", "cn-hongkong",
    "ap-southeast-1", "ap-southeast-3", "ap-southeast-5", "ap-northeast-1", "eu-central-1", "eu-west-1", "us-east-1",
    "us-west-1", "me-east-1",
)  # fmt: skip


def _text(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


def _seconds(label: str, description: str, least: int) -> dict[str, Any]:
    return {
        "label": label,
        "description": description,
        "schema": {"type": ["integer", "null"], "minimum": least},
    }


CONN_FIELDS: dict[str, dict[str, Any]] = {
    "region_id": _text(
        "Region", "Region of the instances, such as cn-hangzhou. A task's region_id overrides it.", examples=[*_REGIONS]
    ),
    "network": _text(
        "Network", "vpc calls the endpoint inside a VPC (mongodb-vpc...); empty means public.", enum=["public", "vpc"]
    ),
    "auth_type": _text(
        "Auth type",
        "How to authenticate. Empty: access_key (sts with a security token) if the AccessKey is filled, else default, "
        "the SDK's chain of environment, profile and instance role.",
        enum=[
            "access_key",
            "sts",
            "ram_role_arn",
            "ecs_ram_role",
            "oidc_role_arn",
            "credentials_uri",
            "default",
        ],
    ),
    "security_token": _text(
        "Security token", "STS token of a temporary AccessKey (sts, ram_role_arn).", format="password"
    ),
    "role_arn": _text("Role ARN", "RAM role to assume, acs:ram::...:role/... (ram_role_arn, oidc_role_arn)."),
    "role_session_name": _text("Role session name", "Name of the session in the audit log of the role."),
    "role_session_expiration": _seconds(
        "Role session expiration", "Seconds a session lasts, at least 900; empty means 3600.", 900
    ),
    "external_id": _text("External id", "External id that the role's trust policy asks for (ram_role_arn)."),
    "policy": _text("Session policy", "JSON policy that narrows the role for this session.", format="multiline"),
    "oidc_provider_arn": _text("OIDC provider ARN", "acs:ram::...:oidc-provider/... (oidc_role_arn)."),
    "oidc_token_file_path": _text("OIDC token file", "Path of the token file on the worker (oidc_role_arn)."),
    "role_name": _text("ECS role name", "RAM role of the ECS instance; empty asks for it (ecs_ram_role)."),
    "credentials_uri": _text(
        "Credentials URI", "Address that gives a temporary credential (credentials_uri).", format="password"
    ),
    "connect_timeout": _seconds("Connect timeout", "Seconds to wait for a connection; empty means 5.", 1),
    "read_timeout": _seconds("Read timeout", "Seconds to wait for an answer; empty means 10.", 1),
    "calls_per_second": {
        "label": "Calls per second",
        "description": "Most calls that one process makes to the account and region; empty means 20.",
        "schema": {"type": ["number", "null"], "minimum": 0.01},
    },
    "proxy": _text(
        "Proxy",
        "Proxy for the calls, http://[user:password@]host:port; empty: HTTP(S)_PROXY of the environment.",
        format="password",
    ),
    "ca_file": _text("CA file", "Path on the worker of a certificate authority to trust besides the usual ones."),
    "console": _text(
        "Console", "Site that links lead to; empty: china for regions that begin with cn-.", enum=[*SITES]
    ),
    "allow_http": {
        "label": "Allow plain http",
        "description": "Needed for an http:// endpoint that is not on this machine.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
}

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema"],
    "relabeling": {"login": "AccessKey ID", "password": "AccessKey secret", "host": "Endpoint"},
    "placeholders": {
        "login": "LTAI...",
        "host": "empty: follows from the region",
        "port": "empty: 443",
    },
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata in Airflow's format (entry point ``apache_airflow_provider``)."""

    def modules(kind: str) -> dict[str, Any]:
        return {"integration-name": _INTEGRATION, "python-modules": [f"airflow_provider_dds.{kind}.dds"]}

    return {
        "package-name": "airflow-provider-dds",
        "name": "Alibaba Cloud ApsaraDB for MongoDB",
        "description": "Create backups of ApsaraDB for MongoDB and wait for exactly them.",
        "versions": [__version__],
        "integrations": [
            {"integration-name": _INTEGRATION, "external-doc-url": DOCS, "tags": ["service"]},
        ],
        "hooks": [modules("hooks")],
        "operators": [modules("operators")],
        "sensors": [modules("sensors")],
        "triggers": [modules("triggers")],
        "extra-links": ["airflow_provider_dds.links.dds.DdsInstanceLink"],
        "connection-types": [
            {
                "connection-type": CONN_TYPE,
                "hook-class-name": "airflow_provider_dds.hooks.dds.DdsHook",
                "hook-name": HOOK_NAME,
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
                "conn-fields": CONN_FIELDS,
            }
        ],
    }
