"""
The audit: what is written to it, and that whatever is changed by hand is found and named.
"""

import asyncio
import sqlite3

import pytest
from audit_cases import LONG, acted, changed, heads_of, looked, rehashed, told, verified
from ledger_cases import HOSTILE, draft_of, use

from guard.core.breaker import Breaker, Cause, Confirmation, Scope
from guard.core.hashchain import LEDGER, digest
from guard.core.protocol import State
from guard.core.records import Pause
from guard.errors import LedgerUnusable
from guard.ledger import audit, open_ledger
from guard.ledger.auditing import MOST_SHOWN, entries_of
from guard.ledger.moving import export_to, import_from
from guard.ledger.replay import content_of
from guard.ledger.tables import intents


def entries(url):
    """
    Return (chain, position, moment, kind, intent) of every entry.
    """
    found = looked(url, lambda at: [entry for entry, _ in entries_of(at)])
    return [(one.chain, one.position, one.at_ms, one.kind, one.intent) for one in found]


def test_every_write_has_an_entry(acted_url):
    """
    Each step, figure and pause stands in the chain of its target or the ledger, in the order of the writes.
    """
    assert entries(acted_url) == [
        (LEDGER, 1, 100, "chain_begun", None),
        (LEDGER, 2, 121, "paused", None),
        (LEDGER, 3, 131, "resumed", None),
        (LEDGER, 4, 170, "chain_begun", None),
        (LEDGER, 5, 180, "paused", None),
        ("north", 1, 100, "intended", 1),
        ("north", 2, 110, "sending", 1),
        ("north", 3, 115, "intended", 2),
        ("north", 4, 120, "accepted", 1),
        ("north", 5, 130, "confirmed", 1),
        ("north", 6, 140, "sending", 2),
        ("north", 7, 141, "denied", 2),
        ("north", 8, 142, "refused", 2),
        ("north", 9, None, "estimated", 1),
        ("north", 10, 150, "clawed_back", 1),
        ("north", 11, 151, "clawed_back", 1),
        ("north", 12, 160, "intended", 3),
        ("north", 13, 161, "sending", 3),
        ("south", 1, 170, "intended", 4),
        ("south", 2, 171, "held_back", 4),
    ]


def test_a_ledger_as_it_was_written_verifies(acted_url):
    """
    Nothing is told of a ledger that nobody touched, and its own heads are met.
    """
    found = verified(acted_url, *heads_of(acted_url).values())
    assert (found.differences, found.more, found.kept, found.compared, found.entries) == ([], 0, 3, 3, 20)
    assert {head.chain: head for head in found.heads} == heads_of(acted_url)


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_whatever_somebody_called_something(file_url, name):
    """
    Text of any kind in every place, the target's name included, is verified as it was written.
    """

    async def work(ledger):
        draft = draft_of("x" + name, reason=name, policy=name, facts={name: name}, target=name or "x", workspace=name)
        await ledger.open_intent(draft, at_ms=1, quota=None)
        await ledger.advance(1, State.SENDING, at_ms=2, note=name)
        await ledger.set_pause(Pause(reason=name, since_ms=3, by=name))

    use(file_url, work)
    found = verified(file_url, *heads_of(file_url).values())
    assert (found.differences, found.entries, found.compared) == ([], 4, 2)


def test_a_long_text_stands_for_itself_by_its_digest(acted_url):
    """
    An entry is small, whatever the facts are: a long text is in its row, and its digest in the entry.
    """
    (entry,) = [
        one for one, _ in looked(acted_url, lambda at: list(entries_of(at))) if (one.kind, one.intent) == ("confirmed", 1)
    ]
    content = content_of(entry)
    assert content["set"]["note"] == digest(LONG)
    assert content["set"]["cost"] == "1.10"
    assert content["steps"] == [[130, "confirmed", digest(LONG)]]


def columns(table, *, without=()):
    """
    Return the names of the columns of a table that may be changed.
    """
    return [column.name for column in table.c if column.name not in without]


