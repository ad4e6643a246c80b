"""
`guard prices` and the arithmetic in `guard explain`: what a person is told of the money.
"""

import asyncio
import json
from fractions import Fraction

import pytest
from rich.console import Console
from typer.testing import CliRunner

from guard.billed import bill_data, bill_lines, bill_of
from guard.cli.whole import app
from guard.core.decide import decide
from guard.core.facts import ABSENT, UNREADABLE, Job, JobKey, Resource
from guard.core.fields import Terms
from guard.core.policy import PolicySet
from guard.core.price import Per, Price, PriceBook
from guard.core.sighting import observe
from guard.explained import explain_job, explained_data
from guard.ledger.opening import open_ledger
from guard.screen import show_explained
from tests.changing import replace

NOW = 1_783_641_600_000
"""2026-07-10T00:00:00Z"""
HOUR = 3_600_000
PART = Resource(billing_code="v100", unit_num=8, node_count=2, cards_per_node=8, flavor_type="GPU")
BOOK = """\
currency: CNY
prices:
- {billing_code: v100, price: 14.20}
- {billing_code: v100, price: 15.05, valid_from: 2026-07-09T18:00:00Z}
- {glob: "cpu.*", price: 0.3, per: node-hour}
- {billing_code: gone, price: 1}
- {pool_id: shared, price: 2}
"""


def job(job_id, *codes, target="lab", **changes):
    """
    A Running job that began ten hours before NOW, with a resource for each code.
    """
    made = Job(
        key=JobKey(region="r", project_id="p", job_id=job_id),
        target=target,
        read_at_ms=NOW,
        phase="Running",
        create_time_ms=NOW - 11 * HOUR,
        start_time_ms=NOW - 10 * HOUR,
        duration_ms=10 * HOUR,
        resources=tuple(replace(PART, billing_code=code) for code in codes),
    )
    return replace(made, **changes)


@pytest.fixture
def lab(tmp_path):
    """
    A folder with settings, a price book and a ledger that knows some jobs.
    """
    (tmp_path / "prices.yaml").write_text(BOOK)
    (tmp_path / "guard.yaml").write_text(
        f"targets: [{{name: lab, region: r, project_id: p}}, {{name: lab2, region: r, project_id: q}}]\n"
        f"prices: {tmp_path / 'prices.yaml'}\nledger: sqlite:///{tmp_path / 'guard.db'}\n"
    )
    jobs = [
        job("a", "v100"),
        job("b", "v100", "cpu.8"),
        job("c", "new", read_at_ms=NOW - HOUR),
        job("d", "new", UNREADABLE),
        job("e", "v100", pool_id="shared"),
        job("f", "v100", pool_id="own"),
        job("g", "v100", pool_id=UNREADABLE),
        job("h", "v100", resources=(replace(PART, unit_num=UNREADABLE),), phase="Pending"),
        job("i", "v100", key=JobKey(region="r", project_id="q", job_id="i"), target="lab2"),
        job("j", "v100", phase="Completed"),
        job("k", "v100", target="elsewhere"),
    ]

    async def fill():
        ledger = await open_ledger(f"sqlite:///{tmp_path / 'guard.db'}")
        try:
            await ledger.remember([observe(None, one) for one in jobs], facts={one.key: one for one in jobs})
        finally:
            await ledger.aclose()

    asyncio.run(fill())
    return tmp_path


def prices(*words):
    """
    Run `guard prices` with these words.
    """
    return CliRunner().invoke(app, ["prices", *words])


