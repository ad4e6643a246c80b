"""
The metrics of the audit: where each chain ends.
"""

from prometheus_client import CollectorRegistry, Gauge

from guard.core.hashchain import LEDGER, Head


class AuditMetrics:
    """
    The gauges of the chains' heads, in *registry* under *prefix*. Whoever keeps the samples keeps a witness.
    """

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, ["target"], namespace=prefix, registry=registry)

        self._position = gauge("audit_head_position", "How many entries the audit of a target has; never falls.")
        self._hash = gauge("audit_head_hash", "The first 48 bits of the hash of the newest of them, as a number.")
        self._changed = gauge(
            "audit_changed", "1 once an entry was seen changed or removed; the ledger was written to by hand."
        )
        self._known: set[str] = set()
        self.start(LEDGER)

    def start(self, target: str) -> None:
        """
        Put the chain of a target at 0; only such chains are shown.
        """
        self._known.add(target)
        for one in (self._position, self._hash, self._changed):
            one.labels(target)

    def end(self, target: str) -> None:
        """
        Show the chain of a target no more; its series are dropped by whoever drops all of the target's.
        """
        self._known.discard(target)

    def show(self, head: Head) -> None:
        """
        Show where a chain ends.
        """
        if head.chain not in self._known:
            return
        self._position.labels(head.chain).set(head.position)
        self._hash.labels(head.chain).set(head.number)

    def changed(self, target: str) -> None:
        """
        Show that a chain is not what it was.
        """
        if target in self._known:
            self._changed.labels(target).set(1)
