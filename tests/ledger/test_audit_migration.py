"""
Ledgers of earlier versions get chains over what they hold, and go on from there.
"""

import sqlite3
from decimal import Decimal

import pytest
import sqlalchemy as sa
from audit_cases import changed, looked, told, verified
from ledger_cases import HOSTILE, draft_of, named, use

from guard.core.clawback import Clawback
from guard.core.hashchain import LEDGER
from guard.core.protocol import Outcome, State
from guard.core.records import Closing
from guard.ledger.auditing import entries_of
from guard.ledger.migrations.versions.r0011_audit import AT_ONCE
from guard.ledger.schema import REVISIONS, migrate
from guard.ledger.tables import escaped

BEFORE = REVISIONS[: REVISIONS.index("0011")]
NAME = escaped(HOSTILE["controls"]) + "长" * 70


def filled(url, revision, *, made):
    """
    Make a ledger of that revision with *made* intents of two targets: every second one closed, each with steps.
    """
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        migrate(connection, to=revision)

        def put(table, **known):
            row = dict(known)
            for column in sa.inspect(connection).get_columns(table):
                if not column["nullable"]:
                    row.setdefault(column["name"], 1 if isinstance(column["type"], sa.Integer) else NAME)
            connection.execute(sa.table(table, *map(sa.column, row)).insert(), row)

        for number in range(1, made + 1):
            known = {"number": number, "job_id": f"job-{number}", "target": "north" if number % 3 else "south"}
            ended = (
                {"state": "closed", "outcome": "confirmed", "cost": "1.10", "closed_ms": 5}
                if number % 2
                else {"state": "sending"}
            )
            put("intents", facts='{"a": "b"}', traces="[]", **known, **ended)
            for state in ("intended", "sending"):
                put("steps", id=2 * number + (state == "sending"), intent=number, state=state)
            if revision >= "0005" and number % 2:
                put("clawbacks", id=number, intent=number, amount="2.50", assumed=number % 4 == 1)
        put("pause", id=1)
    engine.dispose()


@pytest.mark.parametrize("revision", BEFORE)
@pytest.mark.parametrize("made", [0, 7])
def test_a_ledger_of_an_earlier_version_gets_its_chains(file_url, revision, made):
    """
    Each intent and the pause have an entry that says how they were found; what is changed afterwards is found by it.
    """
    filled(file_url, revision, made=made)

    async def nothing(ledger):
        pass

    use(file_url, nothing)
    found = looked(file_url, lambda at: [entry for entry, _ in entries_of(at)])
    kinds = [(one.chain, one.kind, one.intent) for one in found if one.kind != "chain_begun"]
    assert kinds == [
        # The pause, and the confirmation that another migration makes of three terminations.
        *[(LEDGER, "found", None)] * (2 if made and revision < "0007" else 1),
        *(("north", "found", at) for at in range(1, made + 1) if at % 3),
        *(("south", "found", at) for at in range(1, made + 1) if not at % 3),
    ]
    assert told(file_url) == []
    changed(file_url, "UPDATE intents SET reason = 'x' WHERE number = 3", "UPDATE pause SET reason = 'x'")
    differences = told(file_url)
    assert [(chain, intent) for chain, _, intent, _ in differences] == ([("south", 3)] if made else []) + [(LEDGER, None)]


def test_what_was_open_goes_on(file_url):
    """
    An intent that was on its way at the migration is finished in its chain, and figures that come later follow too.
    """
    filled(file_url, "0005", made=3)

    async def work(ledger):
        await ledger.close(2, Closing(outcome=Outcome.REFUSED, note="no"), at_ms=9)
        await ledger.open_intent(draft_of("job-1"), at_ms=10, quota=None)
        await ledger.advance(4, State.SENDING, at_ms=11)
        await ledger.set_pause(None, at_ms=12)

    use(file_url, work)
    assert told(file_url) == []
    changed(file_url, "UPDATE steps SET note = 'x' WHERE intent = 2 AND state = 'refused'")
    ((chain, _, intent, what),) = told(file_url)
    assert (chain, intent, what.partition(" was")[0]) == ("north", 2, "step 'refused' of the intent")


def test_a_claw_back_from_before_is_raised(file_url):
    """
    A claw-back that was found at the migration and grows afterwards is covered by the entry that raised it.
    """
    filled(file_url, "0005", made=1)
    changed(file_url, "UPDATE intents SET savings_expected = '9', run = 1, region = 'r' WHERE number = 1")
    changed(file_url, "UPDATE clawbacks SET region = 'cn-north-4', project_id = '0a1b', job_id = 'job-9', run = 1")

    async def work(ledger):
        one = Clawback(number=1, key=named("job-9"), run=1, amount=Decimal(3), currency="CNY", assumed=False)
        await ledger.savings.claw_back([one], at_ms=77)

    use(file_url, work)
    assert told(file_url) == []
    changed(file_url, "UPDATE clawbacks SET amount = '2.50'")
    ((_, position, _, what),) = told(file_url)
    assert (position, what) == (2, "amount of a claw-back was recorded as '3', and is '2.50'")


def test_many_intents_are_migrated_in_portions(file_url):
    """
    More intents than are read at once have their entries in the order of their numbers, each with its own steps.
    """
    filled(file_url, BEFORE[-1], made=AT_ONCE + 3)

    async def nothing(ledger):
        pass

    use(file_url, nothing)
    found = verified(file_url)
    assert (found.differences, found.entries) == ([], AT_ONCE + 3 + 2 + 1)


def test_a_step_of_nothing_does_not_stop_the_migration(file_url):
    """
    A row that refers to an intent that is not there is left to the verification, which names it.
    """
    filled(file_url, BEFORE[-1], made=3)
    path = file_url.removeprefix("sqlite:///")
    database = sqlite3.connect(path)
    database.execute("DELETE FROM intents WHERE number = 2")
    database.commit()
    database.close()

    async def nothing(ledger):
        pass

    use(file_url, nothing)
    assert [(intent, what) for _, _, intent, what in told(file_url)] == [(2, "rows of an intent that is in no chain")]
