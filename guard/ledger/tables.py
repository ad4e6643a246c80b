"""
The tables of the ledger, in words that every supported database understands.

Moments are whole milliseconds since 1970 (UTC). Money is exact and kept as text, never as a float. The migrations in
``migrations`` must add up to what stands here; a test compares the two.
"""

import re
from decimal import Decimal

import sqlalchemy as sa

_ESCAPE = "\x1a"
_FORBIDDEN = re.compile("[\x00\x1a\ud800-\udfff]")
_ESCAPED = re.compile("\x1a([0-9a-f]{4})")


def escaped(text: str) -> str:
    """
    Return a text as the database holds it.
    """
    # Nearly every text is plain, and to find that out without looking at each character is fifty times as fast.
    if text.isascii() and "\x00" not in text and _ESCAPE not in text:
        return text
    return _FORBIDDEN.sub(lambda found: f"{_ESCAPE}{ord(found[0]):04x}", text)


class AnyText(sa.types.TypeDecorator[str]):
    """
    Text that comes back as it went in, whatever somebody named a job.

    Databases refuse NUL (PostgreSQL) and lone surrogates (all). One such name must not make the ledger unusable, so these
    characters are kept as U+001A and four hexadecimal digits, and U+001A itself likewise.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """
        Return the text as it is stored.
        """
        return None if value is None else escaped(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """
        Return the text as it was given.
        """
        if value is None:
            return None
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)


class Money(sa.types.TypeDecorator[Decimal]):
    """
    An exact decimal amount, kept as text.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> str | None:
        """
        Return the amount as text, every digit of it.
        """
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Decimal | None:
        """
        Return the amount; raises ``ValueError`` if the text is none.
        """
        try:
            return None if value is None else Decimal(value)
        except ArithmeticError as error:
            raise ValueError(f"{value!r} is no amount of money") from error


metadata = sa.MetaData()

