"""
The breaker: what makes it open, for whom, and how many jobs a policy that nobody has confirmed may act on.

Anomalies are jumps against a remembered *level*, never absolute values, so what is always so opens nothing:

* matches: policy p matches m of w live jobs now, and matched m0 of w0 when its level was taken. It opens for p if
  m - m0 >= 10 and m/w - m0/w0 >= match_jump per cent (20).
* unreadable: the same for the jobs of a target whose phase or resources could not be read, by unreadable_jump (10), for the
  target.
* prices: a resource of the fleet costs b per node and hour by the prices now, and cost a when its level was taken. It opens
  for all if b > a x price_factor or a > b x price_factor (3), so 0 against anything else always; and if the currency is
  another.

The levels are taken anew at the end of every complete walk, and before an act if there is none. While a breaker is open, its
level stays; when it closes, its level is what holds then, so that the same anomaly does not open it again (it does not
flap), and the next one does. A policy with another digest is another one, and has no level yet; ``first_enforce`` bounds
that one.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from guard.core.hold import Hold

LEAST_JOBS = 10


class Scope(enum.StrEnum):
    """
    For what a breaker is open.
    """

    ALL = "all"
    TARGET = "target"
    POLICY = "policy"


class Cause(enum.StrEnum):
    """
    Which anomaly opened it.
    """

    MATCHES = "matches"
    UNREADABLE = "unreadable"
    PRICES = "prices"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """
    The numbers of the breaker, None for what is switched off: jobs that a policy acts on before it is confirmed, jumps in
    per cent of the jobs, the factor of a price, and after how long an open breaker closes by itself.
    """

    first_enforce: int | None = 3
    match_jump: Fraction | None = Fraction(20)
    unreadable_jump: Fraction | None = Fraction(10)
    price_factor: Fraction | None = Fraction(3)
    reset_after_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """
    A breaker that was opened: for the policy or target *name* ("" for all), why, and since when; *until_ms* is when it
    closes by itself. *closed_ms* is None while nobody closed it.
    """

    scope: Scope
    name: str
    cause: Cause
    text: str
    by: str
    opened_ms: int
    until_ms: int | None = None
    closed_ms: int | None = None
    closed_by: str = ""
    closed_why: str = ""

    def holds(self, now_ms: int) -> bool:
        """
        Tell whether it is open at that moment.
        """
        return self.closed_ms is None and (self.until_ms is None or now_ms < self.until_ms)

    def covers(self, target: str, policy: str) -> bool:
        """
        Tell whether it is open for an act of that policy in that target; of a *policy* "" only what is open for all of them.
        """
        return self.scope is Scope.ALL or self.name == (target if self.scope is Scope.TARGET else policy)

    @property
    def hold(self) -> Hold:
        """
        What it holds back for.
        """
        whom = f"{self.scope.value} {self.name}".rstrip()
        return Hold(reason="breaker", text=f"the breaker is open for {whom}: {self.text}; see guard breaker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """
    A person's word that a policy (name and digest) may act on more than the first few jobs.
    """

    policy: str
    digest: str
    by: str
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """
    So many jobs of so many.
    """

    count: int
    of: int

    def __str__(self) -> str:
        return f"{self.count} of {self.of} jobs"


def jumped(now: Share, level: Share, *, by_percent: Fraction) -> bool:
    """
    Tell whether a share has risen by that many per cent of the jobs, and at least ten jobs, above its level.

    The larger of both fleets is divided by, so that a fleet of which only a part was read yet shows no rise that is none.
    """
    if now.count - level.count < LEAST_JOBS:
        return False
    return _part(now.count, max(now.of, level.of)) - _part(level.count, level.of) >= by_percent / 100


def _part(count: int, of: int) -> Fraction:
    return Fraction(count, of) if of else Fraction(0)


Rates = Mapping[str, Fraction]
"""What resources cost per node and hour, by a text that names them."""


def repriced(now: Rates, level: Rates, *, factor: Fraction) -> str:
    """
    Return the price that differs from its level by more than a factor, as text; "" if none does. What only one knows is
    none.
    """
    for what in sorted(now.keys() & level.keys()):
        before, after = level[what], now[what]
        if after > before * factor or before > after * factor:
            return f"{what} costs {float(after):g} per node and hour instead of {float(before):g}"
    return ""
