"""Build the documentation into build/site, and check every link inside it. Nothing is fetched from the network.

make docs
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "site"


class Page(HTMLParser):
    """What a built page links to, what it loads, and which anchors it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag points to. A browser loads by itself what is neither ``a`` nor a link to another page."""
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        goes_by_itself = tag != "a" and found.get("rel") not in ("canonical", "next", "prev")
        self.links += [found[name] for name in ("href", "src") if name in found]
        self.loads += [found[name] for name in ("href", "src") if name in found and goes_by_itself]


def main() -> int:
    """Build, check, and say what was done."""
    began = time.monotonic()
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "true"}
    SITE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=SITE.parent
    ) as scratch:  # what does not hold never takes the place of what did
        built = Path(scratch) / "site"
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(built)]
        if subprocess.run(command, cwd=ROOT, env=quiet, check=False).returncode:
            print("==> the documentation does not build; the warnings are above", file=sys.stderr)
            return 1
        pages, links, broken = check(built)
        if broken:
            print("\n".join([*broken, f"==> {len(broken)} broken links"]), file=sys.stderr)
            return 1
        shutil.rmtree(SITE, ignore_errors=True)
        built.rename(SITE)
    seconds = time.monotonic() - began
    print(f"==> {pages} pages, {links} links inside them, all good, in {seconds:.0f} s: build/site/index.html")
    return 0


def check(site: Path) -> tuple[int, int, list[str]]:
    """Return how many pages and links inside the site there are, and what is wrong with which."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    checked, broken = 0, []
    for path, page in pages.items():
        name = path.relative_to(site)
        broken += [f"{name}: loads {each} from elsewhere" for each in page.loads if urlsplit(each).netloc]
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            checked += 1
            target = path if not parts.path else _target(site, path, unquote(parts.path))
            anchor = unquote(parts.fragment)
            if not target.is_file():
                broken.append(f"{name}: {link} leads nowhere")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                broken.append(f"{name}: {link}: that page has no such anchor")
    return len(pages), checked, broken


def _target(site: Path, page: Path, link: str) -> Path:
    start = site if link.startswith("/") else page.parent
    target = Path(os.path.normpath(start / link.lstrip("/")))
    return target / "index.html" if target.is_dir() else target


if __name__ == "__main__":
    sys.exit(main())
