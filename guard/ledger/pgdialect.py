"""
The ledger's types on PostgreSQL, for every table and migration alike.

A whole number has 64 bits, as in SQLite, so that what one database holds the other holds too. Text is compared by its bytes
(collation "C"): an index that was sorted by a language would be damaged by an upgrade of the system's languages, and then no
longer forbid a second open intent. Loaded by the first engine on PostgreSQL only.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler, PGTypeCompiler
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

DRIVER = "postgresql+ledger"


class _Types(PGTypeCompiler):
    def visit_INTEGER(self, type_: Any, **kw: Any) -> str:  # noqa: N802 - SQLAlchemy's name
        return "BIGINT"

    def visit_TEXT(self, type_: Any, **kw: Any) -> str:  # noqa: N802
        text = str(super().visit_TEXT(type_, **kw))
        return f'{text} COLLATE "C"' if isinstance(kw.get("type_expression"), sa.Column) else text


class _Definitions(PGDDLCompiler):
    def get_column_specification(self, column: sa.Column[Any], **kwargs: Any) -> str:
        made = str(super().get_column_specification(column, **kwargs))  # type: ignore[no-untyped-call]
        return made.replace(" SERIAL", " BIGSERIAL")

    def visit_create_index(self, create: Any, *args: Any, **kw: Any) -> str:
        # The tables say only to SQLite of which rows an index is: each word to PostgreSQL would load its dialect at once.
        options = create.element.dialect_options
        if options["postgresql"]["where"] is None:
            options["postgresql"]["where"] = options["sqlite"]["where"]
        return str(super().visit_create_index(create, *args, **kw))  # type: ignore[no-untyped-call]


class LedgerDialect(PGDialect_psycopg):
    """
    PostgreSQL over psycopg 3 with the ledger's types.
    """

    type_compiler_cls = _Types
    ddl_compiler = _Definitions
    supports_statement_cache = True
    # Many rows in one statement instead of many statements: three times as fast.
    use_insertmanyvalues_wo_returning = True


registry.register("postgresql.ledger", __name__, "LedgerDialect")
