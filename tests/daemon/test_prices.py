"""
Prices in the daemon: taken from disk and taken again, shown in metrics, and deadlines in money met to the millisecond.
"""

from datetime import UTC
from fractions import Fraction

import pytest
from daemon_stand import NOW_MS, on_stand, running
from structlog.testing import capture_logs

from guard.core.fields import Terms
from guard.core.policy import PolicySet
from guard.core.price import Price, PriceBook, plain_book
from guard.core.protocol import Outcome
from guard.core.savings import exact
from guard.core.spans import HOUR_MS
from guard.daemon.followed import Followed
from guard.daemon.policies import policy_folder
from guard.daemon.spendmetrics import MAX_BILLING_CODES, capped
from guard.daemon.watch import PolicyWatch
from guard.errors import BadInput, PolicyErrors
from guard.policyfiles import mark_of_file, read_file
from guard.pricing.book import Books
from guard.simulator import FLAVORS, Task
from tests.changing import replace

ECO = "modelarts.vm.gpu.p100.eco"
DEAR = """
policies:
  - name: dear
    mode: enforce
    match:
      cost: {gt: 100}
  - name: long
    mode: observe
    match:
      duration: {gt: 90d}
"""


class Desk:
    """
    A stand with a price book on disk, watched by the hands of a clock.
    """

    def __init__(self, stand, path, text):
        self.stand, self.path, self.now_s = stand, path, 0.0
        path.write_text(text)
        files = Followed(
            what="prices",
            read=lambda: read_file(path),
            load=Books(zone=UTC).load,
            mark=lambda: mark_of_file(path),
        )
        stand.view.take_policies(stand.set, now_ms=NOW_MS, terms=Terms(prices=files.first()))
        folder = policy_folder(read=lambda: [("p.yaml", b"policies: []")], zone=UTC)
        folder.first()
        self.watch = PolicyWatch(
            folder=folder, prices=files, cycle=stand.cycle, clock=stand.clock, steady=lambda: self.now_s
        )

    async def write(self, text):
        """
        Change the file, let it stand still, and return whether something was taken.
        """
        self.path.write_text(text)
        await self.watch.look(at_once=False)
        self.now_s += 3
        return await self.watch.look(at_once=False)

    def prices(self):
        """
        The prices in force, by what they are for.
        """
        return {one.what: one.price for one in self.stand.view.terms.prices.entries}

    def well(self):
        """
        Whether the gauge says that the newest book was taken.
        """
        return self.stand.value("prices_last_reload_successful")


GOOD = "currency: CNY\nprices: {a: 1}\n"


def test_a_book_is_taken_again(tmp_path):
    """
    A changed book is in force once it stood still, and policies about money are in force by it since then; others as before.
    """

    async def act(stand):
        desk = Desk(stand, tmp_path / "prices.yaml", GOOD)
        assert (desk.prices(), desk.well()) == ({"a": 1}, 1)
        taken_at = stand.value("prices_last_reload_success_timestamp_seconds")
        stand.clock.seconds += 60
        assert await desk.write("currency: CNY\nprices: [{glob: 'a*', price: 2}]\n")
        assert desk.prices() == {"a*": 2}
        assert stand.view.since_ms == {"dear": NOW_MS + 60_000, "long": NOW_MS}
        assert stand.value("prices_last_reload_success_timestamp_seconds") == taken_at + 60
        assert desk.watch.notes() == []

    on_stand(act, text=DEAR)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            "currency: USD\nprices: {a: 2}\n", "prices.yaml:1:11: error: currency: expected CNY, in which", id="currency"
        ),
        pytest.param("currency: CNY\nprices: {a: -2}\n", "prices.yaml:2:13: error: a: expected a price", id="negative"),
        pytest.param("", "expected a mapping with 'currency' and 'prices'", id="empty"),
    ],
)
def test_a_bad_book_changes_nothing(tmp_path, text, words):
    """
    A bad book, and a good one in another currency, is refused with its place and said; the last good one stays in force.
    """

    async def act(stand):
        desk = Desk(stand, tmp_path / "prices.yaml", GOOD)
        with capture_logs() as logs:
            assert not await desk.write(text)
        (refused,) = [one for one in logs if one["event"] == "prices.refused"]
        assert words in refused["error"]
        (note,) = desk.watch.notes()
        assert note.startswith("prices refused, the book ")
        assert words in note
        assert (desk.prices(), desk.well()) == ({"a": 1}, 0)
        assert stand.value("config_last_reload_successful") == 1
        assert await desk.write("currency: CNY\nprices: {a: 3}\n")
        assert (desk.prices(), desk.well(), desk.watch.notes()) == ({"a": 3}, 1, [])

    on_stand(act, text=DEAR)


