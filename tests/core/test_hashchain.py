"""
The hash chain: its written form, which must never change, and what is told of a chain that does not follow.
"""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.hashchain import (
    GENESIS,
    LONGEST,
    Difference,
    Entry,
    Head,
    Kept,
    Links,
    canonical,
    chained,
    digest,
    head_of,
    is_digest,
    kept,
    shortened,
)
from guard.errors import BadInput
from tests.changing import replace

# Text as a database holds it: without NUL and without halves of characters.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=80)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", min_size=1), inner, max_size=3),
    max_leaves=8,
)


def chain_of(*contents, chain="north"):
    """
    Return the entries of a chain with their hashes.
    """
    found, previous = [], GENESIS
    for position, content in enumerate(contents, 1):
        entry = Entry(chain, position, 1_000 + position, "sending", 7, canonical({"x": content}))
        previous = chained(previous, entry)
        found.append((entry, previous))
    return found


def followed(entries, *heads, excerpt=False):
    """
    Return what is told of these entries, and how many heads were met.
    """
    links = Links(Kept.of(heads), excerpt=excerpt)
    found = [
        one for entry, hash_, *previous in entries for one in links.take(entry, hash_, previous=(previous or [None])[0])
    ]
    return [(one.chain, one.position, one.what) for one in [*found, *links.end()]], links.compared


def test_the_written_form_is_for_ever():
    """
    An entry with everything that is awkward has the hash that it had when this was written, also by hand.
    """
    content = {
        "set": {"note": '训练\x1a0000\x7f\n"é\\', "cards": None, "assumed": True, "cost": "1.10"},
        "steps": [[5, "a", ""]],
    }
    entry = Entry("north", 3, None, "confirmed", 7, canonical(content))
    by_hand = (
        "1\n" + "a" * 64 + '\n["north",3,null,"confirmed",7]\n'
        '{"set":{"assumed":true,"cards":null,"cost":"1.10","note":"训练\\u001a0000\x7f\\n\\"é\\\\"},"steps":[[5,"a",""]]}'
    )
    assert chained("a" * 64, entry) == hashlib.sha256(by_hand.encode()).hexdigest()
    assert chained("a" * 64, entry) == "9624fc0ef2755f249e44b5d954146403af0b1fa53df7e7b180ac73f13ecdf067"


@given(st.dictionaries(st.text("abc_", min_size=1), VALUES, max_size=4))
def test_canonical_json_is_that_of_the_standard_library(content):
    """
    Whoever recomputes a hash with another JSON library gets the same bytes.
    """
    assert canonical(content) == json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert canonical(json.loads(canonical(content))) == canonical(content)


@pytest.mark.parametrize("length", [0, LONGEST - 1, LONGEST, LONGEST + 1, 7 + 64])
def test_only_long_text_is_shortened(length):
    """
    A text stands as it is up to 64 characters; a longer one has a digest, also if it looks like one itself.
    """
    text = ("sha256:" + "0" * 200)[:length]
    assert (shortened(text) == text) is (length <= LONGEST)
    assert is_digest(shortened(text)) is (length > LONGEST)
    assert not is_digest(7)
    assert not is_digest("x" * 70)
    assert shortened(digest("x")) != digest("x")


@pytest.mark.parametrize(
    ("value", "stands"),
    [(None, None), (True, True), (3, 3), ("x", "x"), (1.5, "1.5"), (b"x", "b'x'"), ("长" * 65, digest("长" * 65))],
)
def test_what_a_column_is_in_an_entry(value, stands):
    """
    Numbers and nothing stand as they are, everything else as text.
    """
    assert kept(value) == stands


def test_a_head_is_read_as_it_is_written():
    """
    A head and what stands for it in a log are the same, and 48 bits of it are a number that a float holds.
    """
    head = Head("north", 12, "ab" * 32)
    assert head_of(f" {head}\n") == head
    assert head_of("north:1:0123456789ab") == Head("north", 1, "0123456789ab")
    assert head.number == 0xABABABABABAB == int(float(head.number))
    assert Head("north", 1, "no hash at all").number == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "north",
        "north:1",
        "north:0:" + "a" * 64,
        "north:01:" + "a" * 64,
        "north:1:" + "a" * 11,
        "north:1:" + "A" * 64,
        ":1:" + "a" * 64,
    ],
)
def test_what_is_no_head_is_refused(text):
    """
    A head with a fault is never taken for another one.
    """
    with pytest.raises(BadInput, match="expected TARGET:POSITION:HASH with 12 to 64"):
        head_of(text)


def test_a_chain_that_follows_is_met_by_its_heads():
    """
    Nothing is told of a chain as it was written, and heads of any place in it are met, each once.
    """
    entries = chain_of("a", "b", "c")
    heads = [
        Head("north", at, hash_[:digits])
        for (at, digits), (_, hash_) in zip([(1, 64), (2, 12), (3, 64)], entries, strict=True)
    ]
    assert followed(entries, *heads, heads[0]) == ([], 3)


