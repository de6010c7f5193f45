"""Checking who sent a request: ACS3-HMAC-SHA256 in headers, or HMAC-SHA1 in the parameters."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from .clock import parse_utc
from .errors import ServiceError, missing_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .clock import Clock
    from .credentials import Credential

ACS3 = "ACS3-HMAC-SHA256"
SKEW_SECONDS = 15 * 60
"""How far a request's date may be from the server's."""

_AUTHORIZATION = re.compile(
    r"ACS3-HMAC-SHA256 +Credential=(?P<key>[^,]+), *SignedHeaders=(?P<headers>[^,]+), *"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_MUST_BE_SIGNED = ("host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-security-token")


@dataclass(frozen=True)
class SignedRequest:
    """The parts of an HTTP request that a signature covers; header names in lower case."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    form: list[tuple[str, str]]
    body: bytes

    def parameter(self, name: str) -> str | None:
        """Return a parameter of the query or the form."""
        return next((value for key, value in [*self.query, *self.form] if key == name), None)


@dataclass(frozen=True)
class _Claim:
    """What a request says about its sender, and how to prove it."""

    access_key_id: str
    security_token: str | None
    date: str | None
    nonce: str | None
    signature: str
    to_sign: str
    shown_to_sign: str

    def expected(self, secret: str, *, acs3: bool) -> str:
        if acs3:
            return hmac.new(secret.encode(), self.to_sign.encode(), hashlib.sha256).hexdigest()
        digest = hmac.new(f"{secret}&".encode(), self.to_sign.encode(), hashlib.sha1).digest()
        return base64.b64encode(digest).decode()


class Gatekeeper:
    """Tells genuine requests from others, and remembers nonces.

    :param wall_clock: what request dates are compared with: the machine's time with the service's skew
    """

    def __init__(self, wall_clock: Clock) -> None:
        self._wall_clock = wall_clock
        self._nonces: dict[tuple[str, str], float] = {}

    def admit(self, request: SignedRequest, credentials: Mapping[str, Credential], missing: str) -> Credential:
        """Return the credential that signed a request.

        :param missing: how a missing parameter is refused, a value of ``Readings.missing_parameter``
        :raises ServiceError: the request is not genuine
        """
        acs3 = "authorization" in request.headers
        claim = _acs3_claim(request) if acs3 else _query_claim(request, missing)
        credential = credentials.get(claim.access_key_id)
        if credential is None:
            raise ServiceError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if not credential.active:
            raise ServiceError(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
        now = self._wall_clock()
        self._check_date(claim.date, now, missing)
        _check_token(claim.security_token, credential, now)
        if not hmac.compare_digest(claim.expected(credential.access_key_secret, acs3=acs3), claim.signature):
            raise ServiceError(
                400,
                "SignatureDoesNotMatch",
                "Specified signature is not matched with our calculation. "
                f"server string to sign is:{claim.shown_to_sign}",
            )
        self._use_nonce(credential.access_key_id, claim.nonce, now, missing)
        return credential

    def _check_date(self, date: str | None, now: float, missing: str) -> None:
        if not date:
            raise missing_parameter("Timestamp", missing)
        moment = parse_utc(date)
        if moment is None:
            raise ServiceError(
                400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted."
            )
        if abs(now - moment) > SKEW_SECONDS:
            raise ServiceError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")

    def _use_nonce(self, key: str, nonce: str | None, now: float, missing: str) -> None:
        if not nonce:
            raise missing_parameter("SignatureNonce", missing)
        while self._nonces and next(iter(self._nonces.values())) < now:  # the oldest come first
            del self._nonces[next(iter(self._nonces))]
        if (key, nonce) in self._nonces:
            raise ServiceError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces[key, nonce] = now + 2 * SKEW_SECONDS


def _check_token(token: str | None, credential: Credential, now: float) -> None:
    if credential.security_token is None:
        if token:
            raise ServiceError(
                400,
                "InvalidSecurityToken.MismatchWithAccessKey",
                "Specified SecurityToken mismatch with the AccessKey.",
            )
        return
    if not token:
        raise ServiceError(400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
    if not hmac.compare_digest(token.encode(), credential.security_token.encode()):
        raise ServiceError(400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")
    if credential.expired(now):
        raise ServiceError(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")


def _acs3_claim(request: SignedRequest) -> _Claim:
    headers = request.headers
    match = _AUTHORIZATION.fullmatch(headers["authorization"].strip())
    if match is None:
        raise _incomplete("Authorization is not of the form that ACS3-HMAC-SHA256 prescribes.")
    signed = match["headers"].split(";")
    unsigned = [name for name in _MUST_BE_SIGNED if name in headers and name not in signed]
    if unsigned:
        raise _incomplete(f"Headers that must be signed are not: {', '.join(unsigned)}.")
    absent = [name for name in signed if name not in headers]
    if absent:
        raise _incomplete(f"Signed headers are not sent: {', '.join(absent)}.")
    payload = hashlib.sha256(request.body).hexdigest()
    sent_payload = headers.get("x-acs-content-sha256", payload)
    if sent_payload != payload:
        raise ServiceError(400, "SignatureDoesNotMatch", "x-acs-content-sha256 is not the SHA-256 of the body.")
    query = "&".join(f"{_encode(name)}={_encode(value)}" for name, value in sorted(request.query))

    def canonical(shown: Mapping[str, str]) -> str:
        lines = "".join(f"{name}:{shown[name].strip()}\n" for name in sorted(signed))
        return "\n".join([request.method, request.path, query, lines, ";".join(sorted(signed)), payload])

    to_sign = f"{ACS3}\n{hashlib.sha256(canonical(headers).encode()).hexdigest()}"
    shown = {**headers, "x-acs-security-token": "***"}
    return _Claim(
        access_key_id=match["key"],
        security_token=headers.get("x-acs-security-token"),
        date=headers.get("x-acs-date"),
        nonce=headers.get("x-acs-signature-nonce"),
        signature=match["signature"],
        to_sign=to_sign,
        shown_to_sign=f"{to_sign} server canonical request is:{canonical(shown)}",
    )


def _query_claim(request: SignedRequest, missing: str) -> _Claim:
    access_key_id = request.parameter("AccessKeyId")
    if not access_key_id:
        raise missing_parameter("AccessKeyId", missing)
    signature = request.parameter("Signature")
    if not signature:
        raise missing_parameter("Signature", missing)
    for name, value in (("SignatureMethod", "HMAC-SHA1"), ("SignatureVersion", "1.0")):
        if request.parameter(name) != value:
            raise _incomplete(f"{name} must be {value}.")
    pairs = sorted(pair for pair in [*request.query, *request.form] if pair[0] != "Signature")

    def canonical(parameters: list[tuple[str, str]]) -> str:
        joined = "&".join(f"{_encode(name)}={_encode(value)}" for name, value in parameters)
        return f"{request.method}&{_encode('/')}&{_encode(joined)}"

    shown = [(name, "***" if name == "SecurityToken" else value) for name, value in pairs]
    return _Claim(
        access_key_id=access_key_id,
        security_token=request.parameter("SecurityToken"),
        date=request.parameter("Timestamp"),
        nonce=request.parameter("SignatureNonce"),
        signature=signature,
        to_sign=canonical(pairs),
        shown_to_sign=canonical(shown),
    )


def _incomplete(reason: str) -> ServiceError:
    return ServiceError(
        400, "IncompleteSignature", f"The request signature does not conform to Aliyun standards. {reason}"
    )


def _encode(text: str) -> str:
    return quote(text, safe="~")
