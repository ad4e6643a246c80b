"""
The dashboards: what is committed is what the code makes, asks only for what there is, and shows what the ledger holds.
"""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from e2e_stand import settles
from monitored import HOSTILE, monitored
from rule_files import METRICS, named_labels, named_metrics

from dashboards.__main__ import BOARDS, FOLDER, main
from guard.core.protocol import Outcome
from guard.ledger.opening import open_ledger
from guard.simulator.knobs import Fault

FILES = sorted(FOLDER.glob("*.json"))
VALUES = {"$__rate_interval": "1m", "$job": ".*", "$target": ".*", "$policy": ".*"}
NOT_SHOWN_YET: set[str] = set()
WRONG = {"refused", "failed", "unconfirmed"}


def board(name: str) -> dict[str, Any]:
    """
    Return a committed board.
    """
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def panels(name: str) -> list[dict[str, Any]]:
    """
    Return its panels without the headings.
    """
    return [one for one in board(name)["panels"] if one["type"] != "row"]


def queries() -> Iterator[tuple[str, str, str]]:
    """
    Yield (board, panel, query) of every query of every board, with all values chosen, marks and variables included.
    """
    for name in BOARDS:
        for panel in panels(name):
            for target in panel["targets"]:
                yield name, panel["title"], filled(target["expr"])
        for mark in board(name)["annotations"]["list"]:
            yield name, f"mark {mark['name']}", filled(mark["expr"])


def filled(query: str) -> str:
    """
    Return a query with the variables as they stand when everything is chosen.
    """
    for variable, value in VALUES.items():
        query = query.replace(variable, value)
    assert "$" not in query
    return query