intents = sa.Table(
    "intents",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("region", AnyText, nullable=False),
    sa.Column("project_id", AnyText, nullable=False),
    sa.Column("job_id", AnyText, nullable=False),
    sa.Column("target", AnyText, nullable=False),
    sa.Column("workspace", AnyText, nullable=False),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("policy", AnyText, nullable=False),
    sa.Column("digest", AnyText, nullable=False),
    sa.Column("facts", AnyText, nullable=False),
    sa.Column("traces", AnyText, nullable=False),
    sa.Column("reason", AnyText, nullable=False),
    sa.Column("deadline_ms", sa.BigInteger, nullable=False),
    sa.Column("due_ms", sa.BigInteger, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("fingerprint", AnyText, nullable=False),
    sa.Column("cost_per_hour", sa.Text, nullable=False),
    sa.Column("currency", AnyText, nullable=False),
    sa.Column("cards", sa.BigInteger),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("sending_ms", sa.BigInteger),
    sa.Column("accepted_ms", sa.BigInteger),
    sa.Column("closed_ms", sa.BigInteger),
    sa.Column("outcome", sa.Text),
    sa.Column("note", AnyText, nullable=False),
    sa.Column("cost", Money),
    sa.Column("savings_upper", Money),
    # What savings ask of the job: at the decision, and once it had ended; and the estimate with its inputs (JSON).
    sa.Column("work", sa.Text),
    sa.Column("basis", sa.Text),
    sa.Column("savings_expected", Money),
    sa.Column("savings_lower", Money),
    sa.Column("savings_assumed", Money),
    sa.Column("savings_estimate", sa.Text),
    # What the windows of the limits ask: whose job it is (NULL: not readable), and when the newest call was on record.
    sa.Column("user_name", AnyText),
    sa.Column("last_sending_ms", sa.BigInteger),
)

# The database itself forbids a second open intent, whatever the processes do; a closed one never blocks a later one.
sa.Index(
    "one_open_intent_per_job",
    intents.c.region,
    intents.c.project_id,
    intents.c.job_id,
    unique=True,
    sqlite_where=intents.c.outcome.is_(None),
)
sa.Index("intents_by_run", intents.c.region, intents.c.project_id, intents.c.job_id, intents.c.run)
sa.Index("intents_by_job_id", intents.c.job_id)
sa.Index("intents_by_last_sending", intents.c.last_sending_ms)
sa.Index("intents_by_policy", intents.c.policy, intents.c.digest)

steps = sa.Table(
    "steps",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("intent", sa.Integer, sa.ForeignKey("intents.number"), nullable=False, index=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("note", AnyText, nullable=False),
)

findings = sa.Table(
    "findings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("region", AnyText, nullable=False),
    sa.Column("project_id", AnyText, nullable=False),
    sa.Column("job_id", AnyText, nullable=False),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("policy", AnyText, nullable=False),
    sa.Column("reason", AnyText, nullable=False),
    sa.Column("target", AnyText, nullable=False),
    sa.Column("text", AnyText, nullable=False),
    sa.Column("deadline_ms", sa.BigInteger),
    # Of a match that was only observed, once its run is over: how it ended, its cost, and that of the time after the match.
    sa.Column("ended_ms", sa.BigInteger),
    sa.Column("running_ms", sa.BigInteger),
    sa.Column("ending", sa.Text),
    sa.Column("phase", AnyText),
    sa.Column("currency", AnyText),
    sa.Column("cost", Money),
    sa.Column("potential", Money),
    # What an estimate asks of the run, from when the match was recorded; what it expected then, and all of it (JSON).
    sa.Column("basis", sa.Text),
    sa.Column("expected", Money),
    sa.Column("forecast", sa.Text),
    sa.UniqueConstraint("region", "project_id", "job_id", "run", "policy", "reason", name="one_finding_each"),
)
TO_FORECAST = sa.and_(findings.c.basis.is_not(None), findings.c.forecast.is_(None))
sa.Index("findings_to_forecast", findings.c.id, sqlite_where=TO_FORECAST)

# What findings add up to that were dropped for their age.
dropped = sa.Table(
    "dropped",
    metadata,
    sa.Column("target", AnyText, primary_key=True),
    sa.Column("policy", AnyText, primary_key=True),
    sa.Column("reason", AnyText, primary_key=True),
    sa.Column("currency", AnyText, primary_key=True),
    sa.Column("findings", sa.BigInteger, nullable=False),
    sa.Column("potential", Money, nullable=False),
)

clawbacks = sa.Table(
    "clawbacks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("intent", sa.Integer, sa.ForeignKey("intents.number"), nullable=False),
    sa.Column("region", AnyText, nullable=False),
    sa.Column("project_id", AnyText, nullable=False),
    sa.Column("job_id", AnyText, nullable=False),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("amount", Money, nullable=False),
    sa.Column("currency", AnyText, nullable=False),
    sa.Column("assumed", sa.Boolean, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("intent", "region", "project_id", "job_id", "run", name="one_clawback_each"),
)

# What was written, entry by entry, each hash over the one before; what is in here is never changed (``audit``).
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at_ms", sa.BigInteger),
    sa.Column("kind", sa.Text, nullable=False),
    # No foreign key: that an intent is gone is for the verification to say.
    sa.Column("intent", sa.Integer),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
sa.Index("audit_by_intent", audit.c.intent)

sightings = sa.Table(
    "sightings",
    metadata,
    sa.Column("region", AnyText, primary_key=True),
    sa.Column("project_id", AnyText, primary_key=True),
    sa.Column("job_id", AnyText, primary_key=True),
    sa.Column("target", AnyText, nullable=False),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("first_seen_ms", sa.BigInteger, nullable=False),
    sa.Column("last_seen_ms", sa.BigInteger, nullable=False),
    sa.Column("phase", AnyText, nullable=False),
    sa.Column("ran", sa.Boolean, nullable=False),
    sa.Column("reading_ms", sa.BigInteger),
    sa.Column("reading_at_ms", sa.BigInteger),
    sa.Column("start_time_ms", sa.BigInteger),
    sa.Column("waiting_since_ms", sa.BigInteger),
    sa.Column("facts", sa.Text),
    # The newest run whose end is in the history; who remembers a job does not touch it.
    sa.Column("ended_run", sa.Integer),
)

# What is known of a target is read in the order of this index, part by part.
sa.Index("sightings_by_target", sightings.c.target, sightings.c.region, sightings.c.project_id, sightings.c.job_id)

walks = sa.Table(
    "walks",
    metadata,
    sa.Column("target", AnyText, primary_key=True),
    sa.Column("scope", AnyText, nullable=False),
    sa.Column("started_ms", sa.BigInteger, nullable=False),
    sa.Column("finished_ms", sa.BigInteger, nullable=False),
    sa.Column("running", sa.Integer, nullable=False),
    sa.Column("cards", sa.BigInteger),
    sa.Column("largest", sa.BigInteger),
)

pause = sa.Table(
    "pause",
    metadata,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1", name="one_pause"), primary_key=True, autoincrement=False),
    sa.Column("reason", AnyText, nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger),
    sa.Column("by", AnyText, nullable=False),
)
