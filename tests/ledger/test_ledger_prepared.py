"""
The statements on the way of every kill: what they return is what is on record, and their failures are the ledger's.
"""

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from guard.core.protocol import Outcome, State
from guard.core.records import Closing
from guard.errors import LedgerUnusable
from guard.ledger import open_ledger
from guard.ledger.prepared import Prepared
from guard.ledger.tables import intents, steps
from tests.changing import replace
from tests.ledger.ledger_cases import DRAFT, HOSTILE, named, use

STEPS = (State.SENDING, State.DENIED, State.SENDING, State.ACCEPTED)
END = Closing(outcome=Outcome.CONFIRMED, note="read back as Terminated")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_each_step_returns_what_is_on_record(url, text):
    """
    The intent that a step returns is the one on record, though what never changes of it is not read again.
    """
    draft = replace(DRAFT, reason=text, workspace=text, facts={text: text})

    async def work(ledger):
        intent = await ledger.open_intent(draft, at_ms=1, quota=None)
        for state in STEPS:
            intent = await ledger.advance(intent.number, state, at_ms=2, note=text)
            assert intent == await ledger.intent(intent.number)
        closed = await ledger.close(intent.number, replace(END, note=text), at_ms=3)
        assert closed == await ledger.intent(intent.number)
        assert closed.draft == draft

    use(url, work)


def test_each_step_of_an_intent_of_an_earlier_process_returns_what_is_on_record(file_url):
    """
    A process that did not open an intent reads the whole of it with the step that it records.
    """

    async def work(ledger):
        for number, state in ((1, State.SENDING), (1, State.ACCEPTED)):
            another = await open_ledger(file_url)
            assert await another.advance(number, state, at_ms=2) == await ledger.intent(number)
            await another.aclose()
        another = await open_ledger(file_url)
        assert await another.close(1, END, at_ms=3) == await ledger.intent(1)
        await another.aclose()

    async def opened(ledger):
        assert (await ledger.open_intent(DRAFT, at_ms=1, quota=None)).number == 1
        await work(ledger)

    use(file_url, opened)


def test_a_refused_statement_is_the_failure_of_the_ledger(url):
    """
    What the database refuses is told like every other failure, and nothing of the transaction is left.
    """
    step = Prepared(sa.insert(steps))

    def orphan(connection):
        step.rows(connection, {"intent": 7, "at_ms": 1, "state": "sending", "note": ""})

    async def work(ledger):
        with pytest.raises(LedgerUnusable, match=r"cannot note a step: .*(?i:foreign key constraint)"):
            await ledger.write("note a step", orphan)
        intent = await ledger.open_intent(DRAFT, at_ms=1, quota=None)
        assert [state for _, state, _ in await ledger.steps(intent.number)] == ["intended"]

    use(url, work)


def test_two_statements_of_a_reading_see_one_moment(file_url):
    """
    A reading is one transaction from its first statement on, so what is written meanwhile is in none or in all of its rows.
    """
    every = Prepared(sa.select(intents.c.number), columns=(intents.c.number,))

    async def work(ledger):
        await ledger.open_intent(DRAFT, at_ms=1, quota=None)
        other = sa.create_engine(file_url)

        def twice(connection):
            first = every.rows(connection, {})
            with other.begin() as writer:
                writer.execute(sa.update(intents).values(job_id="another"))
                writer.execute(sa.insert(intents).from_select(["number", *_OTHERS], sa.select(sa.literal(9), *_COLUMNS)))
            return first, every.rows(connection, {})

        first, second = await ledger.read("look twice", twice)
        assert first == second == [{"number": 1}]
        other.dispose()

    use(file_url, work)


_OTHERS = [column.name for column in intents.c if column.name not in ("number", "job_id")] + ["job_id"]
_COLUMNS = [intents.c[name] for name in _OTHERS[:-1]] + [sa.literal("one more")]


def test_another_dialect_names_its_parameters():
    """
    The text is that of the dialect: PostgreSQL's driver takes parameters by name.
    """
    text = Prepared(sa.select(intents.c.number).where(intents.c.job_id == sa.bindparam("job")))._text(
        postgresql.psycopg.dialect(), ["job"]
    )
    assert "WHERE intents.job_id = %(job)s" in text.sql
    assert ([name for name, *_ in text.given], text.by_place) == (["job"], False)


def test_many_jobs_before_a_plan(url):
    """
    What came before is told of each job, however many are asked for together.
    """

    async def work(ledger):
        for index in range(30):
            opened = await ledger.open_intent(replace(DRAFT, key=named(f"job-{index}")), at_ms=index, quota=None)
            if index % 3:
                await ledger.close(opened.number, END, at_ms=100 + index)
        before = await ledger.before({named(f"job-{index}") for index in range(60)}, since_ms=0)
        assert before.busy == {named(f"job-{index}") for index in range(0, 30, 3)}
        assert {key: one.closed_ms for key, one in before.attempts.items()} == {
            named(f"job-{index}"): 100 + index for index in range(30) if index % 3
        }
        unlimited = await ledger.before({named(f"job-{index}") for index in range(60)}, since_ms=None)
        assert (unlimited.busy, unlimited.attempts) == (before.busy, before.attempts)
        assert (before.window.total, unlimited.window.total) == (10, 0)

    use(url, work)
