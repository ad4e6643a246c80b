"""
The questions that panels ask: PromQL over the guard's own metrics alone; no recording rule is needed.

Several replicas export the same series; ``once`` counts each of them once. Counters that the ledger backs are shown as they
stand rather than as an increase, because they go on over a restart and an increase would lose what happened around it.
"""

GUARD = 'job=~"$job"'
TARGET = f'{GUARD},target=~"$target"'
POLICY = f'{GUARD},policy=~"$policy"'
BOTH = f'{TARGET},policy=~"$policy"'


def once(series: str, *labels: str) -> str:
    """
    Return the series of all replicas as one for each combination of *labels*.
    """
    return f"max by ({', '.join(('namespace', 'job', *labels))}) ({series})"


def total(series: str, *labels: str, by: str = "") -> str:
    """
    Return the sum over *labels*, by one of them if asked, with replicas counted once.
    """
    return f"sum{f' by ({by})' if by else ''} ({once(series, *labels)})"


def some(query: str) -> str:
    """
    Return only the series above 0, where most of many would be 0 and hide the rest.
    """
    return f"{query} > 0"


def quantile(share: float, histogram: str, *, by: str = "", over: str = "$__rate_interval") -> str:
    """
    Return a quantile of a histogram (name and matchers without ``_bucket``) over a span; absent where nothing was observed.
    """
    name, _, matchers = histogram.partition("{")
    rates = f"sum by ({f'{by}, ' if by else ''}le) (rate({name}_bucket{{{matchers}[{over}]))"
    return f"histogram_quantile({share}, {rates}) >= 0"
