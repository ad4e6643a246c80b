"""
Policies, for those who write them: what one policy would do, what it did, what it could not judge, and what went wrong.
"""

from dashboards.board import Board
from dashboards.panels import NONE_IS_WELL, Look, bars, grid, lines, number
from dashboards.queries import BOTH, POLICY, once, some, total

COUNT = Look(lowest=0)
NOTHING = Look(empty="none yet")
POTENTIAL = f"costguard_potential_terminations_total{{{POLICY}}}"
CONFIRMED = f'costguard_terminations_total{{{BOTH},outcome="confirmed"}}'
HARM = f'costguard_terminations_total{{{BOTH},outcome=~"refused|failed|unconfirmed"}}'


def verdict(name: str) -> str:
    """
    Return the jobs with a verdict.
    """
    return f'costguard_verdicts{{{POLICY},verdict="{name}"}}'


def policies() -> Board:
    """
    Return the board.
    """
    board = Board(
        "cost-guard-policies",
        "Cost Guard / Policies",
        "One policy or several: what it matches, what it would do if it were armed, what it did, and what went wrong.",
        since="now-24h",
    )
    board.add(
        number("Matching now", "Live jobs that break the policy at this moment.", total(verdict("MATCH"), "policy")),
        number(
            "Unknown now",
            "Jobs that the policy cannot judge, because a fact is missing or unreadable. They are never terminated by it.",
            total(verdict("UNKNOWN"), "policy"),
            Look(steps=NONE_IS_WELL),
        ),
        number(
            "Terminated",
            "Confirmed terminations since the ledger began.",
            total(CONFIRMED, "target", "policy"),
        ),
        number(
            "Not terminated",
            "Matches that led to no call, each job and run once, since the ledger began.",
            total(POTENTIAL, "policy", "reason"),
        ),
        number(
            "Went wrong",
            "Terminations that were refused, failed or were never confirmed, since the ledger began.",
            total(HARM, "target", "policy", "outcome"),
            Look(steps=((None, "green"), (1, "red"))),
        ),
        number(
            "Saved at most",
            "An upper bound, since the ledger began; only confirmed terminations count.",
            {
                "{{currency}}": total(
                    f"costguard_savings_upper_total{{{BOTH}}}", "target", "policy", "currency", by="currency"
                )
            },
            Look(unit="locale", decimals=2, empty="no price book"),
        ),
        height=4,
    )
    board.section("What it sees")
    board.add(
        lines(
            "Jobs that match",
            "A jump after a blue mark (a change of the policies) deserves a second look before anything else.",
            {"{{policy}}": total(verdict("MATCH"), "policy", by="policy")},
            COUNT,
            steps=True,
        ),
        lines(
            "Share of all jobs that match",
            "The alert on a jump begins at a fifth of all jobs.",
            {
                "{{policy}}": f"{total(verdict('MATCH'), 'policy', by='policy')} / "
                f"({total(f'costguard_verdicts{{{POLICY}}}', 'policy', 'verdict', by='policy')} > 0)"
            },
            Look(unit="percentunit", lowest=0, highest=1, steps=((None, "green"), (0.2, "orange"))),
            steps=True,
        ),
        lines(
            "Jobs that cannot be judged",
            "Unknown is neither a match nor none, and never leads to a termination.",
            {"{{policy}}": total(verdict("UNKNOWN"), "policy", by="policy")},
            COUNT,
            steps=True,
        ),
    )
    board.section("What it would do, and what it did")
    board.add(
        bars(
            "Would have saved, measured",
            "Of jobs that a policy only observed and that have ended since: what they cost from the match to their own end. "
            "guard explain --policy says whom it would have hurt. Since the ledger began.",
            {
                "{{policy}} ({{currency}})": total(
                    f"costguard_potential_savings_total{{{BOTH}}}", "target", "policy", "currency", by="policy, currency"
                )
            },
            Look(unit="locale", decimals=2, empty="no price book"),
        ),
        lines(
            "Potential against enforced",
            "Terminations that were confirmed, beside matches that led to no call: observed, disarmed, exempt, held back.",
            {
                "enforced {{policy}}": some(total(CONFIRMED, "target", "policy", by="policy")),
                "potential {{policy}}": some(total(POTENTIAL, "policy", "reason", by="policy")),
            },
            COUNT,
            steps=True,
        ),
        bars(
            "If it were armed and enforced",
            "Jobs that were spared only because the policy observes or the process is disarmed: these would have been terminated, "
            "since the ledger began. Exempt ones, and those of a policy that only notifies, are not in it (observe_spared).",
            {
                "{{policy}}": some(
                    total(
                        f'costguard_potential_terminations_total{{{POLICY},reason=~"observe|disarmed"}}',
                        "policy",
                        "reason",
                        by="policy",
                    )
                )
            },
            NOTHING,
        ),
        bars(
            "Why there was no termination",
            "Matches that led to no call by reason, each job and run once, since the ledger began.",
            {"{{reason}}": some(total(POTENTIAL, "policy", "reason", by="reason"))},
            NOTHING,
        ),
    )
    board.section("How it went")
    board.add(
        bars(
            "Outcomes",
            "Closed intents by outcome, since the ledger began. no_longer_matches and finished_by_itself are the second look at work.",
            {
                "{{outcome}}": some(
                    total(f"costguard_terminations_total{{{BOTH}}}", "target", "policy", "outcome", by="outcome")
                )
            },
            NOTHING,
        ),
        lines(
            "Held back now, by reason",
            "Jobs that break the policy, which is enforced, and wait. Empty while nothing is held back.",
            {"{{reason}}": some(total(f"costguard_held_back_jobs{{{POLICY}}}", "policy", "reason", by="reason"))},
            COUNT,
            steps=True,
            stacked=True,
        ),
        grid(
            "In force",
            "The policies chosen above, with their mode and the digest of what they say; a digest changes with every change of meaning.",
            {
                "in force": once(f"costguard_policy_info{{{POLICY}}}", "policy", "mode", "digest"),
                "matching": once(verdict("MATCH"), "policy"),
                "freed cards": (
                    "sum by (namespace, job, policy) "
                    f"({once(f'costguard_cards_released_total{{{BOTH}}}', 'target', 'policy')})"
                ),
            },
            by=("job", "policy", "mode", "digest"),
            hidden=("namespace", "Value #A"),
        ),
    )
    return board
