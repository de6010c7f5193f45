"""What a machine is given without a key: the ECS metadata service (IMDSv1 and IMDSv2), and credentials URIs."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from .box import Box

    Keyless = Callable[[Request, str, dict[str, str]], Awaitable[Response]]

ROLES = "/latest/meta-data/ram/security-credentials/"
TOKEN = "/latest/api/token"  # noqa: S105 - a path
TOKEN_HEADER = "x-aliyun-ecs-metadata-token"  # noqa: S105 - the name of a header
_LONGEST = 21_600


def metadata_routes(box: Box, keyless: Keyless) -> list[Route]:
    """Build the routes of the metadata service and of credentials URIs.

    :param keyless: answers an action with JSON, or as a fault says
    """
    plane = _Metadata(box, keyless)
    return [
        Route(TOKEN, plane.token, methods=["PUT"]),
        Route(ROLES, plane.role, methods=["GET"]),
        Route(ROLES + "{role}", plane.credential, methods=["GET"]),
        Route("/credentials/{role}", plane.credentials_uri, methods=["GET"]),
    ]


class _Metadata:
    def __init__(self, box: Box, keyless: Keyless) -> None:
        self._box = box
        self._keyless = keyless
        self._tokens: dict[str, float] = {}

    async def token(self, request: Request) -> Response:
        """Give a token of IMDSv2."""
        self._box.recorder.saw(self._box.service.now, "MetadataToken", request.headers.get("user-agent"))
        metadata = self._box.sts.metadata
        seconds = request.headers.get(f"{TOKEN_HEADER}-ttl-seconds", "")
        if metadata is None or metadata.tokens == "none":
            return _plain(404)
        if not seconds.isdecimal() or not 1 <= int(seconds) <= _LONGEST:
            return _plain(400)
        token = secrets.token_urlsafe(24)
        self._tokens[token] = self._box.sts.wall_clock() + int(seconds)
        return PlainTextResponse(token)

    async def role(self, request: Request) -> Response:
        """Tell the name of the instance's role."""
        self._box.recorder.saw(self._box.service.now, "MetadataRole", request.headers.get("user-agent"))
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        metadata = self._box.sts.metadata
        return _plain(404) if metadata is None or metadata.role is None else PlainTextResponse(metadata.role)

    async def credential(self, request: Request) -> Response:
        """Give the credential of the instance's role."""
        metadata = self._box.sts.metadata
        role = request.path_params["role"]
        refusal = self._refusal(request)
        if refusal is None and (metadata is None or role != metadata.role):
            refusal = _plain(404)
        if refusal is not None:
            self._box.recorder.saw(self._box.service.now, "MetadataCredential", request.headers.get("user-agent"))
            return refusal
        return await self._keyless(request, "MetadataCredential", {"Role": role})

    async def credentials_uri(self, request: Request) -> Response:
        """Give the credential of a role, as a helper beside the worker would."""
        return await self._keyless(request, "CredentialsURI", {"Role": request.path_params["role"]})

    def _refusal(self, request: Request) -> Response | None:
        metadata = self._box.sts.metadata
        token = request.headers.get(TOKEN_HEADER)
        if metadata is None:
            return _plain(404)
        if token is None:
            return _plain(403) if metadata.tokens == "required" else None
        if metadata.tokens == "none" or self._tokens.get(token, 0.0) > self._box.sts.wall_clock():
            return None
        return _plain(401)


def _plain(status: int) -> Response:
    return PlainTextResponse({400: "Bad", 401: "Unauthorized", 403: "Forbidden"}.get(status, "Not Found"), status)
