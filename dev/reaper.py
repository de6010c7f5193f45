"""Ends what its parent leaves behind: reads session ids until the parent is gone, then kills them."""

from __future__ import annotations

import shutil
import signal
import sys

from dev.processes import kill_sessions


def main() -> None:
    """Wait for the end of the standard input, then clean up."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sessions = [int(line) for line in sys.stdin if line.strip()]
    kill_sessions(sessions)
    for scratch in sys.argv[1:]:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