def test_a_book_that_goes_away_stays_in_force(tmp_path):
    """
    A removed file is refused like a bad one, and the same content mends it.
    """

    async def act(stand):
        desk = Desk(stand, tmp_path / "prices.yaml", GOOD)
        desk.path.unlink()
        await desk.watch.look(at_once=False)
        desk.now_s += 3
        assert not await desk.watch.look(at_once=False)
        assert "No such file" in desk.watch.notes()[0]
        assert (desk.prices(), desk.well()) == ({"a": 1}, 0)
        await desk.write(GOOD)
        assert (desk.watch.notes(), desk.well()) == ([], 1)

    on_stand(act, text=DEAR)


def test_without_a_book_all_is_well():
    """
    Nothing is watched, and no gauge calls for help.
    """

    async def act(stand):
        folder = policy_folder(read=lambda: [("p.yaml", b"policies: []")], zone=UTC)
        folder.first()
        watch = PolicyWatch(folder=folder, cycle=stand.cycle, clock=stand.clock)
        assert not await watch.look(at_once=True)
        watch.show()
        assert stand.value("prices_last_reload_successful") == 1
        assert stand.value("prices_last_reload_success_timestamp_seconds") == 0

    on_stand(act)


def test_a_failure_of_one_look_is_not_lost(tmp_path):
    """
    What cannot be put in force is an error of the look, and is tried again.
    """

    async def act(stand):
        desk = Desk(stand, tmp_path / "prices.yaml", GOOD)
        take = stand.view.take_policies
        failures = [OSError("no room")]

        def failing(policies: PolicySet, **options):
            if failures:
                raise failures.pop()
            take(policies, **options)

        watch = desk.watch
        watch._book.take = lambda book: failing(stand.view.policies, now_ms=NOW_MS, terms=Terms(prices=book))
        with pytest.raises(OSError, match="no room"):
            await desk.write("currency: CNY\nprices: {a: 2}\n")
        assert (desk.prices(), desk.well()) == ({"a": 1}, 0)
        assert await watch.look(at_once=False)
        assert (desk.prices(), desk.well()) == ({"a": 2}, 1)

    on_stand(act, text=DEAR)


def test_what_was_taken_is_owed_although_the_other_look_failed(tmp_path):
    """
    If the policies cannot be looked at in the same moment, the look after the next good one still asks to decide again.
    """

    async def act(stand):
        desk = Desk(stand, tmp_path / "prices.yaml", GOOD)
        desk.path.write_text("currency: CNY\nprices: {a: 2}\n")
        await desk.watch.look(at_once=False)
        desk.now_s += 3
        files, broken = desk.watch.folder.read, [True]

        def read():
            if broken:
                raise RuntimeError("a broken disk")
            return files()

        desk.watch.folder.read = read
        with pytest.raises(RuntimeError, match="a broken disk"):
            await desk.watch.look(at_once=False)
        assert desk.prices() == {"a": 2}
        broken.clear()
        assert [await desk.watch.look(at_once=False) for _ in range(2)] == [True, False]

    on_stand(act, text=DEAR)


def test_the_price_on_record_is_that_of_the_moment():
    """
    An intent on a job that matched before a price rose bears the new price, although nothing else had changed.
    """

    async def act(stand):
        later = Price(code=ECO, price=Fraction(3), valid_from_ms=NOW_MS + 5_000)
        book = PriceBook(currency="CNY", entries=(Price(code=ECO, price=Fraction(1)), later))
        stand.view.take_policies(stand.set, now_ms=NOW_MS, terms=Terms(prices=book))
        stand.lease.holding = False
        await stand.walk()
        assert stand.sent() == 0
        stand.lease.holding = True
        stand.clock.seconds = NOW_MS / 1000 + 6
        await stand.cycle.decide_all()
        await stand.settle()
        intent = await stand.intent()
        assert (intent.outcome, intent.draft.cost_per_hour) == (Outcome.CONFIRMED, "12")

    on_stand(act, running(hours=26, node_count=4))


