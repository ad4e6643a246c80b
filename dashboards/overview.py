"""
The overview, for those who pay: what runs, what it costs, what was stopped, and what that saved.
"""

from dashboards.board import Board
from dashboards.panels import Look, bars, grid, lines, number
from dashboards.queries import BOTH, GUARD, POLICY, TARGET, once, total

MODE = Look(words={"0": ("disarmed", "blue"), "1": ("ARMED", "green")})
NONE_IS_BLUE = ((None, "blue"), (1, "orange"))
MONEY = Look(unit="locale", decimals=2, empty="no price book")
CONFIRMED = f'costguard_terminations_total{{{BOTH},outcome="confirmed"}}'
SPEND = total(f"costguard_spend_rate_per_hour{{{TARGET}}}", "target", "currency", by="currency")
SAVED = f"costguard_savings_upper_total{{{BOTH}}}"
BOUNDS = {
    "lower": f"costguard_savings_lower_total{{{BOTH}}}",
    "expected": f"costguard_savings_expected_total{{{BOTH}}}",
    "upper": SAVED,
    "assumed": f"costguard_savings_assumed_total{{{BOTH}}}",
    "taken back": f"costguard_savings_clawed_back_total{{{BOTH}}}",
    "taken back of assumed": f"costguard_savings_assumed_clawed_back_total{{{BOTH}}}",
}
AT_MOST = (
    "An upper bound, not an estimate: the rate of each job whose termination was confirmed, for the time to the horizon (setting "
    "savings_horizon) or to the job's own auto_stop."
)