@pytest.mark.parametrize("column", columns(intents, without=["number"]))
def test_every_column_of_an_intent_is_covered(acted_url, column):
    """
    A change of any column of an intent is found, with the entry that wrote it and the intent.
    """
    changed(acted_url, f"UPDATE intents SET {column} = '7777' WHERE number = 1")  # noqa: S608
    ((chain, position, intent, what),) = [one for one in told(acted_url) if "chain of another target" not in one[3]]
    assert (chain, intent) == ("north", 1)
    wrote = {"sending_ms": {2}, "last_sending_ms": {2}, "accepted_ms": {4}, "user_name": {11}}
    late = {"state", "outcome", "closed_ms", "note", "cost", "savings_upper", "basis"}
    figures = {"savings_expected", "savings_lower", "savings_assumed", "savings_estimate"}
    assert position in wrote.get(column, {5} if column in late else {9} if column in figures else {1})
    assert what.startswith(f"{column} of the intent ")
    assert "7777" in what


@pytest.mark.parametrize("column", columns(intents, without=["number"]))
def test_a_column_that_nobody_wrote_must_be_empty(acted_url, column):
    """
    What no entry says of an open intent may not be there either.
    """
    with sqlite3.connect(acted_url.removeprefix("sqlite:///")) as database:
        ((now,),) = database.execute(f"SELECT {column} FROM intents WHERE number = 3").fetchall()  # noqa: S608
    database.close()
    changed(acted_url, f"UPDATE intents SET {column} = 9 WHERE number = 3")  # noqa: S608
    assert [what.startswith(f"{column} of the intent") for _, _, _, what in told(acted_url)][:1] == [True]
    assert now != 9


STEPS = [
    ("UPDATE steps SET at_ms = 1 WHERE id = 2", 2, "step 'sending' of the intent was recorded as [110, 'sending', '']"),
    ("UPDATE steps SET state = 'denied' WHERE id = 2", 2, "step 'sending' of the intent was recorded as"),
    (
        "UPDATE steps SET note = 'x' WHERE id = 4",
        4,
        "step 'accepted' of the intent was recorded as [120, 'accepted', '202']",
    ),
    ("DELETE FROM steps WHERE id = 2", 2, "step 'sending' of the intent was recorded as"),
    ("DELETE FROM steps WHERE id = 5", 5, "step 'confirmed' of the intent was removed"),
    ("UPDATE steps SET id = 100 WHERE id = 2", 2, "step 'sending' of the intent was recorded as"),
    (
        "INSERT INTO steps VALUES (100, 1, 7, 'denied', 'made up')",
        11,
        "step [7, 'denied', 'made up'] of the intent is in no entry",
    ),
]


@pytest.mark.parametrize(("statement", "position", "said"), STEPS)
def test_the_steps_are_covered(acted_url, statement, position, said):
    """
    A step that was changed, removed, moved or made up is found and named.
    """
    changed(acted_url, statement)
    ((chain, at, intent, what),) = told(acted_url)
    assert (chain, at, intent) == ("north", position, 1)
    assert what.startswith(said)


def test_a_step_of_another_intent_is_found_twice(acted_url):
    """
    A step that was given to another intent is missing here and too much there.
    """
    changed(acted_url, "UPDATE steps SET intent = 3 WHERE id = 5")
    (_, _, _, missing), (_, position, intent, what) = told(acted_url)
    assert missing == "step 'confirmed' of the intent was removed"
    assert (position, intent) == (12, 3)
    assert what.startswith("step 'intended' of the intent was recorded as [160, 'intended', ''], and is [130, 'confirmed', ")


