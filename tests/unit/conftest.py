"""How hypothesis draws here."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # a loaded machine is no bug
settings.load_profile("unhurried")
