"""
What a person moves of what holds the guard back: the pause, the breaker, and the word that a new policy waits for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from guard.commands import recorded
from guard.core.breaker import Breaker, Confirmation, Scope
from guard.core.load import load
from guard.core.policy import Policy
from guard.core.records import Pause
from guard.errors import BadInput, LedgerUnusable
from guard.ledger.engine import is_shared, parse, place
from guard.ledger.opening import open_ledger
from guard.policyfiles import read_folder
from guard.settings import Settings

LAST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """
    A policy in enforce that nobody has confirmed: how many jobs it has *acted* on, of how many it may (None: any number).
    """

    policy: str
    digest: str
    acted: int
    allowed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """
    What is *open* now, what was opened last and is not any more, and the policies that are *waiting* for a confirmation;
    *doubt* is why the policies could not be read.
    """

    open: Sequence[Breaker]
    earlier: Sequence[Breaker]
    waiting: Sequence[Waiting]
    confirmed: Sequence[Confirmation]
    doubt: str = ""


async def set_pause(settings: Settings, pause: Pause | None, *, at_ms: int) -> str:
    """
    Pull or lift the kill switch of the ledger and return its name; the acting process obeys it before its next call.
    """
    ledger = await open_ledger(await _existing(settings))
    try:
        await ledger.set_pause(pause, at_ms=at_ms)
        return ledger.name
    finally:
        await ledger.aclose()


async def shown(settings: Settings, *, now_ms: int) -> Shown:
    """
    Return the state of the breaker, by the policies as their files stand now.
    """
    rules = settings.breaker_in_force()
    policies, doubt = {}, ""
    try:
        policies = {(one.name, one.digest): one for one in _policies(settings) if one.terminates}
    except BadInput as error:
        # Whoever looks for an open breaker must see it, whatever is wrong with the policies.
        doubt = str(error)
    async with recorded(settings) as ledger:
        newest = await ledger.breaker.newest(limit=LAST)
        unclosed = await ledger.breaker.unclosed()
        acted = await ledger.breaker.acted(policies)
        confirmed = [one for one in await ledger.breaker.confirmed() if (one.policy, one.digest) in policies]
    allowed = None if rules is None else rules.first_enforce
    return Shown(
        open=[one for one in unclosed if one.holds(now_ms)],
        earlier=[one for one in newest if not one.holds(now_ms)],
        waiting=[
            Waiting(policy=name, digest=digest, acted=len(jobs), allowed=allowed)
            for (name, digest), jobs in sorted(acted.items())
        ],
        confirmed=confirmed,
        doubt=doubt,
    )


async def reset(
    settings: Settings, *, by: str, reason: str, at_ms: int, only: tuple[Scope, str] | None
) -> tuple[str, Sequence[Breaker]]:
    """
    Close the breaker; return the name of the ledger and what was closed.
    """
    ledger = await open_ledger(await _existing(settings))
    try:
        return ledger.name, await ledger.breaker.reset(by=by, reason=reason, at_ms=at_ms, only=only)
    finally:
        await ledger.aclose()


async def confirm(settings: Settings, *, policy: str, by: str, reason: str, at_ms: int) -> tuple[str, Policy, bool]:
    """
    Confirm a policy as its file stands now; return the name of the ledger, the policy, and whether that is new.

    Raises ``BadInput`` if there is no such policy that terminates.
    """
    found = next((one for one in _policies(settings) if one.name == policy), None)
    if found is None:
        raise BadInput(f"there is no policy {policy!r} in {settings.policies}")
    if not found.terminates:
        raise BadInput(f"policy {policy} does not terminate: mode {found.mode.value}, action {found.action.value}")
    ledger = await open_ledger(await _existing(settings))
    try:
        made = Confirmation(policy=found.name, digest=found.digest, by=by, reason=reason, at_ms=at_ms)
        return ledger.name, found, await ledger.breaker.confirm(made)
    finally:
        await ledger.aclose()


def _policies(settings: Settings) -> Sequence[Policy]:
    return load(read_folder(settings.policies), zone=settings.zone).policies


async def _existing(settings: Settings) -> str:
    """
    Return the URL of the ledger; one that is not there is not made: a path that leads elsewhere than the daemon's would
    change nothing.
    """
    url = parse(settings.ledger)
    if is_shared(url):
        # Reading sets no database up, but says that it is none of a guard.
        async with recorded(settings):
            return settings.ledger
    path = place(url)
    if path is not None and not path.exists():
        raise LedgerUnusable(f"there is no ledger {path}, so no guard acts by it; name the daemon's settings with --config")
    return settings.ledger
