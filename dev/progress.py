"""One line that shows how far something is: redrawn on a terminal, written anew on each change elsewhere."""

from __future__ import annotations

import shutil
import sys
from typing import TextIO

WIDTH = 30


class ProgressLine:
    """Shows a bar, a word, a percentage and the time gone by."""

    def __init__(self, out: TextIO | None = None, step: float = 20) -> None:
        """Write to ``out``; where that is no terminal, at each new word and each ``step`` per cent."""
        self._out = out or sys.stdout
        self._live = self._out.isatty()
        self._step = step
        self._drawn = False
        self._last: tuple[str, int] | None = None

    def show(self, word: str, percent: float, elapsed: float, note: str = "") -> None:
        """Show the present state."""
        filled = round(WIDTH * min(max(percent, 0), 100) / 100)
        bar = "#" * filled + "." * (WIDTH - filled)
        line = f"    [{bar}] {percent:3.0f} %  {word:<10} {elapsed:4.0f} s  {note}".rstrip()
        if self._live:
            self._out.write(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}")
            self._drawn = True
        elif (mark := (word, int(percent // self._step))) != self._last:
            self._out.write(f"{line}\n")
            self._last = mark
        self._out.flush()

    def end(self) -> None:
        """Leave the line as it is and go on below it."""
        if self._drawn:
            self._out.write("\n")
            self._out.flush()
            self._drawn = False