def test_two_chains_may_stand_in_one_another():
    """
    The entries of several chains are followed whatever their order between the chains.
    """
    north, south = chain_of("a", "b"), chain_of("c", "d", chain="south")
    assert followed([north[0], south[0], south[1], north[1]]) == ([], 0)


CHANGES = {
    "content": {"content": canonical({"x": "z"})},
    "kind": {"kind": "accepted"},
    "moment": {"at_ms": 5},
    "no moment": {"at_ms": None},
    "intent": {"intent": 8},
    "no intent": {"intent": None},
    "half a character": {"content": '{"x":"\ud800"}'},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_entry_is_told_once(change):
    """
    Whatever of an entry is changed, that entry is named, and those after it are not.
    """
    entries = chain_of("a", "b", "c")
    entries[1] = (replace(entries[1][0], **change), entries[1][1])
    assert followed(entries) == ([("north", 2, "the entry or its hash was changed")], 0)


def test_a_changed_hash_is_told():
    """
    A hash that was changed belongs neither to its entry nor to the next.
    """
    entries = chain_of("a", "b", "c")
    entries[1] = (entries[1][0], "0" * 64)
    assert [position for _, position, _ in followed(entries)[0]] == [2, 3]


def test_what_was_removed_is_told():
    """
    Missing entries are named by the one that follows.
    """
    entries = chain_of(*"abcdef")
    assert followed(entries[1:]) == ([("north", 2, "the entry 1 before it is missing")], 0)
    assert followed([*entries[:2], *entries[4:]]) == ([("north", 5, "the entries 3 to 4 before it are missing")], 0)


def test_what_stands_at_another_place_is_told():
    """
    A position that is given twice, or goes back, is named.
    """
    entries = chain_of("a", "b", "c")
    assert followed([entries[0], entries[1], entries[1], entries[2]])[0] == [
        ("north", 2, "position 2 stands where 3 was expected")
    ]


def test_a_chain_that_was_cut_off_does_not_reach_its_head():
    """
    Only a head that was kept elsewhere tells that the end, or all of a chain, is gone.
    """
    entries = chain_of("a", "b", "c")
    head = Head("north", 3, entries[2][1])
    assert followed(entries[:2]) == ([], 0)
    assert followed(entries[:2], head) == ([("north", 3, "the chain ends at 2, before a head that was kept: cut off")], 0)
    assert followed([], head) == ([("north", 3, "there is no such chain: removed whole, or never in here")], 0)


def test_a_chain_that_was_written_anew_does_not_have_its_head():
    """
    Whoever writes all the hashes anew cannot write the one that was kept.
    """
    ((entry, hash_),) = chain_of("a")
    said = f"the chain was rewritten up to here; the hash that was kept is {hash_}"
    assert followed(chain_of("z"), Head("north", 1, hash_)) == ([("north", 1, said)], 1)
    assert entry.position == 1


def excerpt_of(entries):
    """
    Return entries as an export has them, each with the hash before it.
    """
    before = [GENESIS, *(hash_ for _, hash_ in entries)]
    return [(entry, hash_, previous) for (entry, hash_), previous in zip(entries, before, strict=False)]


def test_an_excerpt_may_begin_anywhere():
    """
    The hash before its first entry is taken as it is given, and everything after it follows.
    """
    entries = excerpt_of(chain_of("a", "b", "c"))
    assert followed(entries, excerpt=True) == ([], 0)
    assert followed(entries[1:], excerpt=True) == ([], 0)
    assert followed([(*entries[0][:2], "f" * 64)], excerpt=True)[0] == [
        ("north", 1, "it does not follow the entry before it")
    ]


def test_a_gap_in_an_excerpt_is_told_and_gone_on_from():
    """
    With the hash before it, the entry after a gap can be told from one that was changed.
    """
    entries = excerpt_of(chain_of("a", "b", "c"))
    missing = ("north", 3, "the entry 2 before it is missing")
    assert followed([entries[0], entries[2]], excerpt=True)[0] == [missing]
    changed = (replace(entries[2][0], kind="other"), *entries[2][1:])
    assert followed([entries[0], changed], excerpt=True)[0] == [missing, ("north", 3, "the entry or its hash was changed")]


def test_an_excerpt_of_other_entries_proves_nothing_about_a_head():
    """
    Heads before the excerpt are not met, which is told if none is.
    """
    entries = excerpt_of(chain_of("a", "b", "c"))
    heads = [Head("north", at + 1, entries[at][1]) for at in (0, 2)]
    assert followed(entries[1:], *heads, excerpt=True) == ([], 1)
    assert followed(entries[1:], heads[0], excerpt=True) == (
        [("", None, "none of the heads that were kept is of an entry in here, so they prove nothing")],
        0,
    )


def test_an_excerpt_counts_its_own_entries():
    """
    How many entries were followed is told, and not at which position they end.
    """
    links = Links(excerpt=True)
    for entry, hash_, previous in excerpt_of(chain_of("a", "b", "c"))[1:]:
        assert list(links.take(entry, hash_, previous=previous)) == []
    assert links.chains["north"].entries == 2
    assert Difference(what="x", chain="north").position is None