CLAWBACKS = [
    ("UPDATE clawbacks SET amount = '0'", 11, "amount of a claw-back was recorded as '2.5"),
    ("UPDATE clawbacks SET at_ms = 5", 11, "at_ms of a claw-back was recorded as 151, and is 5"),
    ("UPDATE clawbacks SET assumed = 0", 11, "assumed of a claw-back was recorded as True, and is 0"),
    ("UPDATE clawbacks SET currency = 'EUR'", 11, "currency of a claw-back was recorded as 'CNY', and is 'EUR'"),
    ("DELETE FROM clawbacks", 11, "a claw-back by job 'job-9' was removed"),
    ("INSERT INTO clawbacks VALUES (9, 1, 'r', 'p', 'j', 1, '1', 'CNY', 0, 5)", 11, "a claw-back by job 'j' is in no entry"),
]


@pytest.mark.parametrize(("statement", "position", "said"), CLAWBACKS)
def test_the_clawbacks_are_covered(acted_url, statement, position, said):
    """
    A claw-back that was changed, removed or made up is found, by the entry that wrote it last.
    """
    changed(acted_url, statement)
    ((chain, at, intent, what),) = told(acted_url)
    assert (chain, at, intent) == ("north", position, 1)
    assert what.startswith(said)


@pytest.mark.parametrize("column", ["region", "project_id", "job_id", "run"])
def test_a_claw_back_of_another_job_is_found(acted_url, column):
    """
    The job of a claw-back is covered like its amount.
    """
    changed(acted_url, f"UPDATE clawbacks SET {column} = 77")  # noqa: S608
    assert [what.partition(" by ")[0] for *_, what in told(acted_url)] == ["a claw-back"] * 2


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE pause SET reason = 'x'", "the pause was recorded as {"),
        ("UPDATE pause SET until_ms = NULL", "the pause was recorded as {"),
        ("DELETE FROM pause", "the pause was recorded as {"),
    ],
)
def test_the_pause_is_covered(acted_url, statement, said):
    """
    A pause that was changed or lifted by hand is found.
    """
    changed(acted_url, statement)
    ((chain, position, intent, what),) = told(acted_url)
    assert (chain, position, intent) == (LEDGER, 5, None)
    assert what.startswith(said)


def test_a_pause_that_nobody_recorded_is_found(file_url):
    """
    A pause that was put there by hand stands in no chain.
    """
    use(file_url, lambda ledger: ledger.open_intent(draft_of("job-1"), at_ms=1, quota=None))
    changed(file_url, "INSERT INTO pause VALUES (1, 'x', 1, NULL, 'me')")
    ((chain, position, _, what),) = told(file_url)
    assert (chain, position) == ("", None)
    assert what.startswith("the pause was recorded as None, and is {")


@pytest.mark.parametrize("column", ["at_ms", "kind", "intent", "content", "hash"])
def test_every_column_of_an_entry_is_covered(acted_url, column):
    """
    An entry of which anything was changed is named by its place.
    """
    changed(acted_url, f"UPDATE audit SET {column} = '7' WHERE chain = 'north' AND position = 5")  # noqa: S608
    found = told(acted_url)
    assert ("north", 5, 7 if column == "intent" else 1, "the entry or its hash was changed") in found
    assert {position for chain, position, *_ in found if chain == "north"} <= {4, 5, 6, 11}


