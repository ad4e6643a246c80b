"""
The settings that bound what the guard may do: the limits of terminations, and the breaker.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from guard.core.breaker import BreakerRules
from guard.core.limits import Limits
from guard.core.schema import span_schema
from guard.core.spans import parse_span


def _span(value: object) -> object:
    """
    Turn ``60s`` into milliseconds; anything else is refused with what was expected.
    """
    if isinstance(value, str) and (span_ms := parse_span(value)) is not None:
        return span_ms
    raise ValueError(f"expected a span such as 30s, 15m or 24h, got {value!r}")


SpanMs = Annotated[int, BeforeValidator(_span), WithJsonSchema(span_schema())]


class Strict(BaseModel):
    """
    A part of the settings, which knows no other keys.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False, use_attribute_docstrings=True)


class LimitSettings(Strict):
    """
    How many terminations a sliding window allows.
    """

    window: SpanMs = 3_600_000
    """How far back terminations count."""
    max_terminations: int | None = Field(default=20, ge=0)
    """How many terminations, over all targets and policies; null removes this limit."""
    max_percent_of_running: Decimal | None = Field(default=Decimal(25), ge=0, le=100)
    """How many per cent of the running jobs, at least 3 of them; null removes this limit."""
    max_percent_of_cards: Decimal | None = Field(default=Decimal(50), ge=0, le=100)
    """How many per cent of the cards of the running jobs, at least those of 3 jobs; null removes this limit."""
    max_per_policy: int | None = Field(default=None, ge=0)
    """How many terminations by one policy."""
    max_per_user: int | None = Field(default=None, ge=0)
    """How many terminations of jobs of one user; those whose user cannot be read count as one user."""
    max_per_target: int | None = Field(default=None, ge=0)
    """How many terminations in one target."""
    max_cost_rate: Decimal | None = Field(default=None, ge=0)
    """How much money per hour the terminated jobs may cost together; a job of unknown cost is then never terminated."""

    def as_limits(self) -> Limits:
        """
        Return the limits as the core knows them.
        """
        return Limits(
            window_ms=self.window,
            max_terminations=self.max_terminations,
            max_percent_of_running=_exact(self.max_percent_of_running),
            max_percent_of_cards=_exact(self.max_percent_of_cards),
            max_per_policy=self.max_per_policy,
            max_per_user=self.max_per_user,
            max_per_target=self.max_per_target,
            max_cost_rate=_exact(self.max_cost_rate),
        )


class BreakerSettings(Strict):
    """
    What makes the guard observe only, until a person has looked.
    """

    first_enforce: int | None = Field(default=3, ge=0)
    """How many jobs a policy that is new in enforce acts on before a person confirms it; null asks nobody."""
    match_jump: Decimal | None = Field(default=Decimal(20), gt=0, le=100)
    """By how many per cent of all live jobs (and 10 jobs) the matches of a policy jump, that it stops; null: never."""
    unreadable_jump: Decimal | None = Field(default=Decimal(10), gt=0, le=100)
    """By how many per cent of its jobs (and 10 jobs) those that cannot be read jump, that a target stops; null: never."""
    price_factor: Decimal | None = Field(default=Decimal(3), gt=1)
    """By more than which factor a price changes, that all stops if an act hangs on money; null: never."""
    reset_after: Annotated[SpanMs | None, Field(default=None)] = None
    """After how long an open breaker closes by itself; null: when a person resets it."""

    def as_rules(self) -> BreakerRules:
        """
        Return the rules as the core knows them.
        """
        return BreakerRules(
            first_enforce=self.first_enforce,
            match_jump=_exact(self.match_jump),
            unreadable_jump=_exact(self.unreadable_jump),
            price_factor=_exact(self.price_factor),
            reset_after_ms=self.reset_after,
        )


def _exact(amount: Decimal | None) -> Fraction | None:
    return None if amount is None else Fraction(amount)
