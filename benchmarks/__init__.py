"""What waiting costs, measured: each module is one benchmark that prints both sides of its ratios from one run.

    make bench                      # all of them
    make bench BENCHMARKS="polls"   # some

A benchmark is a module with ``measure() -> Result``; ``python -m benchmarks.<name>`` runs one by itself.
"""
