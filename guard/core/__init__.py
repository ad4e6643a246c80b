"""
The decisions of the guard: pure functions over frozen values.

Nothing in here reads a clock, a file, the network or the environment, and nothing logs. The moment is always an argument,
in whole milliseconds since 1970 (UTC), and its name ends in ``_ms``.
"""
