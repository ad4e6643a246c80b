"""
Operations, for those who run it: does it see everything, is it on time, does the service answer, what waits and why.
"""

from dashboards.board import Board
from dashboards.panels import NONE_IS_WELL, WELL, Look, bars, grid, heat, lines, number
from dashboards.queries import BOTH, GUARD, POLICY, TARGET, once, quantile, some, total

LATENESS = f"costguard_termination_lateness_seconds{{{TARGET}}}"
SECONDS = Look(unit="s", lowest=0)
COUNT = Look(lowest=0)


def operations() -> Board:
    """
    Return the board.
    """
    board = Board(
        "cost-guard-operations",
        "Cost Guard / Operations",
        "Whether the guard sees every job, is on time, and may act; and what waits, and why.",
        since="now-3h",
    )
    _state(board)
    _terminations(board)
    _reading(board)
    _service(board)
    _process(board)
    return board


def _state(board: Board) -> None:
    walked = once(f"costguard_last_complete_walk_timestamp_seconds{{{TARGET}}}", "target")
    looked = once(f"costguard_last_look_timestamp_seconds{{{TARGET}}}", "target")
    board.add(
        number(
            "Last full walk",
            "Since when the longest-neglected target was read completely. A walk begins every walk_interval (20 minutes).",
            f"time() - min({walked})",
            Look(unit="s", steps=((None, "green"), (2400, "orange"), (3600, "red")), decimals=0),
        ),
        number(
            "Last look",
            "Since when new jobs were looked for in the longest-neglected target; every scan_interval (12 s), but not during a walk.",
            f"time() - min({looked})",
            Look(unit="s", steps=((None, "green"), (120, "orange"), (1800, "red")), decimals=0),
        ),
        number(
            "Policy files",
            "Whether the newest policy files were taken. If not, the last good set stays in force.",
            f"min(costguard_config_last_reload_successful{{{GUARD}}})",
            Look(words={"0": ("REFUSED", "red"), "1": ("taken", "green")}),
        ),
        number(
            "Price book",
            "Whether the newest price book was taken. If not, the last good one stays in force.",
            f"min(costguard_prices_last_reload_successful{{{GUARD}}})",
            Look(words={"0": ("REFUSED", "red"), "1": ("taken", "green")}),
        ),
        number(
            "Kill switch",
            "While a pause is in force, nothing is terminated.",
            f"max(costguard_paused{{{GUARD}}})",
            Look(words={"0": ("off", "green"), "1": ("PAUSED", "orange")}),
        ),
        number(
            "Breaker",
            "Open: something jumped, and nothing of that is terminated until a person has looked (guard breaker).",
            f"max(costguard_breaker_open{{{GUARD}}})",
            Look(steps=((None, "green"), (1, "red")), decimals=0),
        ),
        number(
            "Right to act",
            "Whether some process holds the ledger for every target, and the ledger takes what is written; else nothing is terminated.",
            f"min({once(f'costguard_leader{{{TARGET}}}', 'target')}) * min(costguard_ledger_usable{{{GUARD}}})",
            Look(words={"0": ("NOBODY", "red"), "1": ("held", "green")}),
        ),
        number(
            "Open intents",
            "Terminations that have begun and have no outcome yet.",
            total(f"costguard_ledger_open_intents{{{GUARD}}}"),
        ),
        number(
            "Held back now",
            "Jobs that break an enforced policy and are not terminated, without those that are exempt; see below for the reasons.",
            total(f'costguard_held_back_jobs{{{POLICY},reason!="exempt"}}', "policy", "reason"),
            Look(steps=NONE_IS_WELL),
        ),
        number(
            "Clock offset",
            "The service's clock against this machine's. Above 2 minutes nothing is terminated.",
            f"max(abs(costguard_clock_offset_seconds{{{TARGET}}}))",
            Look(unit="s", steps=((None, "green"), (60, "orange"), (120, "red")), decimals=1),
        ),
        height=4,
    )


