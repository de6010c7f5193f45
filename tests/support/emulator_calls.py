"""Requests signed by hand, from scratch, as the service's pages tell: nothing here uses the emulator's own code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from airflow_provider_dds.emulator import Emulator, ServiceError

ROOT = Path(__file__).parents[2]
VERSION = "2015-12-01"
_nonces = itertools.count()


def encode(text: str) -> str:
    return quote(str(text), safe="~")


def stamp(offset: float = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset))


def sign_acs3(
    secret: str, method: str, query: dict[str, str], headers: dict[str, str], body: bytes = b""
) -> tuple[str, str]:
    """Compute (canonical request, signature) as the service's page on ACS3-HMAC-SHA256 tells, from scratch."""
    names = sorted(headers)
    canonical = "\n".join(
        [
            method,
            "/",
            "&".join(f"{encode(name)}={encode(query[name])}" for name in sorted(query)),
            *(f"{name}:{headers[name]}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    return canonical, hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


def sign_query(secret: str, method: str, parameters: dict[str, str]) -> tuple[str, str]:
    """Compute (string to sign, signature) as the page on the older signature tells, from scratch."""
    joined = "&".join(f"{encode(name)}={encode(parameters[name])}" for name in sorted(parameters))
    to_sign = f"{method}&%2F&{encode(joined)}"
    digest = hmac.new(f"{secret}&".encode(), to_sign.encode(), hashlib.sha1).digest()
    return to_sign, base64.b64encode(digest).decode()


class Caller:
    """Signs requests by hand and sends them."""

    def __init__(self, emu: Emulator) -> None:
        self.emu = emu
        self.key, self.secret = emu.access_key_id, emu.access_key_secret
        self.http = httpx.Client(base_url=emu.url, timeout=10, verify=False)

    def headers(self, action: str, **more: str) -> dict[str, str]:
        return {
            "host": f"{self.emu.host}:{self.emu.port}",
            "x-acs-action": action,
            "x-acs-version": VERSION,
            "x-acs-date": stamp(),
            "x-acs-signature-nonce": f"nonce-{next(_nonces)}",
            "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
            **more,
        }

    def signed(self, query: dict[str, str], headers: dict[str, str], method: str = "POST") -> dict[str, str]:
        _, signature = sign_acs3(self.secret, method, query, headers)
        names = ";".join(sorted(headers))
        return {
            **headers,
            "authorization": f"ACS3-HMAC-SHA256 Credential={self.key},SignedHeaders={names},Signature={signature}",
        }

    def send(
        self, query: dict[str, str], headers: dict[str, str], method: str = "POST", path: str = "/"
    ) -> httpx.Response:
        text = "&".join(f"{encode(name)}={encode(value)}" for name, value in query.items())
        return self.http.request(method, f"{path}?{text}", headers=headers)

    def raw(self, action: str, **query: Any) -> httpx.Response:
        """Call an action and return the HTTP answer, whatever it is."""
        texts = {name: str(value) for name, value in query.items()}
        return self.send(texts, self.signed(texts, self.headers(action)))

    def __call__(self, action: str, **query: Any) -> dict[str, Any]:
        """Call an action and return its answer; an error answer becomes a ServiceError."""
        response = self.raw(action, **query)
        body = response.json()
        if response.status_code != 200:
            raise ServiceError(response.status_code, body["Code"], body["Message"])
        return body

    def refusal(self, action: str, **query: Any) -> tuple[int, str]:
        """Call an action that must be refused and return (HTTP status, code)."""
        with pytest.raises(ServiceError) as caught:
            self(action, **query)
        return caught.value.status, caught.value.code