def spend_of_stand(stand, book):
    """
    Show a stand's metrics by a price book.
    """
    stand.view.take_policies(stand.set, now_ms=NOW_MS, terms=Terms(prices=book))
    stand.cycle.show()


def test_the_spend_rate():
    """
    It is summed by target, billing code and flavor type; a job with an unpriced part counts nowhere but among the unpriced.
    """
    big, cpu = FLAVORS["modelarts.p3.8xlarge.public"], FLAVORS["modelarts.vm.cpu.8u"]
    hetero = (Task(role="learner", flavor=big), Task(role="worker", flavor=cpu, node_count=3))
    jobs = [
        running("a", hours=1, node_count=4),
        running("b", hours=1, node_count=2),
        running("c", hours=1, flavor=cpu, node_count=3),
        running("d", hours=1, flavor=None, tasks=hetero, kind="hetero_job", node_count=4),
        running("e", hours=1, node_count=5, pool_id="pool"),
        running("f", hours=-1, node_count=9),
    ]

    async def act(stand):
        await stand.walk()
        spend_of_stand(stand, plain_book("CNY", {ECO: Fraction(7, 2), "modelarts.vm.cpu.8u": Fraction(1, 10)}))
        assert stand.value("spend_rate_per_hour", target="lab", currency="CNY") == pytest.approx(21.3)

        def by_code(code):
            return stand.value("spend_rate_by_billing_code_per_hour", billing_code=code, currency="CNY")

        def by_type(kind):
            return stand.value("spend_rate_by_flavor_type_per_hour", flavor_type=kind, currency="CNY")

        assert (by_code(ECO), by_code("modelarts.vm.cpu.8u"), by_code(big.code)) == (21, pytest.approx(0.3), None)
        assert (by_type("GPU"), by_type("CPU"), by_type("Ascend")) == (21, pytest.approx(0.3), 0)
        assert stand.value("unpriced_jobs", billing_code=big.code) == 1
        # The list does not say how many nodes a task has.
        assert stand.value("unpriced_jobs", billing_code="modelarts.vm.cpu.8u") == 1
        assert stand.value("unpriced_jobs", billing_code=ECO) is None
        pools = plain_book("CNY", {}, pools={"pool": Fraction(2)})
        spend_of_stand(stand, pools)
        assert stand.value("spend_rate_per_hour", target="lab", currency="CNY") == 10
        assert stand.value("unpriced_jobs", billing_code=ECO) == 2

    on_stand(act, *jobs)


def test_a_price_that_begins_is_shown_by_itself(tmp_path):
    """
    The spend rate follows a price change at the next tick, with nothing read anew.
    """

    async def act(stand):
        text = f"currency: CNY\nprices:\n- {{billing_code: {ECO}, price: 1}}\n"
        desk = Desk(stand, tmp_path / "p.yaml", text)
        await stand.walk()
        later = Price(code=ECO, price=Fraction(3), valid_from_ms=NOW_MS + 5_000)
        book = PriceBook(currency="CNY", entries=(*stand.view.terms.prices.entries, later))
        spend_of_stand(stand, book)
        desk.watch.show()
        stand.cycle.show()
        for seconds, changed, rate in ((4, False, 1), (5, True, 3), (6, False, 3)):
            stand.clock.seconds = NOW_MS / 1000 + seconds
            desk.watch.show()
            assert stand.cycle.changed is changed
            if changed:
                stand.cycle.show()
            assert stand.value("spend_rate_per_hour", target="lab", currency="CNY") == rate

    on_stand(act, running(hours=1), text=DEAR)


def test_codes_without_end_are_cut():
    """
    A hundred codes have a series of their own, the dearest ones, and the rest share one.
    """
    values = {f"code-{number:03d}": number for number in range(150)}
    shown = capped(values)
    assert len(shown) == MAX_BILLING_CODES + 1
    assert (shown["other"], shown["code-149"]) == (sum(range(50)), 149)
    assert sum(shown.values()) == sum(values.values())
    assert capped({"a": 1}) == {"a": 1}
    assert capped({**values, "other": 1000})["other"] == 1000 + sum(range(51))


