"""
The small protocols between the cycle and the world.

Adapters implement them, the daemon only knows them, and ``app`` puts the two together. No logic in here.
"""

from guard.ports.breaker import BreakerBook
from guard.ports.forecasts import Asked, Forecasts, Kept
from guard.ports.history import History
from guard.ports.record import NO_FACTS, Lease, Ledger, Term
from guard.ports.savings import Pending, Potential, Savings, Stop
from guard.ports.world import Clock, JobSource, Progress, Take, Terminator

__all__ = [
    "NO_FACTS",
    "Asked",
    "BreakerBook",
    "Clock",
    "Forecasts",
    "History",
    "JobSource",
    "Kept",
    "Lease",
    "Ledger",
    "Pending",
    "Potential",
    "Progress",
    "Savings",
    "Stop",
    "Take",
    "Term",
    "Terminator",
]
