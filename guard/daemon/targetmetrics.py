"""
The series of a target: there from when this process acts on it, and gone when it does not any more.

With several replicas only the holder of a target exports its series; the others say 0 in ``costguard_leader``, and no more.
"""

import contextlib
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector


class TargetRegistry(CollectorRegistry):
    """
    A registry that can drop every series of a target.
    """

    def __init__(self) -> None:
        super().__init__()
        self._labelled: list[MetricWrapperBase] = []

    def register(self, collector: Collector) -> None:
        """
        Add a metric.
        """
        super().register(collector)
        if isinstance(collector, MetricWrapperBase):
            # Metrics without such a label refuse.
            with contextlib.suppress(ValueError):
                collector.remove_by_labels({"target": ""})
                self._labelled.append(collector)

    def forget(self, target: str, *, but: Iterable[MetricWrapperBase] = ()) -> None:
        """
        Drop what is labelled with a target.
        """
        kept = set(but)
        for one in self._labelled:
            if one not in kept:
                one.remove_by_labels({"target": target})