def overview() -> Board:
    """
    Return the board.
    """
    board = Board(
        "cost-guard-overview",
        "Cost Guard / Overview",
        "What the training jobs cost, what Cost Guard stopped, and what that saved at most.",
        since="now-24h",
    )
    board.add(
        number(
            "Mode",
            "Whether the guard may terminate jobs at all. Disarmed, it only reports what it would do.",
            f"min(costguard_armed{{{GUARD}}})",
            MODE,
        ),
        number(
            "Running jobs",
            "Training jobs that run now, in all targets chosen above.",
            total(f'costguard_jobs{{{TARGET},phase="Running"}}', "target"),
        ),
        number(
            "Accelerators in use",
            "Cards of the running jobs: per node times nodes.",
            total(f"costguard_cards{{{TARGET}}}", "target", "billing_code"),
        ),
        number(
            "Spend per hour",
            "What the running jobs cost per hour by your price book. Jobs without a price are left out; see the panel below.",
            {"{{currency}}": SPEND},
            MONEY,
        ),
        number(
            "Jobs terminated",
            "Terminations that were confirmed by reading the job back as Terminated, since the ledger began.",
            total(CONFIRMED, "target", "policy"),
        ),
        number(
            "Saved at most",
            f"Since the ledger began. {AT_MOST}",
            {"{{currency}}": total(SAVED, "target", "policy", "currency", by="currency")},
            MONEY,
        ),
        height=4,
    )
    board.section("Money")
    board.add(
        lines(
            "Spend per hour, by target",
            "Cost per hour of the running jobs whose price is known. A red mark is a termination, a blue one a change of policies.",
            {
                "{{target}} ({{currency}})": total(
                    f"costguard_spend_rate_per_hour{{{TARGET}}}", "target", "currency", by="target, currency"
                )
            },
            Look(unit="locale", lowest=0),
            stacked=True,
        ),
        lines(
            "Saved at most, by policy",
            f"How it grew; it goes on over restarts, since the ledger keeps it. {AT_MOST}",
            {"{{policy}} ({{currency}})": total(SAVED, "target", "policy", "currency", by="policy, currency")},
            Look(unit="locale", lowest=0),
            steps=True,
            stacked=True,
        ),
    )
    board.add(
        lines(
            "Saved, with its bounds",
            "Expected is what like jobs that nobody stopped say (Kaplan-Meier), lower its one-sided 95 % limit, upper what the jobs could "
            "have cost at most. What is assumed for want of like jobs stands apart and is not in expected. Taken back is what was submitted again, of expected and of assumed savings apart. Since the ledger began.",
            {
                f"{name} ({{{{currency}}}})": total(query, "target", "policy", "currency", by="currency")
                for name, query in BOUNDS.items()
            },
            Look(unit="locale", lowest=0),
            steps=True,
        ),
        bars(
            "Saved as expected, by policy",
            "Of the terminations that enough like jobs tell of; the rest is assumed and not in here. Since the ledger began.",
            {"{{policy}} ({{currency}})": total(BOUNDS["expected"], "target", "policy", "currency", by="policy, currency")},
            MONEY,
        ),
    )
    board.section("What runs")
    board.add(
        lines(
            "Accelerators in use, by billing code",
            "Cards of the running jobs. Beyond a hundred codes the rest is shown as other.",
            {"{{billing_code}}": total(f"costguard_cards{{{TARGET}}} > 0", "target", "billing_code", by="billing_code")},
            Look(lowest=0),
            stacked=True,
        ),
        lines(
            "Live jobs, by phase",
            "Jobs that wait, run or end now.",
            {"{{phase}}": total(f"costguard_jobs{{{TARGET}}}", "target", "phase", by="phase")},
            Look(lowest=0),
            stacked=True,
        ),
    )
    board.add(
        lines(
            "Spend per hour, by billing code",
            "Cost per hour of the running jobs whose price is known: the hundred dearest codes, the rest as other.",
            {
                "{{billing_code}} ({{currency}})": total(
                    f"costguard_spend_rate_by_billing_code_per_hour{{{GUARD}}}",
                    "billing_code",
                    "currency",
                    by="billing_code, currency",
                )
            },
            Look(unit="locale", lowest=0),
            stacked=True,
        ),
        lines(
            "Spend per hour, by kind of hardware",
            "The same by the type of the flavor.",
            {
                "{{flavor_type}} ({{currency}})": total(
                    f"costguard_spend_rate_by_flavor_type_per_hour{{{GUARD}}}",
                    "flavor_type",
                    "currency",
                    by="flavor_type, currency",
                )
            },
            Look(unit="locale", lowest=0),
            stacked=True,
        ),
    )
    board.section("What was stopped")
    board.add(
        lines(
            "Jobs terminated, by policy",
            "Confirmed terminations since the ledger began.",
            {"{{policy}}": total(CONFIRMED, "target", "policy", by="policy")},
            Look(lowest=0),
            steps=True,
        ),
        bars(
            "Offenders now, by policy",
            "Live jobs that break a policy at this moment, whatever its mode: those about to be stopped, spared, or only observed.",
            {"{{policy}}": total(f'costguard_verdicts{{{POLICY},verdict="MATCH"}}', "policy", by="policy")},
            Look(steps=NONE_IS_BLUE),
        ),
        bars(
            "Accelerators freed, by policy",
            "Cards of the jobs whose termination was confirmed, since the ledger began.",
            {"{{policy}}": total(f"costguard_cards_released_total{{{BOTH}}}", "target", "policy", by="policy")},
        ),
    )
    board.add(
        grid(
            "Policies in force",
            "Each policy with its mode, the jobs that match it now, what it terminated, and matches that led to no termination "
            "(observed, disarmed, exempt, held back).",
            {
                "in force": once(f"costguard_policy_info{{{POLICY}}}", "policy", "mode"),
                "matching now": once(f'costguard_verdicts{{{POLICY},verdict="MATCH"}}', "policy"),
                "unknown now": once(f'costguard_verdicts{{{POLICY},verdict="UNKNOWN"}}', "policy"),
                "terminated": f"sum by (namespace, job, policy) ({once(CONFIRMED, 'target', 'policy')})",
                "not terminated": (
                    "sum by (namespace, job, policy) "
                    f"({once(f'costguard_potential_terminations_total{{{POLICY}}}', 'policy', 'reason')})"
                ),
            },
            by=("job", "policy", "mode"),
            hidden=("namespace", "Value #A"),
        ),
        bars(
            "Jobs without a price, by billing code",
            "Running jobs that the price book does not know. Their cost is missing in every figure of money above.",
            {"{{billing_code}}": total(f"costguard_unpriced_jobs{{{GUARD}}}", "billing_code", by="billing_code")},
            Look(steps=((None, "orange"),), empty="every running job has a price"),
        ),
    )
    return board
