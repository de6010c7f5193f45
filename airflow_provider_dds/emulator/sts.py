"""STS (version 2015-04-01) in a box: lends the roles it is told of, for a while, with credentials that expire."""

from __future__ import annotations

import base64
import fnmatch
import itertools
import json
import re
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .clock import utc_text
from .credentials import Credential
from .errors import ServiceError, missing_parameter, unknown_action
from .operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .clock import Clock
    from .service import Service

STS_VERSION = "2015-04-01"
STS_ACTIONS = ("AssumeRole", "AssumeRoleWithOIDC")
KEYLESS_ACTIONS = ("MetadataToken", "MetadataRole", "MetadataCredential", "CredentialsURI")
"""Names in the request log, and for faults, of what is asked without a key: the metadata service, credentials URIs."""
LEAST_SESSION = 900
LENT_SECONDS = 21_600
"""Life of a credential from the metadata service or a credentials URI."""
_ARN = re.compile(r"acs:ram::\d+:role/[\w.-]+", re.ASCII)
_SESSION_NAME = re.compile(r"[\w.@-]{2,64}", re.ASCII)


@dataclass(frozen=True)
class Role:
    """A RAM role that may be taken."""

    arn: str
    """Such as ``acs:ram::1000000000000001:role/backup``."""
    trusted_keys: list[str] | None = None
    """Ids of the AccessKeys that may assume it; None: any key that is known."""
    external_id: str | None = None
    """The ``ExternalId`` that its trust policy asks for."""
    oidc_provider_arn: str | None = None
    """The OIDC provider it trusts."""
    oidc_tokens: list[str] | None = None
    """The tokens of that provider that are good now; any other is refused."""
    max_session_seconds: int = 3600
    """Longest session that may be asked for."""
    session_seconds: int | None = None
    """How long sessions really last; None: as asked, or 6 hours from the metadata service and credentials URIs."""
    actions: list[str] | None = None
    """The actions its policies allow; None: all."""

    def __post_init__(self) -> None:
        if not _ARN.fullmatch(self.arn):
            raise ValueError("arn: must look like acs:ram::1000000000000001:role/backup")
        if self.max_session_seconds < LEAST_SESSION:
            raise ValueError(f"max_session_seconds: must be at least {LEAST_SESSION}")

    @property
    def name(self) -> str:
        """The last part of its ARN."""
        return self.arn.rpartition("/")[2]


@dataclass(frozen=True)
class Metadata:
    """The metadata service of the ECS instance that the emulator's machine plays."""

    role: str | None = None
    """Name of the role attached to the instance; None: there is none."""
    tokens: Literal["optional", "required", "none"] = "optional"
    """``required``: IMDSv2 alone; ``none``: IMDSv1 alone."""


