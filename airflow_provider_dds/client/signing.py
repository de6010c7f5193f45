"""The headers of a request to an API of Alibaba Cloud, signed by the SDK's own signer (ACS3-HMAC-SHA256)."""

from __future__ import annotations

import time
from functools import lru_cache
from secrets import token_hex
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_dds import __version__
from airflow_provider_dds.client.quiet import hush

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_dds.client.sources.asking import Lent

ALGORITHM = "ACS3-HMAC-SHA256"
USER_AGENT = f"airflow-provider-dds/{__version__}"
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of nothing: all parameters are in the query."""


class _Signer(NamedTuple):
    """The parts of the SDK that are used here.

    :ivar authorization: what makes the header of that name.
    :ivar user_agent: the SDK's own name, with that of this package.
    """

    authorization: Callable[..., str]
    user_agent: str


class _Request(NamedTuple):
    """A request as the SDK's signer reads it."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    method: str = "POST"
    pathname: str = "/"


def signed_headers(action: str, version: str, host: str, query: Mapping[str, str], key: Lent) -> dict[str, str]:
    """Return the headers of a POST without a body, as a key signs it. Its date and its nonce are new each time.

    :param host: ``name[:port]`` that is asked, as the Host header gives it.
    :param query: parameters, as they are before they are encoded.
    """
    signer = _signer()
    headers = {
        "host": host,
        "accept": "application/json",
        "user-agent": signer.user_agent,
        "x-acs-action": action,
        "x-acs-version": version,
        "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "x-acs-signature-nonce": token_hex(16),
        "x-acs-content-sha256": _EMPTY,
    }
    if key.security_token:
        headers["x-acs-accesskey-id"] = key.access_key_id
        headers["x-acs-security-token"] = key.security_token
    request = _Request(query, headers)
    headers["authorization"] = signer.authorization(
        request, ALGORITHM, _EMPTY, key.access_key_id, key.access_key_secret
    )
    return headers


@lru_cache(maxsize=1)
def _signer() -> _Signer:
    from alibabacloud_tea_openapi.utils import Utils

    hush()
    return _Signer(Utils.get_authorization, Utils.get_user_agent(USER_AGENT))
