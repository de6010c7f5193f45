"""The check of the built documentation finds what is broken, and only that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.docs import check

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "hook.html").write_text('<h1 id="hook">Hook</h1><a href="../index.html">back</a>')
    (tmp_path / "style.css").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('<a href="api/hook.html#hook">good</a> <a href="#here" id="here">good</a>', []),
        ('<link rel="stylesheet" href="style.css"> <a href="https://example.com/">not asked</a>', []),
        ('<a href="api/none.html">bad</a>', ["index.html: api/none.html leads nowhere"]),
        ('<a href="api/hook.html#none">bad</a>', ["index.html: api/hook.html#none: that page has no such anchor"]),
        ('<a href="#none">bad</a>', ["index.html: #none: that page has no such anchor"]),
        ('<img src="picture.png">', ["index.html: picture.png leads nowhere"]),
        (
            '<script src="https://example.com/a.js"></script>',
            ["index.html: loads https://example.com/a.js from elsewhere"],
        ),
        (
            '<link rel="stylesheet" href="//example.com/font.css">',
            ["index.html: loads //example.com/font.css from elsewhere"],
        ),
    ],
)
def test_what_is_broken_is_told(site: Path, text: str, said: list[str]) -> None:
    (site / "index.html").write_text(text)
    pages, _, broken = check(site)
    assert pages == 2
    assert broken == said


def test_sphinx_markup_becomes_markdown() -> None:
    pytest.importorskip("griffe", reason="comes with the extra docs, which not every environment has")
    from dev.docs_docstrings import as_markdown

    assert as_markdown(
        "Like :meth:`describe_backups`, with a :class:`~airflow_provider_dds.api.models.BackupSet`."
    ) == ("Like `describe_backups`, with a [`BackupSet`][airflow_provider_dds.api.models.BackupSet].")
    assert as_markdown(".. seealso::\n    https://example.com/page\n") == (
        "See the [page of the service](https://example.com/page).\n"
    )
