"""
What the guard promises in numbers, measured: ``python -m benchmarks``, or ``make bench``.

Each module measures one promise with the simulator in a process of its own, and puts the bare figure of the same run beside
it. Nothing in here belongs to the guard's package; it may import the guard, and the guard never imports it.
"""

from pathlib import Path

RESULTS = Path(__file__).parent / "results"