ENTRIES = [
    pytest.param(
        ["DELETE FROM audit WHERE chain = 'north' AND position = 7"],
        ("north", 8, "the entry 7 before it is missing"),
        id="removed",
    ),
    pytest.param(
        ["DELETE FROM audit WHERE chain = 'north' AND position BETWEEN 2 AND 4"],
        ("north", 5, "the entries 2 to 4 before it are missing"),
        id="several-removed",
    ),
    pytest.param(
        ["DELETE FROM audit WHERE chain = 'north' AND position = 1"],
        ("north", 2, "the entry 1 before it is missing"),
        id="first",
    ),
    pytest.param(
        ["DELETE FROM audit WHERE chain = 'north' AND position = 13"],
        ("north", 12, "state of the intent was recorded as 'intended', and is 'sending'"),
        id="cut-off",
    ),
    pytest.param(
        ["DELETE FROM audit WHERE chain = 'north'"],
        (LEDGER, 1, "the chain of 'north' was begun here, and there is none"),
        id="whole-chain",
    ),
    pytest.param(["DELETE FROM audit"], ("north", None, "the intent is in the ledger, but in no chain"), id="all-chains"),
    pytest.param(
        [
            "UPDATE audit SET position = -6 WHERE chain = 'north' AND position = 6",
            "UPDATE audit SET position = 6 WHERE chain = 'north' AND position = 7",
            "UPDATE audit SET position = 7 WHERE chain = 'north' AND position = -6",
        ],
        ("north", 6, "the entry or its hash was changed"),
        id="swapped",
    ),
    pytest.param(
        [
            "UPDATE audit SET position = -position WHERE chain = 'north' AND position > 6",
            "UPDATE audit SET position = 1 - position WHERE chain = 'north' AND position < 0",
            "INSERT INTO audit SELECT chain, 7, at_ms, kind, intent, content, hash FROM audit WHERE chain = 'north' AND position = 6",  # noqa: E501
        ],
        ("north", 7, "the entry or its hash was changed"),
        id="inserted",
    ),
    pytest.param(
        ["UPDATE audit SET chain = 'south', position = position + 100 WHERE chain = 'north' AND position = 13"],
        ("south", 113, "the entries 3 to 112 before it are missing"),
        id="moved-to-another-chain",
    ),
    pytest.param(
        ["INSERT INTO audit SELECT 'west', position, at_ms, kind, intent, content, hash FROM audit WHERE chain = 'south'"],
        ("west", None, "nothing on record says that this chain was begun"),
        id="chain-from-nowhere",
    ),
    pytest.param(
        ["UPDATE audit SET position = 'x' WHERE chain = 'north' AND position = 13"],
        ("north", 0, "position 0 stands where 13 was expected"),
        id="no-position",
    ),
    pytest.param(
        ["UPDATE audit SET content = '[1]' WHERE chain = 'north' AND position = 13"],
        ("north", 13, "what the entry holds cannot be read"),
        id="no-content",
    ),
    pytest.param(
        [f"UPDATE audit SET content = '{'[' * 100_000}' WHERE chain = '{LEDGER}' AND position = 2"],  # noqa: S608
        (LEDGER, 2, "what the entry holds cannot be read"),
        id="a-bomb",
    ),
]


@pytest.mark.parametrize(("statements", "said"), ENTRIES)
def test_whatever_is_done_to_the_chain_is_found(acted_url, statements, said):
    """
    Entries that were removed, moved, made up or cut off are found and named.
    """
    changed(acted_url, *statements)
    assert said in [(chain, position, what) for chain, position, _, what in told(acted_url)]


def test_an_intent_that_was_removed_is_found(acted_url):
    """
    An intent that was removed with everything that refers to it still stands in the chain.
    """
    changed(acted_url, "DELETE FROM steps WHERE intent = 2", "DELETE FROM intents WHERE number = 2")
    assert ("north", 8, 2, "the intent was removed from the ledger") in told(acted_url)


def test_an_intent_that_was_made_up_is_found(acted_url):
    """
    An intent that no entry tells of was not made by the guard.
    """
    names = ", ".join(columns(intents, without=["number"]))
    changed(acted_url, f"INSERT INTO intents (number, {names}) SELECT 9, {names} FROM intents WHERE number = 1")  # noqa: S608
    assert told(acted_url) == [("north", None, 9, "the intent is in the ledger, but in no chain")]


def test_rows_of_an_intent_that_never_was_are_found(acted_url):
    """
    A step that refers to nothing is told of, also where the number is no number.
    """
    changed(
        acted_url, "INSERT INTO steps VALUES (90, 55, 1, 'sending', '')", "INSERT INTO steps VALUES (91, 'x', 1, 'a', '')"
    )
    assert [(intent, what) for _, _, intent, what in told(acted_url)] == [
        (55, "rows of an intent that is in no chain"),
        ("x", "rows of an intent that is in no chain"),
    ]