def test_committed_is_what_the_code_makes(tmp_path):
    """
    ``python -m dashboards`` changes nothing, and no file is left over.
    """
    main(tmp_path)
    assert (
        [path.name for path in FILES]
        == sorted(path.name for path in tmp_path.iterdir())
        == sorted(f"{n}.json" for n in BOARDS)
    )
    for path in FILES:
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), f"run `make dashboards`: {path.name}"


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_tells_what_it_shows(name):
    """
    Title, description, unit, data source and queries with ids of their own; panels neither overlap nor leave the grid.
    """
    shown = panels(name)
    assert len(shown) >= 12
    ids = [one["id"] for one in board(name)["panels"]]
    assert len(set(ids)) == len(ids)
    assert len({one["title"] for one in shown}) == len(shown)
    for panel in shown:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references)
    for one, other in combinations((each["gridPos"] for each in board(name)["panels"]), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    assert all(each["gridPos"]["x"] + each["gridPos"]["w"] <= 24 for each in shown)


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_has_the_same_frame(name):
    """
    Variables for data source, guard, target and policy, marks of terminations and reloads, links to the other boards.
    """
    made = board(name)
    assert [one["name"] for one in made["templating"]["list"]] == ["datasource", "job", "target", "policy"]
    assert [one["name"] for one in made["annotations"]["list"]] == ["Terminations", "Reloads"]
    assert [(one["tags"], one["includeVars"], one["keepTime"]) for one in made["links"]] == [(["cost-guard"], True, True)]
    assert "cost-guard" in made["tags"]
    assert made["uid"] == f"cost-guard-{name}"


@pytest.mark.parametrize(("name", "title", "query"), list(queries()))
def test_queries_ask_only_for_what_there_is(name, title, query):
    """
    Each metric and label of a query is exposed, and no absence is papered over by a vector of 0.
    """
    assert "vector(" not in query
    metrics = named_metrics(query)
    assert metrics
    assert metrics <= METRICS.keys()
    assert named_labels(query) <= {"namespace", "job", "le"}.union(*(METRICS[one] for one in metrics))


def test_every_metric_is_on_some_dashboard():
    """
    Whatever the guard exposes can be seen somewhere: to show a new metric, add a panel to a board in dashboards/.
    """
    asked = set().union(*(named_metrics(query) for _, _, query in queries()))
    names = {re.sub(r"_(bucket|count|sum)$", "", name) for name in METRICS}
    assert names - {name.removesuffix("_bucket") for name in asked} == NOT_SHOWN_YET


@pytest.mark.server
def test_panels_show_what_the_ledger_holds(tmp_path):
    """
    After a run on the simulator every query returns data from the real Prometheus, more than ten panels have the ledger's
    values, and a hostile name of a job and a user is in none of them.
    """
    refusing = Fault(operation="terminate", kind="status", status=403, code="ModelArts.0213", job_id="refused")
    with monitored(tmp_path, faults=(refusing,)) as parts:
        wanted = {"overdue": "confirmed", "due-soon": "confirmed", "due-later": "confirmed"}
        settles(parts.site.outcomes, {**wanted, "refused": "refused"})
        expected = asyncio.run(held_by(parts.site.ledger))
        assert expected["policies", "Went wrong"] == {"": 1.0}
        assert expected["overview", "Jobs terminated"] == {"": 3.0}
        assert len(expected) > 10

        def empty() -> list[tuple[str, str]]:
            return [(name, title) for name, title, query in queries() if not parts.prometheus.query(query)]

        settles(empty, [], within=15)
        for (name, title), values in expected.items():
            settles(lambda name=name, title=title: shown(parts.prometheus, name, title), values, within=5)
        labels = parts.prometheus.get("series", **{"match[]": '{job="cost-guard"}', "start": str(time.time() - 600)})
        text = json.dumps(labels, ensure_ascii=False) + parts.guard.get("/metrics")[1]
    assert "costguard_terminations_total" in text
    for part in ("evil", "script", "Values", "任务", "\u202e", "\x1b", "due-soon"):
        assert part not in text
    hostile = next(one for one in parts.site.intents() if one.draft.key.job_id == "due-soon")
    assert hostile.draft.facts["name"] == HOSTILE


def shown(prometheus: Any, name: str, title: str) -> dict[str, float]:
    """
    Return what a panel shows by its legend without a currency, the value of its first query.
    """
    panel = next(one for one in panels(name) if one["title"] == title)
    asked = panel["targets"][0]
    legend = re.findall(r"\{\{(\w+)\}\}", asked.get("legendFormat", ""))
    found: dict[str, float] = {}
    for series in prometheus.query(filled(asked["expr"])):
        key = " ".join(series["metric"].get(label, "") for label in legend)
        found[key] = round(float(series["value"][1]), 4)
    return {key: value for key, value in found.items() if value}


async def held_by(path: Any) -> dict[tuple[str, str], dict[str, float]]:
    """
    Return what the panels must show, computed from the ledger alone; zeros are left out.
    """
    ledger = await open_ledger(f"sqlite:///{path}", read_only=True)
    try:
        intents = await ledger.intents(limit=1000)
        findings = await ledger.finding_counts()
    finally:
        await ledger.aclose()
    closed = [one for one in intents if one.outcome is not None]
    confirmed = [one for one in closed if one.outcome is Outcome.CONFIRMED]
    by_policy = Counter(one.draft.policy for one in confirmed)
    outcomes = Counter(one.outcome.value for one in closed if one.outcome is not None)
    saved = round(float(sum(one.savings_upper or 0 for one in confirmed)), 4)
    cards: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for one in confirmed:
        cards[one.draft.policy] += one.draft.cards or 0
    for (_, reason), count in findings.items():
        reasons[reason] += count
    terminated = {"": float(len(confirmed))}
    spared: Counter[str] = Counter()
    for (policy, why), count in findings.items():
        spared[policy] += count if why in {"observe", "disarmed"} else 0
    assert saved > 0
    assert {"observe", "exempt"} <= set(reasons)
    assert any(spared.values())
    return {
        ("overview", "Jobs terminated"): terminated,
        ("overview", "Saved at most"): {"CNY": saved},
        ("overview", "Saved at most, by policy"): {f"{policy} CNY": saved for policy in by_policy},
        ("overview", "Jobs terminated, by policy"): {key: float(n) for key, n in by_policy.items()},
        ("overview", "Accelerators freed, by policy"): {key: float(n) for key, n in cards.items()},
        ("operations", "Outcomes"): {key: float(n) for key, n in outcomes.items()},
        ("policies", "Terminated"): terminated,
        ("policies", "Not terminated"): {"": float(sum(reasons.values()))},
        ("policies", "Went wrong"): {"": float(sum(n for key, n in outcomes.items() if key in WRONG))},
        ("policies", "Saved at most"): {"CNY": saved},
        ("policies", "If it were armed and enforced"): {key: float(n) for key, n in spared.items() if n},
        ("policies", "Why there was no termination"): {key: float(n) for key, n in reasons.items()},
        ("policies", "Outcomes"): {key: float(n) for key, n in outcomes.items()},
    }
