"""Turn the Sphinx markup in docstrings into Markdown for the API reference. Loaded by mkdocs.yml."""

from __future__ import annotations

import re
from typing import Any

import griffe

PAGES = (
    "operators.create_backup", "sensors.backup", "triggers.backup", "triggers.start", "triggers.instance_free",
    "triggers.base", "waiting.backup_job", "waiting.wait", "creating.instance_free", "hooks.dds",
    "exceptions", "api.models",
)  # fmt: skip
ROLE = re.compile(r":(?:class|func|meth|mod):`~?([\w.]+)`")
SEE_ALSO = re.compile(r"\.\. seealso::\s+(https://\S+)")


class MarkdownDocstrings(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """Return a docstring with links to the service's pages, and to what else is in the reference."""
    return ROLE.sub(_reference, SEE_ALSO.sub(r"See the [page of the service](\1).", text))


def _reference(role: re.Match[str]) -> str:
    path, name = role[1], role[1].rpartition(".")[2]
    if path.startswith(tuple(f"airflow_provider_dds.{page}." for page in PAGES)):
        return f"[`{name}`][{path}]"
    return f"`{name}`"
