"""
The commands for people who write policies: validate, schema, test.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from guard import commands
from guard.cli.frame import Output, OutputOption, print_json, screen, zone
from guard.cli.top import told
from guard.core.policy import PolicySet
from guard.diagnostics import as_json, as_text, tally
from guard.errors import Severity
from guard.policyfiles import check_paths
from guard.policytests import report_data, run_tests
from guard.schema import SchemaKind, schema_of
from guard.screen import plain
from guard.testscreen import show_tests

policies = typer.Typer(rich_markup_mode=None)


@policies.command()
def validate(
    paths: Annotated[list[Path] | None, typer.Argument(help="Policy files or folders; default: policies/.")] = None,
    timezone: Annotated[str, typer.Option(help="The time zone of bare dates.")] = "UTC",
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for errors.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Print every error of every policy file, with line and column, and warnings about policies that surely do not do what
    they say. Ends with 1 if there is an error.
    """
    with told():
        found = check_paths(paths or [Path("policies")], zone=zone(timezone), now_ms=int(time.time() * 1000))
        shown = [replace(one, severity=Severity.ERROR) if strict else one for one in found.diagnostics]
        wrong = any(one.severity is Severity.ERROR for one in shown)
        if output is Output.JSON:
            sys.stdout.write(as_json(shown, found.contents) + "\n")
        else:
            screen().print(as_text(shown, found.contents), soft_wrap=True, end="")
            summary = ["" if wrong or found.policies is None else _taken(found.policies), tally(shown)]
            screen().print(plain("; ".join(part for part in summary if part)), soft_wrap=True)
        if wrong:
            raise typer.Exit(commands.BAD_INPUT)


def _taken(policies: PolicySet) -> str:
    names = ", ".join(f"{one.name} ({one.mode.value})" for one in policies.policies) or "none"
    return f"ok: {len(policies.policies)} policies: {names}; {len(policies.exemptions)} exemptions"


@policies.command()
def schema(
    kind: Annotated[SchemaKind, typer.Argument(help="Of which file: policies, settings or prices.")] = SchemaKind.POLICIES,
) -> None:
    """
    Print the JSON Schema of policy files, of the settings file or of the price book, for editors.
    """
    print_json(schema_of(kind))


@policies.command("test")
def run_policy_tests(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Folders, policy files or files of tests; default: policies/.")
    ] = None,
    only: Annotated[str, typer.Option("-k", help="Only tests in whose file or name this text stands.")] = "",
    allow_untested: Annotated[
        bool, typer.Option("--allow-untested", help="Take policies without a test that they stop or spare a job.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every test, not only those that fail.")] = False,
    output: OutputOption = Output.TABLE,
    timezone: Annotated[str, typer.Option(help="The time zone of bare dates.")] = "UTC",
) -> None:
    """
    Run the policy tests (*.test.yaml): jobs as facts, moments, and the verdicts that are expected then.
    """
    with told():
        report = run_tests(paths or [Path("policies")], zone=zone(timezone), only=only, allow_untested=allow_untested)
        if output is Output.JSON:
            print_json(report_data(report))
        else:
            show_tests(screen(), report, every=verbose)
        raise typer.Exit(commands.OK if report.passed else commands.BAD_INPUT)
