"""
``guard explain``: one job, from the service, from a file or from the ledger, under the policies in force.
"""

from pathlib import Path
from zoneinfo import ZoneInfo

from guard import __version__
from guard.app import Outside, connected, price_file
from guard.core.decide import decide
from guard.core.facts import Job
from guard.core.fields import Terms
from guard.core.load import load
from guard.core.policy import PolicySet
from guard.core.sighting import Sighting, observe
from guard.daemon.metrics import Metrics
from guard.errors import BadInput, JobGone, LedgerUnusable
from guard.explained import Explained, explain_intent, explain_job
from guard.ledger.opening import open_ledger
from guard.modelarts.wire import Origin, parse_item
from guard.policyfiles import read_folder
from guard.settings import Settings

DEFAULT_FOLDER = Path("policies")


def explain_file(settings: Settings | None, path: Path, *, at_ms: int) -> Explained:
    """
    Explain the job of a JSON file, as the service gives it, as if it had been read at *at_ms*.

    Raises ``BadInput`` if there is no job with an id in it.
    """
    target = settings.targets[0] if settings is not None else None
    origin = Origin(
        target=target.name if target else "file",
        region=target.region if target else "unknown",
        project_id=target.project_id if target else "unknown",
        read_at_ms=at_ms,
    )
    try:
        job = parse_item(path.read_bytes(), origin)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"{path}: expected one job as JSON: {error}") from error
    if job is None:
        raise BadInput(f"{path}: expected one job as JSON, with metadata.id")
    policies, terms = _rules(settings)
    decision = decide(policies, job, observe(None, job), terms, now_ms=at_ms)
    return explain_job(decision, policies, terms)


async def explain_job_id(settings: Settings, outside: Outside, job_id: str) -> Explained:
    """
    Explain a live job; of one that no target knows any more, what the ledger kept. Raises ``BadInput`` if nobody knows it.
    """
    policies, terms = _rules(settings)
    unknown = []
    async with connected(settings, outside, Metrics(version=__version__)) as connections:
        for name, connection in connections.items():
            try:
                job = await connection.client.read(job_id)
            except JobGone as error:
                unknown.append(f"{name}: {error}")
                continue
            seen = await _seen(settings, job)
            decision = decide(policies, job, seen, terms, now_ms=connection.client.now_ms())
            return explain_job(decision, policies, terms)
    try:
        ledger = await open_ledger(settings.ledger, read_only=True)
    except LedgerUnusable as error:
        raise BadInput("\n".join(["no target knows this job, and the ledger cannot tell", *unknown, str(error)])) from error
    try:
        intents = await ledger.intents(job_id=job_id, limit=1)
    finally:
        await ledger.aclose()
    if not intents:
        raise BadInput("\n".join(["neither a target nor the ledger knows this job", *unknown]))
    return explain_intent(intents[0])


def check_policy(settings: Settings, name: str) -> None:
    """
    Raise ``BadInput`` if no policy in force has that name.
    """
    known = [one.name for one in _rules(settings)[0].policies]
    if name not in known:
        raise BadInput(f"neither the ledger nor {settings.policies} knows a policy {name[:200]!r}; there are {known[:20]!r}")


async def _seen(settings: Settings, job: Job) -> Sighting:
    """
    Return the memory of a job with this reading; without a ledger it is the first.
    """
    try:
        ledger = await open_ledger(settings.ledger, read_only=True)
    except LedgerUnusable:
        return observe(None, job)
    try:
        return observe((await ledger.sightings([job.key])).get(job.key), job)
    finally:
        await ledger.aclose()


def _rules(settings: Settings | None) -> tuple[PolicySet, Terms]:
    if settings is None:
        return load(read_folder(DEFAULT_FOLDER), zone=ZoneInfo("UTC")), Terms()
    prices = price_file(settings)
    terms = Terms(prices=prices.first() if prices is not None else None, clock=settings.clock)
    return load(read_folder(settings.policies), zone=settings.zone), terms