def _terminations(board: Board) -> None:
    board.section("Terminations")
    late = {f"p{round(share * 100)}": quantile(share, LATENESS, over="1h") for share in (0.5, 0.9, 0.99)}
    confirm = f"costguard_termination_confirm_seconds{{{GUARD}}}"
    board.add(
        lines(
            "Lateness, over the last hour",
            "Seconds from the moment a termination was due to the call that was accepted. The target is under a second.",
            late,
            Look(unit="s", lowest=0, steps=((None, "green"), (30, "red"))),
        ),
        heat(
            "Lateness of each termination",
            "How many terminations fell into which bucket of lateness.",
            f"sum by (le) (increase(costguard_termination_lateness_seconds_bucket{{{TARGET}}}[$__rate_interval]))",
            unit="s",
        ),
        lines(
            "Time to confirm, over the last hour",
            "Seconds from the accepted call until the job was read back as Terminated.",
            {f"p{round(share * 100)}": quantile(share, confirm, over="1h") for share in (0.5, 0.99)},
            SECONDS,
        ),
    )
    board.add(
        lines(
            "Outcomes",
            "Closed intents by outcome, since the ledger began. refused, failed and unconfirmed want a look.",
            {
                "{{outcome}}": some(
                    total(f"costguard_terminations_total{{{BOTH}}}", "target", "policy", "outcome", by="outcome")
                )
            },
            COUNT,
            steps=True,
        ),
        lines(
            "Held back, by reason",
            "Jobs that break an enforced policy and are not terminated now. Empty while nothing is held back.",
            {"{{reason}}": some(total(f"costguard_held_back_jobs{{{POLICY}}}", "policy", "reason", by="reason"))},
            COUNT,
            steps=True,
            stacked=True,
        ),
        lines(
            "Limits used",
            "The used share of each limit of terminations within its window, of one per policy, user or target the largest. At 100 % what is over it waits.",
            {"{{limit}}": once(f"costguard_limit_used_ratio{{{GUARD}}}", "limit")},
            Look(unit="percentunit", lowest=0, highest=1, steps=((None, "green"), (0.8, "orange"), (1, "red"))),
            steps=True,
        ),
    )


def _reading(board: Board) -> None:
    board.section("What is read")
    walk = f"costguard_scan_duration_seconds{{{TARGET}}}"
    board.add(
        lines(
            "Walks within the last hour",
            "Readings of all jobs of a target. incomplete: something could not be read. failed: nothing could.",
            {"{{target}} {{outcome}}": f"sum by (target, outcome) (increase(costguard_scans_total{{{TARGET}}}[1h]))"},
            COUNT,
        ),
        lines(
            "Length of a walk",
            "Seconds that a complete reading of a target took, over the last hour.",
            {
                f"p{round(share * 100)} {{{{target}}}}": quantile(share, walk, by="target", over="1h")
                for share in (0.5, 0.99)
            },
            SECONDS,
        ),
        lines(
            "Jobs read by the newest walk",
            "It grows while a walk goes on; a line that stands still at a low number is a walk that hangs.",
            {"{{target}}": once(f"costguard_walk_jobs_read{{{TARGET}}}", "target")},
            COUNT,
        ),
    )
    board.add(
        lines(
            "Time until a new job is found",
            "Seconds from the creation of a job until it was first seen, over the last hour.",
            {
                f"p{round(share * 100)}": quantile(share, f"costguard_discovery_lag_seconds{{{TARGET}}}", over="1h")
                for share in (0.5, 0.99)
            },
            SECONDS,
        ),
        lines(
            "What cannot be trusted",
            "unreadable: listed items without an identity. disputed: jobs whose two clocks differ by over 2 minutes. "
            "exempt by doubt: offenders spared only because a fact is unreadable.",
            {
                "unreadable {{target}}": once(f"costguard_unreadable_jobs{{{TARGET}}}", "target"),
                "disputed {{target}}": once(f"costguard_clock_disputed_jobs{{{TARGET}}}", "target"),
                "exempt by doubt {{exemption}}": once(f"costguard_exempt_by_unknown_jobs{{{GUARD}}}", "exemption"),
            },
            COUNT,
            steps=True,
        ),
        lines(
            "Users seen",
            "Distinct users of the live jobs. One alone may mean that the account is shown only its own jobs.",
            {"{{target}}": once(f"costguard_users_seen{{{TARGET}}}", "target")},
            COUNT,
            steps=True,
        ),
    )