def test_a_number_that_was_given_twice_is_found(acted_url):
    """
    Whoever removes the newest intent makes the next one take its number, which the chain shows.
    """
    changed(acted_url, "DELETE FROM steps WHERE intent = 4", "DELETE FROM intents WHERE number = 4")
    use(acted_url, lambda ledger: ledger.open_intent(draft_of("job-5", target="south"), at_ms=200, quota=None))
    assert ("south", 3, 4, "the number of the intent was given twice, first at 1") in told(acted_url)


def test_who_rewrites_the_chain_is_found_by_a_head_that_was_kept(acted_url):
    """
    An edit with all hashes written anew is consistent in itself; only a head that was kept elsewhere finds it, and one from
    before the edit does not.
    """
    heads = heads_of(acted_url)
    before = looked(
        acted_url, lambda at: [(entry.position, hash_) for entry, hash_ in entries_of(at) if entry.chain == "north"]
    )
    changed(
        acted_url,
        "UPDATE intents SET outcome = 'gone' WHERE number = 2",
        "UPDATE steps SET state = 'gone' WHERE intent = 2 AND state = 'refused'",
        "UPDATE audit SET content = replace(content, '\"refused\"', '\"gone\"'), kind = 'gone'"
        " WHERE chain = 'north' AND position = 8",
    )
    assert told(acted_url) == [("north", 8, 2, "the entry or its hash was changed")]
    rehashed(acted_url, "north")
    assert told(acted_url) == []
    assert told(acted_url, heads["south"]) == []
    ((chain, position, _, what),) = told(acted_url, heads["north"])
    assert (chain, position) == ("north", 13)
    assert what == f"the chain was rewritten up to here; the hash that was kept is {heads['north'].hash}"
    for position, hash_ in before:
        kept = type(heads["north"])("north", position, hash_[:12])
        assert (told(acted_url, kept) == []) is (position < 8)


def test_who_cuts_off_the_end_is_found_by_a_head_that_was_kept(acted_url):
    """
    An end that was removed with its rows leaves nothing behind but the head that somebody kept.
    """
    head = heads_of(acted_url)["north"]
    changed(
        acted_url,
        "DELETE FROM audit WHERE chain = 'north' AND position >= 12",
        "DELETE FROM steps WHERE intent = 3",
        "DELETE FROM intents WHERE number = 3",
    )
    assert told(acted_url) == []
    assert told(acted_url, head) == [("north", 13, None, "the chain ends at 11, before a head that was kept: cut off")]


def test_who_removes_a_target_is_found_by_a_head_that_was_kept(acted_url):
    """
    A target that was removed with every trace leaves nothing behind but the head that somebody kept.
    """
    head = heads_of(acted_url)["south"]
    changed(
        acted_url,
        "DELETE FROM audit WHERE chain = 'south' OR (chain = '_ledger' AND position = 4)",
        "DELETE FROM steps WHERE intent = 4",
        "DELETE FROM intents WHERE number = 4",
    )
    assert [what for *_, what in told(acted_url)] == ["the entry 4 before it is missing"]
    rehashed(acted_url, LEDGER)
    assert told(acted_url) == []
    assert told(acted_url, head) == [("south", 2, None, "there is no such chain: removed whole, or never in here")]


def test_a_ledger_of_changes_is_told_of_in_part(file_url):
    """
    So many differences are kept, and the rest is counted.
    """

    async def work(ledger):
        made = [ledger.open_intent(draft_of(f"job-{at}"), at_ms=1, quota=None) for at in range(MOST_SHOWN + 5)]
        await asyncio.gather(*made)

    use(file_url, work)
    changed(file_url, "UPDATE intents SET policy = 'x'")
    found = verified(file_url)
    assert (len(found.differences), found.more) == (MOST_SHOWN, 5)


