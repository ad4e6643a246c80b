"""
The tables of the history: one narrow row for each run that is over, and the texts that repeat in them.

Ten million rows are normal, so a row holds numbers: moments before the end as milliseconds to it, and texts by their number
in ``words``. Money is two whole numbers, currency units and 10^-10 of one (the ten places to which every cost in the ledger
is kept): one number of 10^-10 would end at 900 million, also as a sum, while these add up exactly in any database.
"""

import uuid

import sqlalchemy as sa

from guard.ledger.tables import AnyText, metadata

# Runs as long as this have an index of their own, so that the runs that go on beyond a moment are found without reading
# everything that ended after it. A literal, because a database compares it with the condition of the index.
LONG_MS = 2 * 86_400_000
_OF_UUID, _OF_TEXT = b"\x00", b"\x01"

__all__ = ["IS_LONG", "LONG_MS", "JobId", "history", "metadata", "words"]


class JobId(sa.types.TypeDecorator[str]):
    """
    The id of a job: 17 bytes if it is a UUID as the service makes them, else its text; it comes back as it went in.
    """

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> bytes | None:
        """
        Return the id as it is stored.
        """
        if value is None:
            return None
        if len(value) == 36:
            try:
                number = uuid.UUID(value)
            except ValueError:
                pass
            else:
                if str(number) == value:
                    return _OF_UUID + number.bytes
        return _OF_TEXT + value.encode("utf-8", "surrogatepass")

    def process_result_value(self, value: bytes | None, dialect: sa.Dialect) -> str | None:
        """
        Return the id as it was given.
        """
        if value is None:
            return None
        kind, rest = bytes(value[:1]), bytes(value[1:])
        return str(uuid.UUID(bytes=rest)) if kind == _OF_UUID else rest.decode("utf-8", "surrogatepass")


words = sa.Table(
    "words",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    # Of its own, because no database indexes a text of any length.
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("text", AnyText, nullable=False),
    sa.Column("used_ms", sa.BigInteger, nullable=False),
)
sa.Index("words_by_digest", words.c.digest, unique=True)
sa.Index("words_by_use", words.c.used_ms)

history = sa.Table(
    "history",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("ended_ms", sa.BigInteger, nullable=False),
    sa.Column("running_ms", sa.BigInteger),
    sa.Column("entry_ms", sa.BigInteger, nullable=False),
    sa.Column("age_ms", sa.BigInteger),
    sa.Column("span_ms", sa.BigInteger),
    sa.Column("job", JobId, nullable=False),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("told", sa.SmallInteger, nullable=False),
    sa.Column("by_itself", sa.SmallInteger, nullable=False),
    sa.Column("phase_word", sa.Integer, nullable=False),
    sa.Column("place_word", sa.Integer, nullable=False),
    sa.Column("parts_word", sa.Integer, nullable=False),
    sa.Column("user_word", sa.Integer),
    sa.Column("stem_word", sa.Integer),
    sa.Column("rest", AnyText),
    sa.Column("cards", sa.BigInteger),
    sa.Column("currency_word", sa.Integer, nullable=False),
    sa.Column("cost_units", sa.BigInteger),
    sa.Column("cost_rest", sa.BigInteger),
    sa.Column("policy_word", sa.Integer),
)
sa.Index("history_by_end", history.c.ended_ms)

IS_LONG = history.c.running_ms >= sa.literal_column(str(LONG_MS))
sa.Index("history_long", history.c.ended_ms, sqlite_where=IS_LONG)
