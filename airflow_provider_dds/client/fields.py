"""The fields of an Airflow connection, each defined once: what is read, the form and the docs' table follow. Pure.

To add a field is to add a row here, and to use its value in :mod:`airflow_provider_dds.client.settings`. Airflow may
read it while it is itself being imported: so nothing that imports Airflow is imported here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dds.api.console import SITES

if TYPE_CHECKING:
    from collections.abc import Iterator

AUTH_TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # auth_type: (fields it needs, fields it may have)
    "access_key": (("access_key_id", "access_key_secret"), ()),
    "sts": (("access_key_id", "access_key_secret", "security_token"), ()),
    "ram_role_arn": (
        ("access_key_id", "access_key_secret", "role_arn"),
        ("security_token", "role_session_name", "role_session_expiration", "external_id", "policy"),
    ),
    "ecs_ram_role": ((), ("role_name",)),
    "oidc_role_arn": (
        ("role_arn", "oidc_provider_arn", "oidc_token_file_path"),
        ("role_session_name", "role_session_expiration", "policy"),
    ),
    "credentials_uri": (("credentials_uri",), ()),
    "default": ((), ()),
}
CREDENTIAL_FIELDS = tuple(dict.fromkeys(name for both in AUTH_TYPES.values() for names in both for name in names))
_REGIONS = (
    "cn-hangzhou", "cn-shanghai", "cn-beijing", "cn-shenzhen", "cn-zhangjiakou", "cn-chengdu", "cn-hongkong",
    "ap-southeast-1", "ap-southeast-3", "ap-southeast-5", "ap-northeast-1", "eu-central-1", "eu-west-1", "us-east-1",
    "us-west-1", "me-east-1",
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """A field of the extra.

    :ivar label: its name in the form.
    :ivar meaning: what it means, a sentence.
    :ivar kind: what it holds: text, a secret, text of several lines, a number, yes or no.
    :ivar words: what it may say, where it is a choice.
    :ivar examples: what the form proposes.
    :ivar default: number that counts where it is empty.
    :ivar least: least number that is taken.
    :ivar most: greatest number that is taken.
    """

    label: str
    meaning: str
    kind: Literal["text", "secret", "lines", "integer", "number", "flag"] = "text"
    words: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    default: float | None = None
    least: float = -math.inf
    most: float = math.inf

    def form(self) -> dict[str, Any]:
        """Return it in the format of Airflow's provider metadata. Each may be left empty."""
        kind = {"integer": "integer", "number": "number", "flag": "boolean"}.get(self.kind, "string")
        schema: dict[str, Any] = {"type": [kind, "null"]}
        if self.kind in ("secret", "lines"):
            schema["format"] = "password" if self.kind == "secret" else "multiline"
        if self.words:
            schema["enum"] = [*self.words]
        if self.examples:
            schema["examples"] = [*self.examples]
        if self.kind == "flag":
            schema["default"] = False
        if math.isfinite(self.most):
            schema["minimum"] = math.ceil(self.least) if self.kind == "integer" else self.least
            schema["maximum"] = self.most
        return {"label": self.label, "description": self.meaning, "schema": schema}


FIELDS: dict[str, Field] = {
    "region_id": Field(
        "Region", "Region of the instances, such as cn-hangzhou. A task's region_id overrides it.", examples=_REGIONS
    ),
    "network": Field(
        "Network",
        "vpc calls the endpoint inside a VPC (mongodb-vpc...); empty means public.",
        words=("public", "vpc"),
    ),
    "auth_type": Field(
        "Auth type",
        "How to authenticate. Empty: access_key (sts with a security token) if the AccessKey is filled, else default, "
        "the SDK's chain of environment, profile and instance role.",
        words=tuple(AUTH_TYPES),
    ),
    "security_token": Field("Security token", "STS token of a temporary AccessKey (sts, ram_role_arn).", "secret"),
    "role_arn": Field("Role ARN", "RAM role to assume, acs:ram::...:role/... (ram_role_arn, oidc_role_arn)."),
    "role_session_name": Field("Role session name", "Name of the session in the audit log of the role."),
    "role_session_expiration": Field(
        "Role session expiration",
        "Seconds a session lasts, 900 to 43200; empty means 3600.",
        "integer",
        least=900,
        most=43_200,  # the longest session that RAM allows a role, 12 hours
    ),
    "external_id": Field("External id", "External id that the role's trust policy asks for (ram_role_arn)."),
    "policy": Field("Session policy", "JSON policy that narrows the role for this session.", "lines"),
    "oidc_provider_arn": Field("OIDC provider ARN", "acs:ram::...:oidc-provider/... (oidc_role_arn)."),
    "oidc_token_file_path": Field("OIDC token file", "Path of the token file on the worker (oidc_role_arn)."),
    "role_name": Field("ECS role name", "RAM role of the ECS instance; empty asks for it (ecs_ram_role)."),
    "credentials_uri": Field(
        "Credentials URI", "Address that gives a temporary credential (credentials_uri).", "secret"
    ),
    # no call of the API takes minutes: a longer wait for one only holds a thread
    "connect_timeout": Field(
        "Connect timeout",
        "Seconds to wait for a connection; empty means 5.",
        "integer",
        default=5,
        least=0.001,
        most=600,
    ),
    "read_timeout": Field(
        "Read timeout",
        "Seconds that a whole answer may take; empty means 10.",
        "integer",
        default=10,
        least=0.001,
        most=600,
    ),
    "calls_per_second": Field(
        "Calls per second",
        "Most calls that one process makes to the account and region; empty means 20.",
        "number",
        default=20,
        least=0.01,
        most=1_000_000,
    ),
    "proxy": Field(
        "Proxy",
        "Proxy for the calls, http://[user:password@]host:port, or none; empty: HTTP(S)_PROXY and NO_PROXY of the "
        "environment.",
        "secret",
    ),
    "ca_file": Field("CA file", "Path on the worker of a certificate authority to trust besides the usual ones."),
    "console": Field(
        "Console", "Site that links lead to; empty: china for regions that begin with cn-.", words=tuple(SITES)
    ),
    "allow_http": Field("Allow plain http", "Needed for an http:// endpoint that is not on this machine.", "flag"),
}
ALSO_READ = ("region", "access_key_id", "access_key_secret")
"""Names that connections of the type ``alibaba_cloud`` give to region_id, login and password."""
KNOWN_EXTRA = (*FIELDS, *ALSO_READ)


def docs_table() -> str:
    """Return the table of the extra fields that docs/connection.md shows."""
    return "\n".join(("| Extra field | Meaning | Taken |", "|---|---|---|", *_rows())) + "\n"


def _rows() -> Iterator[str]:
    for name, each in FIELDS.items():
        taken = ", ".join(f"`{word}`" for word in each.words)
        if math.isfinite(each.most):
            taken = f"{each.least:,} to {each.most:,}"
        meaning = each.meaning.replace("|", "\\|")
        yield f"| `{name}` | {meaning} | {taken or ('true or false' if each.kind == 'flag' else 'text')} |"
