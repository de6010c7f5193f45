"""Credentials from the files of Alibaba Cloud's tools: ~/.aliyun/config.json and ~/.alibabacloud/credentials.ini.

What a profile asks of the network is asked over the connection's own wire. Kinds of profiles that this package does not
know (CloudSSO, OAuth, External, rsa_key_pair) are left to the SDK, with its own transport.
"""

from __future__ import annotations

import configparser
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.client.credential_errors import NoCredentialError
from airflow_provider_dds.client.quiet import hush
from airflow_provider_dds.client.sources import metadata, sts
from airflow_provider_dds.client.sources.asking import Lent
from airflow_provider_dds.exceptions import DdsConfigurationError, DdsTransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_dds.client.sources.asking import Attempt
    from airflow_provider_dds.client.sources.environment import Environment


@dataclass(frozen=True)
class Profile:
    """A profile of a file; its fields are read as the SDK reads them."""

    path: Path
    name: str
    fields: Mapping[str, Any]

    def text(self, field: str) -> str | None:
        """Return a field, None where it is empty."""
        value = self.fields.get(field)
        return str(value).strip() or None if value is not None else None

    def needed(self, field: str) -> str:
        """Return a field that must be there."""
        value = self.text(field)
        if value is None:
            raise unusable(self.path, f"profile {self.name!r} lacks {field}")
        return value

    def key(self, token: str | None = None) -> Lent:
        """Return the key that it holds.

        :param token: name of the field with its security token, if it has one.
        """
        key, secret = self.needed("access_key_id"), self.needed("access_key_secret")
        if token is None:
            return Lent(key, secret, source="static_ak")
        return Lent(key, secret, self.needed(token), source="static_sts")

    def role(self, arn: str, session_name: str) -> sts.Role:
        """Return the role that it names.

        :param arn: name of the field with the role's ARN.
        :param session_name: name of the field with the session's name.
        """
        seconds = self.text("expired_seconds")
        if seconds is not None and not seconds.isdecimal():
            raise unusable(self.path, f"expired_seconds of profile {self.name!r} is no number")
        return sts.Role(
            self.needed(arn),
            self.text(session_name),
            int(seconds) if seconds else None,
            self.text("policy"),
            self.text("external_id"),
        )


def cli_profile(attempt: Attempt, environment: Environment) -> Lent | None:
    """Return the credential of the profile that the aliyun command line uses, None where there is no such file."""
    path = _in_home(".aliyun", "config.json")
    if environment.is_on("CLI_PROFILE_DISABLED") or path is None or not path.is_file():
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        profiles = {profile["name"]: profile for profile in config.get("profiles") or [] if "name" in profile}
        name = environment.of("PROFILE") or config.get("current")
    except (OSError, ValueError, TypeError, AttributeError):
        raise unusable(path, "it cannot be read as profiles of the aliyun command line") from None
    return _of_cli(attempt, environment, path, profiles, str(name or ""))


def credentials_file(attempt: Attempt, environment: Environment) -> Lent | None:
    """Return the credential of the credentials file, None where there is none for the profile in use."""
    named = environment.of("CREDENTIALS_FILE")
    path = Path(named) if named else _in_home(".alibabacloud", "credentials.ini")
    if path is None or not path.is_file():
        return None
    parser = configparser.ConfigParser(inline_comment_prefixes="#", interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error):
        raise unusable(path, "it cannot be read as an INI file") from None
    name = environment.of("PROFILE") or "default"
    if not parser.has_section(name):
        return None
    profile = Profile(path, name, dict(parser.items(name)))
    kind = profile.text("type")
    if kind == "access_key":
        return profile.key()
    if kind == "ram_role_arn":
        role = environment.named(profile.role("role_arn", "role_session_name"))
        return _assumed(attempt, role, profile.key(), environment.sts_host())
    if kind == "oidc_role_arn":
        role = environment.named(profile.role("role_arn", "role_session_name"))
        provider, file = profile.needed("oidc_provider_arn"), profile.needed("oidc_token_file_path")
        return sts.assume_role_with_oidc(attempt, role, provider, file, environment.sts_host())
    if kind == "ecs_ram_role":
        return metadata.instance_role(attempt, profile.text("role_name"))
    return _by_sdk("ProfileCredentialsProvider", str(path), name)


def unusable(path: Path, why: str) -> NoCredentialError:
    """Return the error for a file that is there and cannot be used."""
    return NoCredentialError(f"{path}: {why}", "Correct the file, or remove it.", error=DdsConfigurationError)


def forget_profiles() -> None:
    """Forget what the SDK has read of profiles."""
    _provider.cache_clear()


def _of_cli(
    attempt: Attempt,
    environment: Environment,
    path: Path,
    profiles: Mapping[str, Any],
    name: str,
    chained: tuple[str, ...] = (),
) -> Lent:
    if name not in profiles or name in chained:
        raise unusable(path, f"it has no profile {name!r}" if name not in chained else f"{name!r} leads to itself")
    profile = Profile(path, name, profiles[name])
    mode = profile.text("mode")
    if mode in ("AK", "StsToken"):
        return profile.key("sts_token" if mode == "StsToken" else None)
    if mode == "EcsRamRole":
        return metadata.instance_role(attempt, profile.text("ram_role_name"))
    if mode not in ("OIDC", "RamRoleArn", "ChainableRamRoleArn"):
        return _by_sdk("CLIProfileCredentialsProvider", str(path), name)
    vpc = profile.fields.get("enable_vpc")
    host = environment.sts_host(profile.text("sts_region"), vpc=None if vpc is None else vpc is True)
    if mode == "OIDC":
        role = environment.named(profile.role("ram_role_arn", "role_session_name"))
        provider, file = profile.needed("oidc_provider_arn"), profile.needed("oidc_token_file")
        return sts.assume_role_with_oidc(attempt, role, provider, file, host)
    role = environment.named(profile.role("ram_role_arn", "ram_session_name"))
    if mode == "RamRoleArn":
        key = profile.key()
    else:
        key = _of_cli(attempt, environment, path, profiles, profile.needed("source_profile"), (*chained, name))
    return _assumed(attempt, role, key, host)


def _assumed(attempt: Attempt, role: sts.Role, key: Lent, host: str) -> Lent:
    secrets = tuple(value for value in (key.access_key_secret, key.security_token) if value)
    attempt.mask(secrets)
    return sts.assume_role(replace(attempt, secrets=(*attempt.secrets, *secrets)), role, key, host)


def _by_sdk(provider: str, path: str, name: str) -> Lent:
    try:
        found = _provider(provider, path, name).get_credentials()
    except Exception as error:  # the SDK declares none of what it raises, and its texts may hold tokens
        failed = type(error).__name__
    else:
        return Lent(
            found.get_access_key_id(),
            found.get_access_key_secret(),
            found.get_security_token() or None,
            source=found.get_provider_name(),
        )
    raise NoCredentialError(
        f"profile {name!r} of {path}, which is left to the SDK, gave no credential ({failed})",
        "Try it with Alibaba Cloud's command line, or use a kind of profile that this package knows.",
        error=DdsTransportError,
    )


@lru_cache(maxsize=8)
def _provider(provider: str, path: str, name: str) -> Any:
    """Return the SDK's provider for a profile: it keeps what it was given, and writes some of it back to the file."""
    from alibabacloud_credentials import provider as sdk

    hush()
    return getattr(sdk, provider)(profile_file=path, profile_name=name)


def _in_home(*parts: str) -> Path | None:
    try:
        return Path.home().joinpath(*parts)
    except RuntimeError:  # nobody has a home here
        return None