def test_what_is_priced_by_what(lab):
    """
    The live jobs of the targets are counted by code and pool: priced with the entry that counts now, or not, and since when.
    """
    done = prices("-c", str(lab / "guard.yaml"), "--output", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    told = {(one["billing_code"], one["pool_id"]): (one["jobs"], one["price"], one["entry"]) for one in data["priced"]}
    assert told.pop(("v100", None))[0] == 3
    assert told == {
        ("cpu.8", None): (1, "0.3", "cpu.*"),
        ("v100", "shared"): (1, "2", "every code in shared"),
        ("v100", "own"): (1, "0", None),
    }
    assert data["unpriced"] == [
        {"billing_code": "new", "pool_id": None, "jobs": 2, "first_seen": "2026-07-09T23:00:00.000Z"},
        {"billing_code": "unreadable", "pool_id": None, "jobs": 1, "first_seen": "2026-07-10T00:00:00.000Z"},
        {"billing_code": "v100", "pool_id": None, "jobs": 1, "first_seen": "2026-07-10T00:00:00.000Z"},
        {"billing_code": "v100", "pool_id": "unreadable", "jobs": 1, "first_seen": "2026-07-10T00:00:00.000Z"},
    ]
    assert [(one["entry"], one["place"].rpartition(":")[2]) for one in data["unused"]] == [("gone", "6")]
    assert data["currency"] == "CNY"


def test_the_table(lab):
    """
    People see the same in three tables, with the line of each entry.
    """
    shown = prices("-c", str(lab / "guard.yaml")).stdout
    for words in ("priced", "without a price", "in the price book, but for no live job", "0.3 CNY per node-hour", "gone"):
        assert words in shown
    assert "a pool without a shadow price" in shown


def test_an_empty_ledger(tmp_path, lab):
    """
    Where no job is known every entry is for nothing, which is said; where there is no ledger that is an error.
    """
    settings = tmp_path / "empty.yaml"
    settings.write_text(
        f"targets: [{{name: other, region: r, project_id: p}}]\n"
        f"prices: {lab / 'prices.yaml'}\nledger: sqlite:///{lab / 'guard.db'}\n"
    )
    done = prices("-c", str(settings))
    assert done.exit_code == 0
    assert "The ledger knows no live job." in done.stdout
    settings.write_text(settings.read_text().replace("guard.db", "none.db"))
    assert prices("-c", str(settings)).exit_code == 4


def test_a_bad_book_has_a_caret(lab):
    """
    Every error of a bad book has file, line, column, and a caret under the place; as JSON too.
    """
    bad = lab / "bad.yaml"
    bad.write_text("currency: CNY\nprices:\n- {biling_code: a, price: -1}\n")
    done = prices("--check", str(bad))
    assert done.exit_code == 1
    assert f"{bad}:3:4: error: unknown key 'biling_code' (did you mean billing_code?)" in done.stdout
    assert "    3 | - {biling_code: a, price: -1}\n      |    ^~~~~~~~~~~\n" in done.stdout
    assert "3 errors" in done.stdout
    listed = json.loads(prices("--check", str(bad), "--output", "json").stdout)
    assert [(one["line"], one["column"]) for one in listed] == [(3, 3), (3, 4), (3, 27)]


def test_a_good_book_is_counted(lab):
    """
    ``--check`` needs no settings and no ledger.
    """
    done = prices("--check", str(lab / "prices.yaml"))
    assert (done.exit_code, done.stdout) == (0, "ok: 5 prices in CNY\n")
    assert prices("--check", str(lab / "prices.yaml"), "--output", "json").stdout == "[]\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(
            ["--check", "nowhere.yaml"], "nowhere.yaml: error: the file cannot be read: No such file", id="no-file"
        ),
        pytest.param(
            ["-c", "bare.yaml"], "there is no price book: name one in the setting 'prices', or with --check", id="none"
        ),
    ],
)
def test_no_book(tmp_path, monkeypatch, words, said):
    """
    Without a price book there is one clear sentence.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare.yaml").write_text("targets: [{name: lab, region: r, project_id: p}]\n")
    done = prices(*words)
    assert done.exit_code == 1
    assert said in done.stderr


TERMS = Terms(
    prices=PriceBook(
        currency="CNY",
        entries=(
            Price(code="v100", price=Fraction("14.20"), place="p.yaml:3"),
            Price(code="v100", price=Fraction("15.05"), valid_from_ms=NOW - 6 * HOUR, place="p.yaml:4"),
            Price(code="v100", price=Fraction("16.10"), valid_from_ms=NOW + HOUR, place="p.yaml:5"),
            Price(code="cpu.8", price=Fraction("0.3"), per=Per.NODE_HOUR, place="p.yaml:6"),
        ),
    )
)


def bill(one, terms=TERMS):
    """
    The bill of a job at NOW.
    """
    return bill_of(decide(PolicySet(), one, observe(None, one), terms, now_ms=NOW), terms)


def test_the_arithmetic():
    """
    Each piece shows price x units x nodes x time, they add up to the cost, and the coming change is told.
    """
    found = bill(job("a", "v100", "cpu.8"))
    assert bill_lines(found) == [
        "2026-07-09T14:00:00.000Z v100: 14.2 CNY x 8 units x 2 nodes x 4h = 908.8 CNY  (p.yaml:3)",
        "2026-07-09T14:00:00.000Z cpu.8: 0.3 CNY x 2 nodes x 4h = 2.4 CNY  (p.yaml:6)",
        "2026-07-09T18:00:00.000Z v100: 15.05 CNY x 8 units x 2 nodes x 6h = 1444.8 CNY  (p.yaml:4)",
        "2026-07-09T18:00:00.000Z cpu.8: 0.3 CNY x 2 nodes x 6h = 3.6 CNY  (p.yaml:6)",
        "cost so far: 2359.6 CNY",
        "from 2026-07-10T01:00:00.000Z: 258.2 CNY per hour",
    ]
    data = bill_data(found)
    assert data["cost"] == "2359.6000000000"
    assert sum(Fraction(one["cost"]) for one in data["pieces"]) == Fraction(data["cost"])
    assert [one["units"] for one in data["pieces"]] == [8, None, 8, None]


@pytest.mark.parametrize(
    ("one", "last"),
    [
        pytest.param(job("a", "new"), "cost so far: unknown: no price, or an unreadable fact, for new", id="unpriced"),
        pytest.param(
            job("a", "v100", start_time_ms=0, duration_ms=ABSENT),
            "cost so far: unknown: the running time is unreadable",
            id="clock",
        ),
        pytest.param(
            job("a", "v100", node_counts=UNREADABLE), "cost so far: unknown: no price, or no nodes, for a time", id="nodes"
        ),
        pytest.param(job("a", "v100", pool_id="p"), "cost so far: 0 CNY", id="pool"),
    ],
)
def test_what_cannot_be_reckoned_is_said(one, last):
    """
    Instead of a sum it is said why there is none.
    """
    lines = [line for line in bill_lines(bill(one)) if not line.startswith("from")]
    assert lines[-1] == last


def test_no_bill():
    """
    Without a price book, or of a job that does not run, nothing is said of money.
    """
    for found in (bill(job("a", "v100"), Terms()), bill(job("a", "v100", phase="Pending"))):
        assert (bill_lines(found), bill_data(found)) == ([], None)


def test_explain_shows_it():
    """
    The bill stands in the explanation, for people and for machines.
    """
    one = job("a", "v100")
    explained = explain_job(decide(PolicySet(), one, observe(None, one), TERMS, now_ms=NOW), PolicySet(), TERMS)
    assert explained_data(explained)["money"]["cost"] == "2353.6000000000"
    console = Console(width=200, record=True)
    show_explained(console, explained)
    assert "cost so far: 2353.6 CNY" in console.export_text()