class TokenService:
    """Gives temporary credentials of its roles, and tells the service about them.

    :param service: the service that takes the credentials
    :param roles: the first roles; without any, there is no STS
    :param metadata: the first metadata service; None: there is none
    :param wall_clock: what expiries are counted from
    """

    def __init__(self, service: Service, roles: Iterable[Role], metadata: Metadata | None, wall_clock: Clock) -> None:
        self._service = service
        self._first = tuple(roles), metadata
        self.wall_clock = wall_clock
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Go back to the first roles, and forget what was lent."""
        roles, self.metadata = self._first
        self.roles = {role.arn: role for role in roles}
        self._lent: dict[str, tuple[Credential, float]] = {}
        self._numbers = itertools.count(1)

    def put(self, role: Role) -> None:
        """Make a role known, or replace the one of its ARN.

        :param role: the role
        """
        self.roles[role.arn] = role

    def call(self, action: str, params: Mapping[str, str], style: str) -> dict[str, Any]:
        """Perform an action and return its answer without ``RequestId``.

        :param action: one of ``STS_ACTIONS``, or of ``KEYLESS_ACTIONS`` that give a credential
        :param params: the parameters, with the ``AccessKeyId`` that was proved
        :param style: how a missing parameter is refused, a value of ``Readings.missing_parameter``
        :raises ServiceError: it is refused
        """
        if action == "AssumeRole":
            return self._assume(params, style)
        if action == "AssumeRoleWithOIDC":
            return self._assume_with_oidc(params, style)
        if action == "MetadataCredential":
            return {"Code": "Success", "LastUpdated": utc_text(self.wall_clock()), **self.lent(params["Role"])}
        if action == "CredentialsURI":
            return {"Code": "Success", **self.lent(params["Role"])}
        raise unknown_action()

    def lent(self, name: str) -> dict[str, str]:
        """Return the credential that a machine with a role has: the same until a quarter of its life is left.

        :param name: the last part of the role's ARN
        :raises ServiceError: no role of this name
        """
        role = next((role for role in self.roles.values() if role.name == name), None)
        if role is None:
            raise ServiceError(404, "EntityNotExist.Role", "The role does not exist.")
        seconds = LENT_SECONDS if role.session_seconds is None else role.session_seconds
        now = self.wall_clock()
        with self._lock:
            credential, expires = self._lent.get(name, (None, 0.0))
            if credential is None or expires - now < seconds / 4:
                credential, expires = self.issue(role, seconds), now + seconds
                self._lent[name] = (credential, expires)
        return _wire(credential)

    def issue(self, role: Role, seconds: float, policy: str | None = None) -> Credential:
        """Make a temporary credential that the service takes.

        :param role: whose permissions it has
        :param seconds: seconds until it expires
        :param policy: session policy that narrows the role
        :return: the credential
        """
        credential = Credential(
            f"STS.emulated{next(self._numbers)}",
            secrets.token_urlsafe(24),
            "CAIS" + base64.b64encode(secrets.token_bytes(96)).decode(),
            utc_text(self.wall_clock() + seconds),
            _narrowed(role.actions, policy),
        )
        self._service.add_credential(credential)
        return credential

    def _assume(self, params: Mapping[str, str], style: str) -> dict[str, Any]:
        role = self._role(params, style)
        trusted = role.trusted_keys is None or params["AccessKeyId"] in role.trusted_keys
        if not trusted or role.external_id != params.get("ExternalId"):
            raise ServiceError(
                403, "NoPermission", "You are not authorized to do this action. You should be authorized by RAM."
            )
        return self._session(role, params, style)

    def _assume_with_oidc(self, params: Mapping[str, str], style: str) -> dict[str, Any]:
        for name in ("OIDCProviderArn", "OIDCToken"):
            _require(params, name, style)
        role = self._role(params, style)
        if role.oidc_provider_arn != params["OIDCProviderArn"]:
            raise ServiceError(401, "AuthenticationFail.NoPermission", "No such OIDC Provider registered.")
        if params["OIDCToken"] not in (role.oidc_tokens or ()):
            raise ServiceError(401, "AuthenticationFail.OIDCToken.Expired", "This JsonWebToken is expired.")
        return self._session(role, params, style)

    def _role(self, params: Mapping[str, str], style: str) -> Role:
        arn = _require(params, "RoleArn", style)
        if not _ARN.fullmatch(arn):
            raise _wrongly_formed("RoleArn")
        if arn not in self.roles:
            raise ServiceError(404, "EntityNotExist.Role", f"The role not exists: {arn}.")
        return self.roles[arn]

    def _session(self, role: Role, params: Mapping[str, str], style: str) -> dict[str, Any]:
        name = _require(params, "RoleSessionName", style)
        if not _SESSION_NAME.fullmatch(name):
            raise _wrongly_formed("RoleSessionName")
        asked = params.get("DurationSeconds", "3600")
        if not asked.isdecimal() or not LEAST_SESSION <= int(asked) <= role.max_session_seconds:
            raise ServiceError(
                400,
                "InvalidParameter.DurationSeconds",
                f"The Min/Max value of DurationSeconds is 15min/{role.max_session_seconds / 3600:g}hr.",
            )
        seconds = int(asked) if role.session_seconds is None else role.session_seconds
        return {
            "AssumedRoleUser": {
                "Arn": f"{role.arn}/{name}",
                "AssumedRoleId": f"300000000000000001:{name}",
            },
            "Credentials": _wire(self.issue(role, seconds, params.get("Policy"))),
        }


def _wire(credential: Credential) -> dict[str, str]:
    return {
        "AccessKeyId": credential.access_key_id,
        "AccessKeySecret": credential.access_key_secret,
        "SecurityToken": credential.security_token or "",
        "Expiration": credential.expires_at or "",
    }


def _narrowed(actions: list[str] | None, policy: str | None) -> list[str] | None:
    """Return the actions that both the role's policies and a session policy allow."""
    if not policy:
        return actions
    try:
        document = json.loads(policy)
        statements = document["Statement"]
        patterns = [
            pattern
            for statement in statements
            if statement["Effect"] == "Allow"
            for pattern in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        ]
        allowed = [name for name in OPERATIONS if any(fnmatch.fnmatch(f"dds:{name}", each) for each in patterns)]
    except (ValueError, TypeError, KeyError):
        raise ServiceError(
            400, "InvalidParameter.PolicyGrammar", "The parameter Policy has not passed grammar check."
        ) from None
    return allowed if actions is None else [name for name in allowed if name in actions]


def _require(params: Mapping[str, str], name: str, style: str) -> str:
    value = params.get(name)
    if not value:
        raise missing_parameter(name, style)
    return value


def _wrongly_formed(name: str) -> ServiceError:
    return ServiceError(400, f"InvalidParameter.{name}", f"The parameter {name} is wrongly formed.")
