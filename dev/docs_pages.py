"""Bring the pages that live at the root of the project into the built documentation. Loaded by mkdocs.yml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
FROM_ROOT = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}


def on_files(files: Any, config: Any) -> Any:
    """Add each page of the root, with its links as they are from docs/."""
    for source, target in FROM_ROOT.items():
        text = re.sub(r"\]\(docs/", "](", (ROOT / source).read_text(encoding="utf-8"))
        files.append(File.generated(config, target, content=_links_between_pages(text, "")))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links to pages of the root to where they are in the built documentation."""
    return _links_between_pages(markdown, "../")


def _links_between_pages(text: str, prefix: str) -> str:
    for source, target in FROM_ROOT.items():
        text = text.replace(f"]({prefix}{source}", f"]({target}")
    return text
