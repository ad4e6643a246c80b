"""
What the ledger keeps: intents with their outcomes, pauses, and the totals that counters are seeded from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from guard.core.facts import Job, JobKey
from guard.core.judge import Trace
from guard.core.protocol import Outcome, State
from guard.core.windows import Bounds, Place, rate_of
from guard.core.work import Basis, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """
    An intent before it is recorded.

    *facts* are the facts of the job as text, *reason* one sentence and *traces* the whole of it, one for each resource.
    *cost_per_hour* is exact money as text ("" if unknown) in *currency*; *cards* are the accelerators that a termination
    frees, *work* is what savings ask of it. *user* is None if it cannot be read. All moments are milliseconds of service
    time.
    """

    key: JobKey
    target: str
    workspace: str
    run: int
    policy: str
    digest: str
    facts: Mapping[str, str]
    reason: str
    deadline_ms: int
    due_ms: int
    attempt: int
    fingerprint: str
    cost_per_hour: str = ""
    currency: str = ""
    cards: int | None = None
    traces: tuple[Trace, ...] = ()
    work: Work | None = None
    user: str | None = None

    @property
    def place(self) -> Place:
        """
        What the intent takes up in the window of the limits.
        """
        return Place(
            policy=self.policy,
            project=(self.key.region, self.key.project_id),
            user=self.user,
            cards=self.cards,
            cost_rate=rate_of(self.cost_per_hour),
            currency=self.currency,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """
    A recorded intent; *outcome* is None while it is open.

    *state* is the newest of its steps. *sending_ms* is set before the first terminate call leaves, *accepted_ms* when one
    was accepted. *lateness_ms* is from due to acceptance. Savings are money in the draft's currency, None while they are not
    estimated: *savings_expected* if they are measured, else *savings_assumed*.
    """

    number: int
    draft: Draft
    state: State
    created_ms: int
    sending_ms: int | None = None
    accepted_ms: int | None = None
    closed_ms: int | None = None
    outcome: Outcome | None = None
    note: str = ""
    cost: Decimal | None = None
    savings_upper: Decimal | None = None
    savings_expected: Decimal | None = None
    savings_lower: Decimal | None = None
    savings_assumed: Decimal | None = None

    @property
    def sent(self) -> bool:
        """
        Whether a terminate call may have left.
        """
        return self.sending_ms is not None

    @property
    def lateness_ms(self) -> int | None:
        """
        The milliseconds from due to the accepted call, or None if none was accepted.
        """
        return None if self.accepted_ms is None else max(0, self.accepted_ms - self.draft.due_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """
    The room in the limits' window: at most *total* intents (None: any number) that reached sending since *since_ms* or are
    open, within the other *bounds*; and how many jobs a policy acts on before a person confirms it (*first_enforce*).
    """

    total: int | None
    since_ms: int
    bounds: Bounds = field(default_factory=Bounds)
    first_enforce: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """
    How an intent ends: the outcome, a sentence, and the money of a confirmed termination where it is known.

    *reading* is the one that shows the end of the job's run, if there is one.
    """

    outcome: Outcome
    note: str
    cost: Decimal | None = None
    savings_upper: Decimal | None = None
    basis: Basis | None = None
    reading: Job | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """
    The kill switch of the ledger: who pulled it, why, and until when (None: until it is lifted).
    """

    reason: str
    since_ms: int
    until_ms: int | None = None
    by: str = ""

    def holds(self, now_ms: int) -> bool:
        """
        Tell whether the pause is still in force.
        """
        return self.until_ms is None or now_ms < self.until_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """
    A complete walk of a target: what belonged to it then (*scope*), how many of its jobs were *running*, the *cards* of
    these and the most of one of them (None: an earlier version walked).
    """

    target: str
    scope: str
    started_ms: int
    finished_ms: int
    running: int
    cards: int | None = None
    largest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """
    What the ledger has counted for one (target, policy, currency): confirmed terminations' money and cards.
    """

    target: str
    policy: str
    outcome: Outcome
    currency: str
    count: int
    cards: int
    savings_upper: Decimal
    savings_expected: Decimal = Decimal(0)
    savings_lower: Decimal = Decimal(0)
    savings_assumed: Decimal = Decimal(0)
