"""
The list of jobs: what of a search's body is understood, which jobs it selects, and which of them are on the page.
"""

import itertools
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from guard.simulator.answers import Answer, answer, refusal
from guard.simulator.jobs import PHASES, SimJob, render
from guard.simulator.knobs import Knobs
from guard.simulator.world import World

DEFAULT_LIMIT = 10
MAX_LIMIT = 50
MAX_OFFSET = 2**31 - 1
MAX_FILTERS = 20
MAX_VALUES = 10
MAX_WINDOW = timedelta(days=31)
Test = Callable[[SimJob, int], bool]

_TEXTS: dict[str, Callable[[SimJob], str]] = {
    "id": lambda job: job.id,
    "name": lambda job: job.name,
    "kind": lambda job: job.kind,
    "algorithm_id": lambda _: "",
    "algorithm_name": lambda _: "",
    "user_id": lambda job: job.user_id,
    "pool_id": lambda job: job.pool_id,
    "training_experiment_id": lambda _: "",
    "runtime_type": lambda _: "",
    "priority": lambda job: str(job.priority),
}


class Refused(Exception):
    """
    A search that the service does not take: HTTP 400 with this code and message.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = refusal(400, f"ModelArts.{code}", message)


def search(world: World, body: bytes) -> Answer:
    """
    Answer ``POST training-job-searches``; ``count`` is the number of items on the page and ``total`` the workspace's jobs.
    """
    try:
        asked = _body(body)
        limit = _whole(asked, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
        offset = _whole(asked, "offset", 0, 0, MAX_OFFSET)
        order, workspace = asked.get("order", "desc"), asked.get("workspace_id", "0")
        if asked.get("sort_by", "create_time") != "create_time":
            raise Refused("2790", f"Unsupported sort by ({asked['sort_by']}).")
        if order not in ("asc", "desc"):
            raise Refused("2764", f"Query parameter error (order {order!r}).")
        if not isinstance(workspace, str) or workspace not in world.site.workspaces:
            raise Refused("2891", f"The workspace {workspace!r} does not exist.")
        filters = asked.get("filters") or []
        tests = _tests(filters, world.knobs)
    except Refused as refused:
        return refused.answer
    now_ms = world.now_ms
    # The world knows better than a test of every job which of them are in a phase.
    others = [test for each, test in zip(filters, tests, strict=True) if not _asks_phases(each)]
    jobs = world.in_phases(workspace, _phases(filters), newest_first=order == "desc")
    found = (job for job in jobs if all(test(job, now_ms) for test in others)) if others else jobs
    first = offset * limit if world.knobs.offset_means == "page" else offset
    items = [render(job, world.knobs, now_ms) for job in itertools.islice(found, first, first + limit)]
    echo = {"limit": limit, "offset": offset, "sort_by": "create_time", "order": order, "group_by": ""}
    place = {"workspace_id": workspace, "ai_project": "default-ai-project", "train_type": asked.get("train_type", "job")}
    return answer({"total": world.count(workspace), "count": len(items), **echo, **place, "items": items})


def _asks_phases(asked: Any) -> bool:
    return bool(asked["key"] == "phase" and asked["operator"] == "in")


def _phases(filters: Any) -> frozenset[str] | None:
    asked = [frozenset(each["value"]) for each in filters if _asks_phases(each)]
    return frozenset.intersection(*asked) if asked else None


def _body(body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise Refused("2787", "The request body is not a JSON object.")
    return asked


def _whole(asked: dict[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = asked.get(name, default)
    if type(value) is not int or not least <= value <= most:
        raise Refused("2764", f"Query parameter error ({name} {value!r}).")
    return value


def _tests(filters: Any, knobs: Knobs) -> list[Test]:
    if not isinstance(filters, list) or len(filters) > MAX_FILTERS:
        raise Refused("2809", f"Unsupported condition value (filters is a list of at most {MAX_FILTERS}).")
    return [_test(each, knobs) for each in filters]


def _test(asked: Any, knobs: Knobs) -> Test:
    if not isinstance(asked, dict):
        raise Refused("2807", f"Unsupported condition key ({asked!r}).")
    key, operator = asked.get("key"), asked.get("operator")
    value: Any = asked.get("value")
    if knobs.refuse_filters or key not in (*_TEXTS, "phase", "create_time"):
        raise Refused("2807", f"Unsupported condition key ({key}).")
    if operator not in (("between",) if key == "create_time" else ("in", "not", "like")):
        raise Refused("2808", f"Unsupported condition operator ({operator}).")
    texts = isinstance(value, list) and 0 < len(value) <= MAX_VALUES and all(isinstance(each, str) for each in value)
    if not texts or (key == "phase" and operator != "like" and not set(value) <= set(PHASES)):
        raise Refused("2809", f"Unsupported condition value ({value}).")
    if key == "create_time":
        return _between(value, knobs)
    text = _TEXTS.get(str(key))

    def shown(job: SimJob, now_ms: int) -> str:
        return job.phase(now_ms) if text is None else text(job)

    if operator == "like":
        return lambda job, now_ms: any(each in shown(job, now_ms) for each in value)
    wanted = frozenset(value)
    return lambda job, now_ms: (shown(job, now_ms) in wanted) == (operator == "in")


def _between(value: list[str], knobs: Knobs) -> Test:
    try:
        first, last = (datetime.fromisoformat(each) for each in value)
        window = last - first
        first_ms, last_ms = (each.timestamp() * 1000 - knobs.clock_offset_seconds * 1000 for each in (first, last))
    except (ValueError, TypeError):
        window = MAX_WINDOW * 2
    if window > MAX_WINDOW:
        raise Refused("2809", f"Unsupported condition value ({value}).")
    return lambda job, _: first_ms <= job.create_time_ms <= last_ms
