"""
The SQL of the limits: what counts in their window, and whether one more intent still fits.

Every function works in the transaction of its caller. Whoever opens an intent asks ``fits`` in the same one, as the only
writer.
"""

from collections.abc import Collection, Mapping, Set

import sqlalchemy as sa

from guard.core.facts import JobKey
from guard.core.hold import unconfirmed_hold
from guard.core.plan import Rule
from guard.core.records import Draft, Quota
from guard.core.windows import Bounds, Place, Window, lacking, rate_of
from guard.ledger.breakertables import confirmations
from guard.ledger.prepared import Prepared
from guard.ledger.rows import key_of
from guard.ledger.tables import AnyText, intents, walks

# An open intent may be sent at any moment, so it counts whenever its newest call was: a restart empties no window.
_SINCE = sa.bindparam("since", type_=sa.BigInteger)
_COUNTED = sa.or_(intents.c.last_sending_ms >= _SINCE, intents.c.outcome.is_(None))
_TIMES = sa.func.count().label("times")
_USED = Prepared(sa.select(_TIMES).select_from(intents).where(_COUNTED), columns=(sa.column("times", sa.Integer),))
_PLACES = tuple(
    intents.c[name] for name in ("policy", "region", "project_id", "user_name", "cards", "cost_per_hour", "currency")
)
_WINDOW = Prepared(
    sa.select(*_PLACES, _TIMES).where(_COUNTED).group_by(*_PLACES), columns=(*_PLACES, sa.column("times", sa.Integer))
)
_POLICY, _DIGEST = sa.bindparam("of_policy", type_=AnyText), sa.bindparam("of_digest", type_=AnyText)
_CONFIRMED = Prepared(
    sa.select(confirmations.c.at_ms).where(confirmations.c.policy == _POLICY, confirmations.c.digest == _DIGEST),
    columns=(confirmations.c.at_ms,),
)
_JOB = (intents.c.region, intents.c.project_id, intents.c.job_id)
_ACTED = Prepared(
    sa.select(*_JOB)
    .where(intents.c.policy == _POLICY, intents.c.digest == _DIGEST)
    .where(sa.or_(intents.c.last_sending_ms.is_not(None), intents.c.outcome.is_(None)))
    .distinct(),
    columns=_JOB,
)
_WALKED = Prepared(sa.select(walks.c.target, walks.c.scope), columns=(walks.c.target, walks.c.scope))


def used(connection: sa.Connection, *, since_ms: int) -> int:
    """
    Count the intents whose newest call is on record since that moment, and all open ones.
    """
    row = _USED.one(connection, {"since": since_ms})
    return 0 if row is None else row["times"]


def window(connection: sa.Connection, *, since_ms: int) -> Window:
    """
    Return the sums over what ``used`` counts.
    """
    found = Window()
    for row in _WINDOW.rows(connection, {"since": since_ms}):
        place = Place(
            policy=row["policy"],
            project=(row["region"], row["project_id"]),
            user=row["user_name"],
            cards=row["cards"],
            cost_rate=rate_of(row["cost_per_hour"]),
            currency=row["currency"],
        )
        found.add(place, row["times"])
    return found


def acted(connection: sa.Connection, rules: Collection[Rule]) -> dict[Rule, Set[JobKey]]:
    """
    Return the jobs that each of these policies has acted on or is about to, without those that a person confirmed.
    """
    found: dict[Rule, Set[JobKey]] = {}
    for rule in rules:
        asked = {"of_policy": rule[0], "of_digest": rule[1]}
        if _CONFIRMED.one(connection, asked) is None:
            found[rule] = {key_of(row) for row in _ACTED.rows(connection, asked)}
    return found


def walked(connection: sa.Connection) -> Mapping[str, str]:
    """
    Return of each target that was ever walked completely what belonged to it then.
    """
    return {row["target"]: row["scope"] for row in _WALKED.rows(connection, {})}


def fits(connection: sa.Connection, draft: Draft, quota: Quota) -> bool:
    """
    Tell whether the quota has room for one more intent.
    """
    if quota.first_enforce is not None:
        rule = (draft.policy, draft.digest)
        known = acted(connection, [rule]).get(rule)
        if unconfirmed_hold(draft.policy, known, draft.key, first_enforce=quota.first_enforce) is not None:
            return False
    if quota.bounds == Bounds():
        return quota.total is None or used(connection, since_ms=quota.since_ms) < quota.total
    taken = window(connection, since_ms=quota.since_ms)
    return (quota.total is None or taken.total < quota.total) and not lacking(draft.place, taken, quota.bounds)
