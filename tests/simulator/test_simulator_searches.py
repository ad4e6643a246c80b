"""
The list: paging under both readings of offset, filters, order, workspaces and refusals.
"""

from datetime import UTC, datetime

import pytest
from simulated import HOUR_MS, NOW_MS, SEARCHES, asking, running, search, world_of

MINUTE_MS = 60_000


def ids(response):
    """
    The ids on a page.
    """
    return [item["metadata"]["id"] for item in response.json()["items"]]


def seven(**knobs):
    """
    Seven jobs, the oldest first by number.
    """
    return world_of(*(running(f"job-{n}", create_time_ms=NOW_MS - 3 * HOUR_MS + n * MINUTE_MS) for n in range(7)), **knobs)


@pytest.mark.parametrize(
    ("means", "offset", "expected"),
    [
        pytest.param("page", 0, ["job-0", "job-1", "job-2"], id="page-first"),
        pytest.param("page", 1, ["job-3", "job-4", "job-5"], id="page-second"),
        pytest.param("page", 2, ["job-6"], id="page-short"),
        pytest.param("page", 3, [], id="page-past-the-end"),
        pytest.param("item", 1, ["job-1", "job-2", "job-3"], id="item-second"),
        pytest.param("item", 6, ["job-6"], id="item-last"),
    ],
)
def test_offset(means, offset, expected):
    """
    The offset counts pages or items as the knob says, and count is that of the page.
    """
    response = search(seven(offset_means=means), offset=offset, limit=3, order="asc")
    assert ids(response) == expected
    assert (response.json()["count"], response.json()["total"]) == (len(expected), 7)


def test_newest_first_by_default():
    """
    Without an order the newest job comes first and ten are on the page.
    """
    response = search(seven())
    assert ids(response)[0] == "job-6"
    assert response.json()["limit"] == 10


def test_one_workspace():
    """
    A search covers one workspace, and the default one if it names none.
    """
    world = world_of(running("here"), running("there", workspace="b" * 32))
    assert ids(search(world)) == ["here"]
    assert ids(search(world, workspace_id="b" * 32)) == ["there"]


def stamp(moment_ms):
    """
    The moment as RFC 3339.
    """
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat()


@pytest.mark.parametrize(
    ("key", "operator", "value", "expected"),
    [
        pytest.param("phase", "in", ["Pending", "Running"], ["long", "waits"], id="phase-in"),
        pytest.param("phase", "not", ["Running"], ["done", "waits"], id="phase-not"),
        pytest.param("name", "like", ["bert"], ["waits"], id="name-like"),
        pytest.param("kind", "in", ["hetero_job"], [], id="kind-in"),
        pytest.param("id", "in", ["done", "nobody"], ["done"], id="id-in"),
        pytest.param("pool_id", "in", ["pool-1"], ["done"], id="pool"),
        pytest.param("user_id", "in", [running(user="bob").user_id], ["waits"], id="user-id"),
        pytest.param("priority", "in", ["3"], ["long"], id="priority"),
        pytest.param(
            "create_time", "between", [stamp(NOW_MS - 2 * HOUR_MS), stamp(NOW_MS)], ["long", "waits"], id="create-time"
        ),
    ],
)
def test_filters(key, operator, value, expected):
    """
    Each documented key selects with its operators.
    """
    world = world_of(
        running("long", priority=3),
        running("waits", start_time_ms=None, name="bert", user="bob"),
        running("done", create_time_ms=NOW_MS - 3 * HOUR_MS, end_time_ms=NOW_MS, pool_id="pool-1"),
    )
    assert sorted(ids(search(world, filters=[{"key": key, "operator": operator, "value": value}]))) == expected


def condition(key, operator, value):
    """
    A search's body with one filter.
    """
    return {"filters": [{"key": key, "operator": operator, "value": value}]}


LONG_AGO = [stamp(NOW_MS - 32 * 24 * HOUR_MS), stamp(NOW_MS)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param({"limit": 0}, "2764", id="limit-too-small"),
        pytest.param({"limit": 51}, "2764", id="limit-too-big"),
        pytest.param({"limit": "5"}, "2764", id="limit-text"),
        pytest.param({"offset": -1}, "2764", id="offset-negative"),
        pytest.param({"offset": 2**31}, "2764", id="offset-too-big"),
        pytest.param({"order": "up"}, "2764", id="order"),
        pytest.param({"sort_by": "name"}, "2790", id="sort-by"),
        pytest.param({"workspace_id": "nowhere"}, "2891", id="workspace"),
        pytest.param({"workspace_id": ["0"]}, "2891", id="workspace-no-text"),
        pytest.param(condition("user_name", "in", ["bob"]), "2807", id="unknown-key"),
        pytest.param(condition("phase", "eq", ["Running"]), "2808", id="unknown-operator"),
        pytest.param(condition("create_time", "in", ["x"]), "2808", id="operator-of-another-key"),
        pytest.param(condition("phase", "in", ["Stopped"]), "2809", id="unknown-phase"),
        pytest.param(condition("phase", "in", "Running"), "2809", id="value-no-list"),
        pytest.param(condition("id", "in", [str(n) for n in range(11)]), "2809", id="too-many-values"),
        pytest.param(condition("create_time", "between", ["yesterday", "now"]), "2809", id="no-times"),
        pytest.param(condition("create_time", "between", LONG_AGO), "2809", id="window-too-long"),
        pytest.param({"filters": ["phase"]}, "2807", id="filter-no-object"),
        pytest.param({"filters": [{}] * 21}, "2809", id="too-many-filters"),
    ],
)
def test_refused_searches(body, code):
    """
    What the documents do not allow is HTTP 400 with the documented code.
    """
    response = search(world_of(), **body)
    assert (response.status_code, response.json()["error_code"]) == (400, f"ModelArts.{code}")


@pytest.mark.parametrize("body", [b"", b"[]", b"{"])
def test_bodies_that_are_no_object(body):
    """
    A body that is not a JSON object is 2787.
    """
    response = asking(world_of(), lambda client: client.post(SEARCHES, content=body))
    assert (response.status_code, response.json()["error_code"]) == (400, "ModelArts.2787")


def test_the_longest_window_and_page_pass():
    """
    A window of exactly 31 days and a page of 50 are allowed.
    """
    window = [stamp(NOW_MS - 31 * 24 * HOUR_MS), stamp(NOW_MS)]
    body = {"limit": 50, **condition("create_time", "between", window)}
    assert ids(search(world_of(running()), **body)) == ["job-1"]


def test_every_filter_refused():
    """
    The knob makes every filter key unknown, so a client must fall back to none.
    """
    world = world_of(running(), refuse_filters=True)
    assert search(world, **condition("phase", "in", ["Running"])).json()["error_code"] == "ModelArts.2807"
    assert ids(search(world)) == ["job-1"]
