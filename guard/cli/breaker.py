"""
The commands of the breaker: show it, reset it, and confirm a policy that is new in enforce.
"""

import asyncio
import time
from dataclasses import asdict
from typing import Annotated

import typer

from guard.breaking import Shown, confirm, reset, shown
from guard.cli.frame import Output, OutputOption, print_json, screen
from guard.cli.top import ConfigOption, told
from guard.core.breaker import Breaker, Scope
from guard.errors import BadInput
from guard.report import iso
from guard.screen import plain, table
from guard.settings import load_settings

breaker = typer.Typer(rich_markup_mode=None, help="The breaker: what is open and why; reset it, confirm a policy.")

ByOption = Annotated[str, typer.Option(help="Who.", envvar="USER")]


@breaker.callback(invoke_without_command=True)
def show(context: typer.Context, config: ConfigOption = None, output: OutputOption = Output.TABLE) -> None:
    """
    Show what the breaker is open for, what it was open for, and which policies wait to be confirmed.
    """
    if context.invoked_subcommand is not None:
        return
    with told():
        found = asyncio.run(shown(load_settings(config), now_ms=_now_ms()))
        if output is Output.JSON:
            print_json(asdict(found))
        else:
            _print(found)


@breaker.command("reset")
def reset_command(
    reason: Annotated[str, typer.Option(help="Why it is safe to go on.")],
    policy: Annotated[str | None, typer.Option(help="Only what is open for this policy.")] = None,
    target: Annotated[str | None, typer.Option(help="Only what is open for this target.")] = None,
    by: ByOption = "",
    config: ConfigOption = None,
) -> None:
    """
    Close the breaker: what waited is terminated within seconds, as far as the limits allow it.
    """
    with told():
        if not reason.strip():
            raise BadInput("--reason: expected why it is safe to go on, got nothing")
        if policy is not None and target is not None:
            raise BadInput("give --policy or --target, or none to close all")
        only = (Scope.POLICY, policy) if policy is not None else None
        only = (Scope.TARGET, target) if target is not None else only
        name, closed = asyncio.run(reset(load_settings(config), by=by, reason=reason, at_ms=_now_ms(), only=only))
        for one in closed:
            screen().print(plain(f"closed for {_whom(one)}: {one.text}"), soft_wrap=True)
        if not closed:
            screen().print(plain("nothing of that was open"))
        screen().print(plain(f"(ledger {name})"))


@breaker.command("confirm")
def confirm_command(
    policy: Annotated[str, typer.Option(help="The name of the policy.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    by: ByOption = "",
    config: ConfigOption = None,
) -> None:
    """
    Confirm a policy that is new in enforce, as its file says it now: it may act on more than the first few jobs.
    """
    with told():
        settings, now_ms = load_settings(config), _now_ms()
        name, found, new = asyncio.run(confirm(settings, policy=policy, by=by, reason=reason, at_ms=now_ms))
        state = "confirmed" if new else "had been confirmed before"
        said = f"policy {found.name} (digest {found.digest}, {found.place}) {state} (ledger {name})"
        screen().print(plain(said), soft_wrap=True)


def _print(found: Shown) -> None:
    screen().print("the breaker is open" if found.open else "the breaker is closed", style="bold")
    rows = [(_whom(one), one.cause.value, iso(one.opened_ms) or "", iso(one.until_ms) or "", one.text) for one in found.open]
    if rows:
        screen().print(table("", ("open for", "cause", "since", "until", "why"), rows))
    past = [
        (
            _whom(one),
            iso(one.opened_ms) or "",
            iso(one.closed_ms or one.until_ms) or "",
            one.closed_by,
            one.closed_why,
            one.text,
        )
        for one in found.earlier
    ]
    if past:
        screen().print(table("", ("was open for", "since", "closed", "by", "because", "why it opened"), past))
    if found.doubt:
        screen().print(plain(f"the policies cannot be read, so who waits is not known: {found.doubt}"), soft_wrap=True)
    for one in found.waiting:
        room = "any number" if one.allowed is None else str(one.allowed)
        said = f"policy {one.policy} ({one.digest}) is not confirmed: it has acted on {one.acted} jobs and may on {room}"
        screen().print(plain(said), soft_wrap=True)
    for word in found.confirmed:
        said = f"policy {word.policy} ({word.digest}) was confirmed at {iso(word.at_ms)} by {word.by or 'somebody'}"
        screen().print(plain(f"{said}: {word.reason}" if word.reason else said), soft_wrap=True)


def _whom(one: Breaker) -> str:
    return f"{one.scope.value} {one.name}".rstrip()


def _now_ms() -> int:
    return int(time.time() * 1000)
