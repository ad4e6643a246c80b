"""
What an intent must look like by the entries of the audit that are about it, compared with what its rows say now.

Rows come as the database gives them, without the types of their columns, so that nothing is mended on the way.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from guard.core.hashchain import LEDGER, Difference, Entry, is_digest, kept

Row = Mapping[str, Any]
# What else the chain of the ledger covers: tables, and what tells their rows apart.
TABLES: Mapping[str, Sequence[str]] = {"breakers": ("id",), "confirmations": ("policy", "digest")}
_CLAWBACK = ("region", "project_id", "job_id", "run")


def content_of(entry: Entry) -> dict[str, Any] | None:
    """
    Return what an entry holds, or None if that is no JSON object.
    """
    try:
        content = json.loads(entry.content)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


@dataclass(slots=True)
class Replay:
    """
    The entries about one intent, taken one after the other in the order of their chain.
    """

    number: int | None
    last: Entry | None = None
    columns: dict[str, tuple[Any, Entry]] = field(default_factory=dict)
    steps: list[tuple[list[Any], Entry]] = field(default_factory=list)
    clawbacks: dict[tuple[Any, ...], tuple[dict[str, Any], Entry]] = field(default_factory=dict)

    def take(self, entry: Entry) -> Iterator[Difference]:
        """
        Take what one write did; what makes no sense is a difference.
        """
        content = content_of(entry)
        if content is None:
            yield self._at(entry, "what the entry holds cannot be read")
            return
        if "target" in self.columns and "target" in content.get("set", ()):
            yield self._at(entry, f"the number of the intent was given twice, first at {self.columns['target'][1].position}")
        self.last = entry
        for name, value in content.get("set", {}).items():
            # Who wrote a value first wrote it; later entries only repeat it.
            if name not in self.columns or self.columns[name][0] != value:
                self.columns[name] = (value, entry)
        self.steps += [(step, entry) for step in content.get("steps", ())]
        for one in content.get("clawbacks", ()):
            key = tuple(one.get(name) for name in _CLAWBACK)
            before = self.clawbacks.get(key, ({}, entry))[0]
            self.clawbacks[key] = (before | one, entry)

    def compare(self, row: Row | None, steps: Sequence[Row], clawbacks: Sequence[Row]) -> Iterator[Difference]:
        """
        Yield how the rows differ from what was recorded.
        """
        if self.last is None:
            what = "the intent is in the ledger, but in no chain" if row else "rows of an intent that is in no chain"
            yield Difference(chain=str(row["target"]) if row else "", intent=self.number, what=what)
            return
        if row is None:
            yield self._at(self.last, "the intent was removed from the ledger")
        else:
            yield from self._compare_columns(row)
        yield from self._compare_steps(steps)
        yield from self._compare_clawbacks(clawbacks)

    def _compare_columns(self, row: Row) -> Iterator[Difference]:
        assert self.last is not None  # noqa: S101 - as compare() found
        for name, now in row.items():
            recorded, entry = self.columns.get(name, (None, self.last))
            if name != "number" and not _same(recorded, now):
                yield self._at(entry, f"{name} of the intent {_differs(recorded, now)}")
        if "target" in self.columns and self.columns["target"][0] != kept(self.last.chain):
            yield self._at(self.last, "the entry stands in the chain of another target")

    def _compare_steps(self, rows: Sequence[Row]) -> Iterator[Difference]:
        now = [[row["at_ms"], row["state"], row["note"]] for row in rows]
        for (recorded, entry), found in zip(self.steps, now, strict=False):
            if len(recorded) != len(found) or not all(map(_same, recorded, found)):
                yield self._at(entry, f"step {recorded[1]!r} of the intent {_differs(recorded, found)}")
                return
        for recorded, entry in self.steps[len(now) :]:
            yield self._at(entry, f"step {recorded[1]!r} of the intent was removed")
        for found in now[len(self.steps) :]:
            yield self._at(self.last, f"step {_shown(found)} of the intent is in no entry")

    def _compare_clawbacks(self, rows: Sequence[Row]) -> Iterator[Difference]:
        left = dict(self.clawbacks)
        for row in rows:
            key = tuple(kept(row[name]) for name in _CLAWBACK)
            recorded, entry = left.pop(key, (None, self.last))
            if recorded is None:
                yield self._at(entry, f"a claw-back by job {_shown(row['job_id'])} is in no entry")
                continue
            for name in row:
                if name not in ("id", "intent") and not _same(recorded.get(name), row[name]):
                    yield self._at(entry, f"{name} of a claw-back {_differs(recorded.get(name), row[name])}")
        for recorded, entry in left.values():
            yield self._at(entry, f"a claw-back by job {_shown(recorded.get('job_id'))} was removed")

    def _at(self, entry: Entry | None, what: str) -> Difference:
        assert entry is not None  # noqa: S101 - only called once an entry was taken
        return Difference(chain=entry.chain, position=entry.position, intent=self.number, what=what)


@dataclass(slots=True)
class Overall:
    """
    What the chain of the ledger itself says: which chains were begun, what pause is on record, and the rows of ``TABLES``.
    """

    begun: dict[str, Entry] = field(default_factory=dict)
    pause: tuple[Any, Entry] | None = None
    rows: dict[tuple[Any, ...], tuple[dict[str, Any], Entry]] = field(default_factory=dict)

    def take(self, entry: Entry) -> Iterator[Difference]:
        """
        Take an entry of that chain.
        """
        content = content_of(entry)
        if content is None:
            yield _of(entry, "what the entry holds cannot be read")
            return
        if "pause" in content:
            self.pause = (content["pause"], entry)
        if "chain" in content:
            self.begun[str(content["chain"])] = entry
        for table, names in TABLES.items():
            for one in content.get(table, ()):
                key = (table, *(one.get(name) for name in names))
                self.rows[key] = (self.rows.get(key, ({}, entry))[0] | one, entry)

    def compare(
        self, chains: Iterable[str], pauses: Sequence[Row], rows: Mapping[str, Sequence[Row]]
    ) -> Iterator[Difference]:
        """
        Yield which chains are missing or came from nowhere, and how the pause and the *rows* of each table differ.
        """
        left = dict(self.begun)
        for chain in chains:
            if left.pop(chain, None) is None:
                yield Difference(chain=chain, what="nothing on record says that this chain was begun")
        for chain, entry in left.items():
            yield _of(entry, f"the chain of {chain!r} was begun here, and there is none")
        recorded, at = self.pause or (None, None)
        now = None if not pauses else {name: value for name, value in pauses[0].items() if name != "id"}
        if recorded != now:
            what = f"the pause {_differs(recorded, now)}"
            yield Difference(chain="", what=what) if at is None else _of(at, what)
        yield from self._compare_rows(rows)

    def _compare_rows(self, rows: Mapping[str, Sequence[Row]]) -> Iterator[Difference]:
        left = dict(self.rows)
        for table, names in TABLES.items():
            for row in rows[table]:
                recorded, entry = left.pop((table, *(row[name] for name in names)), (None, None))
                if recorded is None or entry is None:
                    yield Difference(chain=LEDGER, what=f"a row of {table} is in no entry: {_shown(dict(row))}")
                    continue
                for name, now in row.items():
                    if recorded.get(name) != now:
                        yield _of(entry, f"{name} of {table} {_differs(recorded.get(name), now)}")
        for (table, *_), (recorded, entry) in left.items():
            yield _of(entry, f"a row of {table} was removed: {_shown(recorded)}")


def _of(entry: Entry, what: str) -> Difference:
    return Difference(chain=entry.chain, position=entry.position, intent=entry.intent, what=what)


def _same(recorded: Any, now: Any) -> bool:
    value = kept(now)
    return bool(recorded == value) and isinstance(recorded, str) is isinstance(value, str)


def _differs(recorded: Any, now: Any) -> str:
    if is_digest(recorded):
        return f"is not what was recorded: {_shown(now)}"
    return f"was recorded as {_shown(recorded)}, and is {_shown(now)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:120]}..."
