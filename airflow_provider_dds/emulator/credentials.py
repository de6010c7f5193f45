"""Access keys that the emulator knows."""

from __future__ import annotations

from dataclasses import dataclass, field

from .clock import parse_utc


@dataclass(frozen=True)
class Credential:
    """An access key, or, with a security token, a temporary one of STS."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    expires_at: str | None = None
    """When the security token expires, such as ``2026-01-31T12:00:00Z``; None: never."""
    actions: list[str] | None = None
    """The actions its policies allow; None: all."""
    active: bool = True
    """False: the key is disabled."""

    def __post_init__(self) -> None:
        for name in ("access_key_id", "access_key_secret"):
            if not getattr(self, name):
                raise ValueError(f"{name}: must not be empty")
        if self.expires_at is not None:
            if self.security_token is None:
                raise ValueError("expires_at: only a credential with a security_token expires")
            if parse_utc(self.expires_at) is None:
                raise ValueError("expires_at: must look like 2026-01-31T12:00:00Z")

    def expired(self, now: float) -> bool:
        """Tell whether the security token is past its end.

        :param now: the present in epoch seconds
        """
        end = None if self.expires_at is None else parse_utc(self.expires_at)
        return end is not None and now >= end

    def allows(self, action: str) -> bool:
        """Tell whether the key's policies allow an action.

        :param action: API action
        """
        return self.actions is None or action in self.actions


SECRET = ("access_key_secret", "security_token")
"""Fields of a credential that no answer shows."""
DEFAULT_CREDENTIAL = Credential("emulator-access-key-id", "emulator-access-key-secret")
"""The key of an emulator that is not told any: it opens nothing but the emulator."""
