"""
A whole ledger as lines of JSON, out of one database and into another: nothing is lost, reckoned anew or numbered anew.

The first line says what follows: format, schema, and how many rows of each table. Then, table by table, comes a line that
names its columns, and a line for each row, in the order of its key. Values stand as the database keeps them: text with its
escapes, money as text, bytes in hexadecimal digits. The last line holds the SHA-256 of all bytes before it. The lease stays
where it is: it is no record, but the right of a process. Every function works in the transaction of its caller.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy as sa

from guard.errors import BadInput
from guard.ledger.leasetables import metadata
from guard.ledger.postgres import follow_numbers, unhurried
from guard.ledger.schema import newest

FORMAT = 1
STAY = {"replicas", "leases"}
ROWS_AT_ONCE = 1_000
# More than any row takes: what is longer is no line of an export.
LONGEST_LINE = 64 * 1024 * 1024
_INTEGERS = 2**63

Counts = dict[str, int]
Check = Callable[[Any], Any]


def moved() -> list[sa.Table]:
    """
    Return the tables that move, those that others refer to first.
    """
    return [table for table in metadata.sorted_tables if table.name not in STAY]


def counts(connection: sa.Connection) -> Counts:
    """
    Count the rows of every table that moves.
    """
    counted = {one.name: sa.select(sa.func.count()).select_from(one) for one in moved()}
    return {name: connection.execute(count).scalar_one() for name, count in counted.items()}


def export_to(connection: sa.Connection, write: Callable[[bytes], object]) -> Counts:
    """
    Write everything, from one view of the ledger; return how many rows of each table there were.
    """
    there, digest = counts(connection), hashlib.sha256()

    def put(value: object) -> None:
        line = _line(value)
        digest.update(line)
        write(line)

    put({"cost_guard_ledger": FORMAT, "schema": newest(), "rows": there})
    for table in moved():
        raw = _raw(table)
        put({"table": table.name, "columns": list(raw.c.keys())})
        key = [raw.c[column.name] for column in table.primary_key]
        for row in connection.execute(sa.select(raw).order_by(*key).execution_options(yield_per=ROWS_AT_ONCE)):
            put([value.hex() if isinstance(value, bytes) else value for value in row])
    write(_line({"sha256": digest.hexdigest()}))
    return there


def import_from(connection: sa.Connection, path: Path) -> Counts:
    """
    Take everything from a file into a ledger without rows; return how many of each table.

    Raises ``BadInput`` that names the line if the file is not a whole export of this version, or the ledger not empty.
    """
    full = [name for name, count in counts(connection).items() if count]
    if full:
        raise BadInput(f"the ledger is not empty, it holds {', '.join(full)}; an import needs a new one")
    unhurried(connection)
    with _opened(path) as file:
        lines = _Lines(path, file)
        wanted = _header(lines)
        for table in moved():
            _take(connection, lines, table, wanted[table.name])
        lines.end()
    follow_numbers(connection, moved())
    there = counts(connection)
    if there != wanted:
        raise BadInput(f"{path}: the ledger took {there}, and the file holds {wanted}; nothing was imported")
    return there


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error


class _Lines:
    """
    The lines of a file, each decoded; errors name file and line.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.number = 0
        self._path = path
        self._file = file
        self._digest = hashlib.sha256()

    def next(self) -> Any:
        """
        Return the value of the next line.
        """
        self.number += 1
        line = self._file.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise self.wrong("the file ends here, so it is no whole export" if len(line) < LONGEST_LINE else "no such line")
        before = self._digest.copy()
        self._digest.update(line)
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self.wrong(f"expected a line of JSON: {error}") from error
        if isinstance(value, dict) and set(value) == {"sha256"} and value["sha256"] != before.hexdigest():
            raise self.wrong("what stands before this line was changed: its SHA-256 is another")
        return value

    def end(self) -> None:
        """
        Take the last line; what stands before it is then as it was written.
        """
        value = self.next()
        if not isinstance(value, dict) or set(value) != {"sha256"}:
            raise self.wrong("expected the last line, with the SHA-256 of all others")
        if self._file.read(1):
            raise self.wrong("expected nothing after this line")

    def wrong(self, what: str) -> BadInput:
        """
        Return an error about the line that was read last.
        """
        return BadInput(f"{self._path}:{self.number}: {what[:300]}; nothing was imported")


def _header(lines: _Lines) -> Mapping[str, int]:
    value = lines.next()
    if not isinstance(value, dict) or "cost_guard_ledger" not in value:
        raise lines.wrong("expected a file that guard ledger export wrote")
    if value["cost_guard_ledger"] != FORMAT:
        raise lines.wrong(f"expected format {FORMAT}, got {value['cost_guard_ledger']!r}; use the version that wrote it")
    if value.get("schema") != newest():
        raise lines.wrong(
            f"it was written from schema {value.get('schema')!r}, and this version has {newest()!r}; import it with the "
            "version that wrote it, and start this one on that ledger"
        )
    rows, names = value.get("rows"), [table.name for table in moved()]
    if not isinstance(rows, dict) or sorted(rows) != sorted(names) or not all(_is_count(one) for one in rows.values()):
        raise lines.wrong(f"expected the number of rows of {', '.join(names)}")
    return rows


def _take(connection: sa.Connection, lines: _Lines, table: sa.Table, wanted: int) -> None:
    raw = _raw(table)
    names = list(raw.c.keys())
    if lines.next() != {"table": table.name, "columns": names}:
        raise lines.wrong(f"expected the table {table.name} with the columns {', '.join(names)}")
    checks = [_check_of(table.c[name]) for name in names]
    for first in range(0, wanted, ROWS_AT_ONCE):
        at, rows = lines.number + 1, list(_rows(lines, names, checks, min(ROWS_AT_ONCE, wanted - first)))
        try:
            connection.execute(sa.insert(raw), rows)
        except sa.exc.IntegrityError as error:
            cause = " ".join(str(error.orig).split())
            raise lines.wrong(f"of the rows from line {at} on, one of {table.name} cannot stand: {cause}") from error


def _rows(
    lines: _Lines, names: Sequence[str], checks: Sequence[Callable[[Any], Any]], many: int
) -> Iterator[dict[str, Any]]:
    for _ in range(many):
        row = lines.next()
        if not isinstance(row, list) or len(row) != len(names):
            raise lines.wrong(f"expected a row of {len(names)} values, of which there should be more")
        try:
            yield {name: check(value) for name, check, value in zip(names, checks, row, strict=True)}
        except ValueError as error:
            raise lines.wrong(str(error)) from error


def _check_of(column: sa.Column[Any]) -> Check:
    """
    Return what turns a value of a line into one of the column, or raises ``ValueError``.
    """
    kind = _kind(column).python_type

    def check(value: Any) -> Any:
        if value is None and column.nullable:
            return None
        if kind is bytes and isinstance(value, str):
            return bytes.fromhex(value)
        if type(value) is kind and (kind is not int or -_INTEGERS <= value < _INTEGERS):
            return value
        raise ValueError(f"{column.name}: expected {kind.__name__}{' or null' * bool(column.nullable)}, got {value!r:.100}")

    return check


def _raw(table: sa.Table) -> sa.TableClause:
    """
    Return the table without the types of this project, so that values stand as the database keeps them.
    """
    return sa.table(table.name, *(sa.column(one.name, _kind(one)) for one in table.c))


def _kind(column: sa.Column[Any]) -> sa.types.TypeEngine[Any]:
    kind = column.type
    return kind.impl_instance if isinstance(kind, sa.types.TypeDecorator) else kind


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0