def test_a_write_that_is_rolled_back_leaves_no_entry(file_url):
    """
    Works that share a transaction run again one by one when one of them fails, and the chain has no trace of the first time.
    """

    async def work(ledger):
        await ledger.open_intent(draft_of("job-1"), at_ms=1, quota=None)
        wanted = [ledger.advance(1, State.SENDING, at_ms=2), ledger.advance(1, State.SENDING, at_ms=3)]
        wanted += [ledger.advance(99, State.SENDING, at_ms=3), ledger.advance(1, State.ACCEPTED, at_ms=4)]
        wanted += [ledger.open_intent(draft_of(f"job-{at}"), at_ms=5, quota=None) for at in range(20)]
        done = await asyncio.gather(*wanted, return_exceptions=True)
        assert [isinstance(one, LedgerUnusable) for one in done[:4]] == [False, False, True, False]

    use(file_url, work)
    found = verified(file_url)
    assert (found.differences, found.entries) == ([], 1 + 4 + 19)


def test_two_writers_make_one_chain(file_url):
    """
    Whoever writes beside goes on where the other one ended.
    """

    async def work(ledger):
        other = await open_ledger(file_url)
        both = [one.open_intent(draft_of(f"job-{at}"), at_ms=at, quota=None) for at in range(40) for one in (ledger, other)]
        made = [one for one in await asyncio.gather(*both) if one is not None]
        await asyncio.gather(
            *((ledger, other)[at % 2].advance(one.number, State.SENDING, at_ms=99) for at, one in enumerate(made))
        )
        await other.aclose()
        assert len(made) == 40

    use(file_url, work)
    found = verified(file_url)
    assert (found.differences, found.entries) == ([], 81)


def test_no_place_in_a_chain_is_taken_twice(file_url):
    """
    The database itself forbids a chain to branch, whatever a writer believes that its end is.
    """

    def twice(connection):
        audit.append(connection, "north", "x", {}, at_ms=1)
        connection.info["audit_tips"][1]["north"] = (0, "0" * 64)
        audit.append(connection, "north", "y", {}, at_ms=2)

    async def work(ledger):
        with pytest.raises(LedgerUnusable, match="UNIQUE constraint failed"):
            await ledger.write("branch", twice)

    use(file_url, work)
    assert entries(file_url) == []


def test_nothing_is_remembered_of_a_savepoint(file_url):
    """
    What was taken back within a transaction is not gone on from.
    """

    def back(connection):
        audit.append(connection, "north", "x", {}, at_ms=1)
        with connection.begin_nested() as savepoint:
            audit.append(connection, "north", "y", {}, at_ms=2)
            savepoint.rollback()
        audit.append(connection, "north", "z", {}, at_ms=3)

    use(file_url, lambda ledger: ledger.write("take back", back))
    assert [(one[1], one[3]) for one in entries(file_url) if one[0] == "north"] == [(1, "x"), (2, "z")]
    assert told(file_url) == []


@pytest.mark.parametrize("change", ["position = 'x'", "hash = 'x'", "hash = 7", f"hash = '{'A' * 64}'"])
def test_nothing_follows_an_end_that_makes_no_sense(acted_url, change):
    """
    No record, no act: a chain whose end cannot be gone on from makes the ledger unusable, and the message names the chain.
    """
    changed(acted_url, f"UPDATE audit SET {change} WHERE chain = 'south' AND position = 2")  # noqa: S608

    async def work(ledger):
        with pytest.raises(LedgerUnusable, match=r"the audit of 'south' ends at .*, which the guard never wrote"):
            await ledger.open_intent(draft_of("job-9", target="south"), at_ms=1, quota=None)
        assert await ledger.open_intent(draft_of("job-9"), at_ms=1, quota=None) is not None

    use(acted_url, work)


def test_an_event_of_any_kind_is_chained(file_url):
    """
    A kind that the verification knows nothing of is followed like every other one.
    """

    async def work(ledger):
        event = {"cause": "anomaly", "name": "p100"}
        await ledger.write("break", lambda at: audit.append(at, LEDGER, "breaker_opened", event, at_ms=5))

    use(file_url, work)
    assert entries(file_url) == [(LEDGER, 1, 5, "breaker_opened", None)]
    assert told(file_url) == []
    changed(file_url, "UPDATE audit SET content = '{}'")
    assert told(file_url) == [(LEDGER, 1, None, "the entry or its hash was changed")]