def test_an_elastic_job_counts_with_its_present_nodes():
    """
    What it was asked for does not run, so it does not cost.
    """

    async def act(stand):
        await stand.walk()
        (key,) = stand.view.watched
        job = replace(stand.view.watched[key].job, node_counts=((NOW_MS - HOUR_MS, 4), (NOW_MS - 1, 1)))
        stand.view.take([replace(job, read_at_ms=job.read_at_ms + 1)], now_ms=NOW_MS + 1)
        spend_of_stand(stand, plain_book("CNY", {ECO: Fraction(2)}))
        assert stand.value("spend_rate_per_hour", target="lab", currency="CNY") == 2

    on_stand(act, running(hours=1, node_count=4))


@pytest.mark.parametrize("rises", [False, True], ids=["one-price", "a-price-that-rises-in-mid-run"])
def test_a_deadline_in_money_is_met(rises):
    """
    By the service's own log the job is ended after the exact cost has passed the limit, never at it, and at once.
    """
    # 4 nodes at 5 an hour reach 100 after 5 hours; at 10 an hour from the fourth hour on, half an hour earlier.
    entries = [Price(code=ECO, price=Fraction(5))]
    reached_ms = NOW_MS + HOUR_MS
    if rises:
        entries.append(Price(code=ECO, price=Fraction(10), valid_from_ms=NOW_MS))
        reached_ms = NOW_MS + HOUR_MS // 2

    async def act(stand):
        book = PriceBook(currency="CNY", entries=tuple(entries))
        stand.view.take_policies(stand.set, now_ms=NOW_MS, terms=Terms(prices=book))
        await stand.walk()
        assert stand.cycle.deadlines["lab"].next_ms() == reached_ms + 1
        for later_ms, sent in ((reached_ms - 1, 0), (reached_ms, 0), (reached_ms + 1, 1)):
            stand.clock.seconds = later_ms / 1000
            await stand.cycle.decide_due(stand.target)
            await stand.settle()
            assert stand.sent() == sent, later_ms - reached_ms
        intent = await stand.intent()
        assert (intent.outcome, intent.draft.deadline_ms) == (Outcome.CONFIRMED, reached_ms + 1)
        assert 0 <= intent.lateness_ms < 5_000
        assert intent.accepted_ms > reached_ms
        # It went on for a while after the call, which was accepted at once.
        ran_ms = stand.world.job("job-1").stop.effect_ms - (NOW_MS - 4 * HOUR_MS)
        rate = 40 if rises else 20
        # The price rose when 4 hours were over.
        spent = Fraction(80) + Fraction(rate * (ran_ms - 4 * HOUR_MS), HOUR_MS)
        assert intent.cost == exact(spent)

    on_stand(act, running(hours=4, node_count=4), text=DEAR)


STEPS = [
    ("before", "intended"),
    ("after", "intended"),
    ("before", "show"),
    ("after", "show"),
    ("before", "sending"),
    ("after", "sending"),
]


@pytest.mark.parametrize("rises", [False, True], ids=["falls", "rises"])
@pytest.mark.parametrize("step", STEPS, ids=" ".join)
def test_a_book_that_comes_in_the_middle_of_a_kill(tmp_path, step, rises):
    """
    Up to the call, the prices in force count: one that falls saves the job, whatever was decided before; one that rises ends
    it all the same.
    """
    when, name = step

    async def act(stand):
        desk = Desk(stand, tmp_path / "prices.yaml", f"currency: CNY\nprices: {{{ECO}: 9}}\n")
        getattr(stand.hooks, when)(name, lambda: desk.write(f"currency: CNY\nprices: {{{ECO}: {99 if rises else 1}}}\n"))
        await stand.walk()
        assert desk.prices() == {ECO: 99 if rises else 1}
        assert stand.sent() == (1 if rises else 0)
        intent = await stand.intent()
        assert intent.outcome is (Outcome.CONFIRMED if rises else Outcome.NO_LONGER_MATCHES)
        # Nothing of the old book is left to act on.
        stand.clock.seconds += 60
        await stand.cycle.decide_all()
        await stand.settle()
        await stand.walk()
        assert stand.sent() == (1 if rises else 0)

    on_stand(act, running(hours=20), text=DEAR)


def test_the_same_currency_only():
    """
    The first good book fixes the currency of the process, whatever bad ones came before.
    """
    books = Books(zone=UTC)
    with pytest.raises(PolicyErrors):
        books.load([("p", b"currency: USD\nprices: {a: -1}")])
    assert books.load([("p", b"currency: CNY\nprices: {}")]).currency == "CNY"
    with pytest.raises(BadInput, match="expected CNY"):
        books.load([("p", b"currency: USD\nprices: {}")])
    assert books.currency == "CNY"
