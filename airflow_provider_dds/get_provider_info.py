"""What Airflow shows of this package: its modules and the connection form, defined here once.

Airflow may read it while it is itself being imported: so nothing that imports Airflow is imported here.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_dds import __version__
from airflow_provider_dds.client.fields import FIELDS

CONN_TYPE = "dds"
HOOK_NAME = "ApsaraDB for MongoDB (DDS)"
DOCS = "https://www.alibabacloud.com/help/en/mongodb/"
_INTEGRATION = "ApsaraDB for MongoDB"

CONN_FIELDS: dict[str, dict[str, Any]] = {name: field.form() for name, field in FIELDS.items()}
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
        "cli": ["airflow_provider_dds.cli.definition.get_cli_commands"],
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