def _service(board: Board) -> None:
    board.section("The service")
    calls = f"costguard_api_request_duration_seconds{{{GUARD}}}"
    board.add(
        lines(
            "Calls, by operation and code",
            "Calls to ModelArts per second.",
            {
                "{{operation}} {{code}}": f"sum by (operation, code) (rate(costguard_api_requests_total{{{GUARD}}}[$__rate_interval]))"
            },
            Look(unit="reqps", lowest=0),
            stacked=True,
        ),
        lines(
            "Latency of calls (p99)",
            "The slowest hundredth of the calls, by operation.",
            {"{{operation}}": quantile(0.99, calls, by="operation")},
            SECONDS,
        ),
        lines(
            "Waiting for a turn (p99)",
            "How long calls wait within the guard, so that the service is not flooded. terminate goes before all others.",
            {"{{lane}}": quantile(0.99, f"costguard_api_wait_seconds{{{GUARD}}}", by="lane")},
            SECONDS,
        ),
    )
    board.add(
        lines(
            "Allowed rate",
            "Calls per second that a target is sent at most now. Each 429 halves it; it rises again within a minute.",
            {"{{target}}": once(f"costguard_api_rate_per_second{{{TARGET}}}", "target")},
            Look(unit="reqps", lowest=0),
        ),
        lines(
            "Throttled calls",
            "Calls that the service answered by 429, per second.",
            {"{{operation}}": f"sum by (operation) (rate(costguard_api_throttled_total{{{GUARD}}}[$__rate_interval]))"},
            Look(unit="reqps", lowest=0),
        ),
        lines(
            "Clock offset over time",
            "Service time minus the time of this machine. Beyond 2 minutes in either direction nothing is terminated.",
            {"{{target}}": once(f"costguard_clock_offset_seconds{{{TARGET}}}", "target")},
            Look(unit="s"),
        ),
    )


def _process(board: Board) -> None:
    board.section("The process")
    board.add(
        bars(
            "Troubles of the schedule",
            "Turns that failed, were missed, or were not begun because the one before still went on, since the start.",
            {"{{event}}": f"sum by (event) (costguard_scheduler_events_total{{{GUARD}}})"},
            Look(steps=NONE_IS_WELL),
        ),
        number(
            "Credentials end",
            "When the credentials of a target end. They are renewed 40 to 60 minutes before.",
            {"{{target}}": f"{once(f'costguard_credentials_expiry_timestamp_seconds{{{TARGET}}}', 'target')} * 1000"},
            Look(unit="dateTimeFromNow", steps=WELL, words={"0": ("do not end", "green")}),
        ),
        number(
            "Policies last taken",
            "When policies were last put in force: at the start or by a change of the files.",
            f"max(costguard_config_last_reload_success_timestamp_seconds{{{GUARD}}}) * 1000",
            Look(unit="dateTimeFromNow"),
        ),
        number(
            "Prices last taken",
            "When a price book was last put in force: at the start or by a change of the file.",
            f"max(costguard_prices_last_reload_success_timestamp_seconds{{{GUARD}}}) * 1000",
            Look(unit="dateTimeFromNow", words={"0": ("no price book", "blue")}),
        ),
        number(
            "Oldest open intent",
            "When the oldest termination without an outcome was begun. Over half an hour is an alert.",
            f"max(costguard_ledger_oldest_open_intent_timestamp_seconds{{{GUARD}}}) * 1000",
            Look(unit="dateTimeFromNow", words={"0": ("none", "green")}),
        ),
        grid(
            "Guards",
            "The processes that send metrics, and their versions.",
            {"running": f"costguard_build_info{{{GUARD}}}"},
            by=("job", "instance", "version"),
            hidden=("__name__", "Value", "Value #A"),
        ),
        grid(
            "Audit",
            "How many entries the chain of each target has, 48 bits of the newest one's hash, and whether one was seen changed.",
            {
                "entries": f"max by (target) (costguard_audit_head_position{{{GUARD}}})",
                "hash": f"max by (target) (costguard_audit_head_hash{{{GUARD}}})",
                "changed": f"max by (target) (costguard_audit_changed{{{GUARD}}})",
            },
            by=("target",),
        ),
        height=6,
    )
