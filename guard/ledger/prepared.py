"""
Statements on the way of every kill, put together once for each dialect and run by the driver itself.

What a statement says stands in SQLAlchemy's words like every other one, so it holds for every dialect. Only the layers of
an execution are gone round, which cost several times what the database takes for such a statement. Transactions, pooled
connections and the types of the columns are SQLAlchemy's as ever.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

_Process = Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True)
class _Text:
    """
    The *sql* of a dialect; *given* has each parameter's name, default and conversion, in the order of their places.
    """

    sql: str
    given: tuple[tuple[str, Any, _Process], ...]
    found: tuple[tuple[str, _Process], ...]
    by_place: bool


class Prepared:
    """
    A *statement* that gives rows of *columns*.

    The values of an insert are named by its columns; of other statements, what is not given is the statement's own value.
    It has no lists of values, whose length would change its text.
    """

    def __init__(self, statement: sa.sql.Executable, *, columns: Sequence[sa.ColumnElement[Any]] = ()) -> None:
        self._statement: Any = statement
        self._columns = columns
        # By dialect and names of values; made at the first use, because who imports this knows neither.
        self._texts: dict[tuple[str, tuple[str, ...]], _Text] = {}

    def rows(self, connection: sa.Connection, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """
        Run the statement in the transaction of *connection* and return its rows; raises SQLAlchemy's ``DBAPIError``.
        """
        dialect = connection.dialect
        names = (dialect.name, tuple(values))
        text = self._texts.get(names) or self._texts.setdefault(names, self._text(dialect, names[1]))
        given = [
            value if process is None or value is None else process(value)
            for value, process in [(values.get(name, own), process) for name, own, process in text.given]
        ]
        parameters = given if text.by_place else dict(zip([name for name, _, _ in text.given], given, strict=True))
        if not connection.in_transaction():
            connection.begin()
        cursor = connection.connection.cursor()
        try:
            cursor.execute(text.sql, parameters)
            rows = cursor.fetchall() if text.found else ()
        except dialect.loaded_dbapi.Error as error:
            raise self._failure(connection, cursor, text, error) from error
        finally:
            cursor.close()
        return [
            {
                name: value if process is None or value is None else process(value)
                for (name, process), value in zip(text.found, row, strict=True)
            }
            for row in rows
        ]

    def one(self, connection: sa.Connection, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """
        Run the statement and return its only row, or None if there is none.
        """
        rows = self.rows(connection, values)
        return rows[0] if rows else None

    def _text(self, dialect: sa.Dialect, names: Sequence[str]) -> _Text:
        compiled = self._statement.compile(dialect=dialect, column_keys=list(names))
        types = {name: one.type for one, name in compiled.bind_names.items()}
        own, escaped = compiled.params, compiled.escaped_bind_names or {}
        asked = list(compiled.positiontup if compiled.positional else own)

        def binds(kind: sa.types.TypeEngine[Any]) -> _Process:
            return kind.dialect_impl(dialect).bind_processor(dialect)

        return _Text(
            sql=str(compiled),
            given=tuple(
                (escaped.get(name, name), own[name], types[name].dialect_impl(dialect).bind_processor(dialect))
                for name in asked
            ),
            found=tuple((one.name, one.type.dialect_impl(dialect).result_processor(dialect, None)) for one in self._columns),
            by_place=compiled.positional,
        )

    @staticmethod
    def _failure(connection: sa.Connection, cursor: Any, text: _Text, error: Exception) -> BaseException:
        dialect: Any = connection.dialect
        lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, cursor)
        if lost:
            connection.invalidate(error)
        failure: BaseException = sa.exc.DBAPIError.instance(
            text.sql, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, connection_invalidated=lost
        )
        return failure
