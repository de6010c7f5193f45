"""Write what was measured into the page "What waiting costs".

    make bench PAGE=1                                       # measure all, and write the page
    python -m benchmarks.page build/bench/bench.json        # write what was measured before
    python -m benchmarks.page                               # write the page anew from docs/benchmarks/bench.json

The page is docs/waiting.md: what stands between ``<!-- bench:NAME -->`` and ``<!-- /bench:NAME -->`` is written here,
from docs/benchmarks/bench.json, and nothing else is. A benchmark that was not run again keeps what it had.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.plots import can_draw, draw, mark
from benchmarks.record import ROOT, Record, read, write

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.result import Plot, Table

DOCS = ROOT / "docs"
PAGE = Path("waiting.md")
DATA = Path("benchmarks", "bench.json")
IMAGES = Path("images")
BLOCK = re.compile(r"(<!-- bench:(\w+) -->\n).*?(<!-- /bench:\2 -->)", re.DOTALL)


def publish(docs: Path, new: Iterable[Record]) -> list[Path]:
    """Write page, data and plots under ``docs``, with new records in place of older ones; return what was written.

    :param docs: directory of the pages.
    :param new: what was measured now.
    """
    page = docs / PAGE
    there = {found[2] for found in BLOCK.finditer(page.read_text(encoding="utf-8"))}
    kept = {record.result.name: record for record in [*read(docs / DATA), *new] if record.result.name in there}
    records = list(kept.values())
    plots = [plot for record in records for plot in record.result.plots]
    images = [docs / image_of(plot) for plot in plots]
    for plot, image in zip(plots, images, strict=True):
        if not image.exists() or mark(plot) not in image.read_text(encoding="utf-8"):
            draw(plot, image)
    for stale in set((docs / IMAGES).glob("bench-*.svg")).difference(images):
        stale.unlink()
    write(docs / DATA, records)
    page.write_text(with_blocks(page.read_text(encoding="utf-8"), read(docs / DATA)), encoding="utf-8")
    return [page, docs / DATA, *images]


def image_of(plot: Plot) -> Path:
    """Return where a plot is, from the pages."""
    return IMAGES / f"bench-{plot.name}.svg"


def with_blocks(text: str, records: list[Record]) -> str:
    """Return the page with each block written from the records."""
    written = {"targets": targets(records), **{each.result.name: section(each) for each in records}}
    return BLOCK.sub(lambda found: f"{found[1]}\n{written.get(found[2], 'Not measured yet.')}\n\n{found[3]}", text)


def targets(records: list[Record]) -> str:
    """Return all targets as one table."""
    rows = [
        [f"[{record.result.title}](#{record.result.name})", each.text, each.measured, "yes" if each.met else "**no**"]
        for record in records
        for each in record.result.targets
    ]
    return markdown(["Benchmark", "Target", "Measured", "Met"], rows) if rows else "Not measured yet."


def section(record: Record) -> str:
    """Return all that one benchmark has to say."""
    result = record.result
    parts = [part for table in result.tables for part in (f"**{table.title}**", of_table(table))]
    parts += [f"![{plot.title}]({image_of(plot).as_posix()})" for plot in result.plots]
    parts += result.notes
    said = [f"{name} {value}" for name, value in record.versions.items()]
    shape = "; ".join(record.machine.values())
    parts.append(f"*Measured on {record.date} in {record.seconds} s: {', '.join(said)}; {shape}.*")
    return "\n\n".join(parts)


def of_table(table: Table) -> str:
    """Return a table as Markdown."""
    return markdown(table.columns, table.rows)


def markdown(columns: list[str], rows: list[list[Any]]) -> str:
    """Return a table as Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def main() -> None:
    """Write the page from the files on the command line, and from what it showed before."""
    if not can_draw():
        sys.exit("==> matplotlib is not here: pip install -e '.[bench]'")
    records = [record for name in sys.argv[1:] for record in read(Path(name))]
    for path in publish(DOCS, records):
        print(f"==> {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