def test_verifying_beside_a_writer(file_url):
    """
    A ledger is verified as it was at one moment, while another one goes on writing.
    """

    async def work(ledger):
        await acted(ledger)
        for at in range(5):
            writing = [ledger.open_intent(draft_of(f"more-{at}-{one}"), at_ms=at, quota=None) for one in range(30)]
            found, *_ = await asyncio.gather(asyncio.to_thread(verified, file_url), *writing)
            assert found.differences == []

    use(file_url, work)


BREAKERS = [
    ("UPDATE breakers SET closed_ms = NULL", 3, "closed_ms of breakers was recorded as 7, and is None"),
    ("UPDATE breakers SET closed_why = 'x'", 3, "closed_why of breakers was recorded as 'mended', and is 'x'"),
    ("UPDATE breakers SET text = 'x'", 3, "text of breakers was recorded as 'too many', and is 'x'"),
    ("DELETE FROM breakers", 3, "a row of breakers was removed: {"),
    ("UPDATE confirmations SET by = 'eve'", 2, "by of confirmations was recorded as 'ann', and is 'eve'"),
    ("DELETE FROM confirmations", 2, "a row of confirmations was removed: {"),
    ("INSERT INTO confirmations VALUES ('p', 'd2', 'eve', '', 1)", None, "a row of confirmations is in no entry: {"),
]


@pytest.mark.parametrize(("statement", "position", "said"), BREAKERS)
def test_the_breaker_is_covered(file_url, statement, position, said):
    """
    A breaker that was closed by hand, or a confirmation that nobody gave, is found.
    """

    async def work(ledger):
        opened = Breaker(scope=Scope.ALL, name="", cause=Cause.MATCHES, text="too many", by="guard", opened_ms=5)
        assert await ledger.breaker.open(opened)
        assert await ledger.breaker.confirm(Confirmation(policy="p", digest="d", by="ann", reason="read it", at_ms=6))
        assert await ledger.breaker.reset(by="ann", reason="mended", at_ms=7)

    use(file_url, work)
    kinds = [kind for *_, kind, _ in entries(file_url)]
    assert (kinds, told(file_url)) == (["breaker_opened", "confirmed_policy", "breaker_reset"], [])
    changed(file_url, statement)
    ((chain, at, _, what),) = told(file_url)
    assert (chain, at) == (LEDGER, position)
    assert what.startswith(said)


def test_a_breaker_that_opens_again_after_its_time_is_covered(file_url):
    """
    Its end, which nobody had to write down before, is an entry of its own.
    """

    async def work(ledger):
        for at_ms in (5, 50):
            one = Breaker(
                scope=Scope.ALL, name="", cause=Cause.MATCHES, text=LONG, by="guard", opened_ms=at_ms, until_ms=at_ms + 9
            )
            assert await ledger.breaker.open(one)

    use(file_url, work)
    assert [kind for *_, kind, _ in entries(file_url)] == ["breaker_opened", "breaker_closed", "breaker_opened"]
    assert told(file_url) == []


def test_a_ledger_that_moves_takes_its_chains_along(acted_url, tmp_path):
    """
    What was exported and imported into another ledger verifies there, against the heads of the first.
    """
    path, there = tmp_path / "ledger.jsonl", f"sqlite:///{tmp_path / 'other.db'}"
    with path.open("wb") as file:
        looked(acted_url, lambda at: export_to(at, file.write))
    use(there, lambda ledger: ledger.write("be imported", lambda at: import_from(at, path)))
    found = verified(there, *heads_of(acted_url).values())
    assert (found.differences, found.compared, heads_of(there)) == ([], 3, heads_of(acted_url))
