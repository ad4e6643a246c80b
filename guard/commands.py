"""
The commands that need a guard: what each does with the parts that ``app`` put together, and its exit code.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence

import structlog

from guard import __version__
from guard.app import Outside, Wired, access_files, connected, wired
from guard.core.ended import RunRecord
from guard.core.facts import Job, JobKey
from guard.core.plan import Finding
from guard.core.price import PriceBook
from guard.core.records import Intent
from guard.core.verdict import Verdict
from guard.daemon.access import Access
from guard.daemon.endings import Endings, Keep
from guard.daemon.estimating import Estimating
from guard.daemon.fleetmetrics import Told
from guard.daemon.gate import clock_hold
from guard.daemon.metrics import Metrics
from guard.daemon.promptness import prompt
from guard.daemon.schedule import Intervals
from guard.daemon.server import bind, serving
from guard.daemon.service import Service
from guard.daemon.status import Telling
from guard.daemon.targets import Target
from guard.daemon.web import web_app
from guard.daemon.witness import witnessed
from guard.errors import BadInput, LedgerHeld, LedgerUnusable, TargetError
from guard.ledger.audit import witness_of
from guard.ledger.opening import open_ledger
from guard.ledger.sql import SqlLedger
from guard.ledger.standing import LedgerRecord
from guard.priced import Priced
from guard.report import ScanReport, TargetRow, rows, spared_by_unknown
from guard.settings import Settings
from guard.spending import Question, Spent, spent

OK, BAD_INPUT, USAGE, NO_TARGET, NO_LEDGER = 0, 1, 2, 3, 4

log = structlog.get_logger("guard")


Beside = Callable[[Wired, int], Coroutine[object, object, None]]


async def run(settings: Settings, outside: Outside, *, beside: Beside | None = None) -> int:
    """
    Run the daemon until it is told to stop, or until *beside* (given the guard and the port of its endpoints) ends.
    """
    async with wired(settings, outside) as guard:
        access = Access(access_files(settings))
        sock = bind(settings.listen)
        await guard.lease.acquire()
        keep = Keep(ended_ms=settings.keep_ended, history_ms=settings.keep_history, findings_ms=settings.keep_findings)
        service = Service(
            cycle=guard.cycle,
            folder=guard.folder,
            prices=guard.prices,
            lease=guard.lease,
            clock=guard.clock,
            intervals=Intervals(walk_s=settings.walk_interval / 1000, scan_s=settings.scan_interval / 1000),
            endings=Endings(cycle=guard.cycle, clock=guard.clock, keep=keep),
            heartbeat_s=settings.lease_retry_period / 1000,
        )
        app = web_app(
            guard.metrics,
            alive=service.alive,
            ready=service.ready,
            notes=service.notes,
            access=access,
            status=Telling(service=service, record=LedgerRecord(guard.ledger)),
        )
        heads = witnessed(witness_of(guard.ledger), guard.metrics.audit)
        async with heads, serving(app, sock, access) as port:
            log.info("guard.started", **_announced(settings), port=port)
            for event, note in settings.removed():
                log.warning(event, note=note)
            with service.signals(), prompt():
                company = asyncio.create_task(beside(guard, port)) if beside else None
                if company is not None:
                    company.add_done_callback(lambda _: service.stop.set())
                await service.run(guard.policies)
                if company is not None:
                    company.cancel()
    return OK


def _announced(settings: Settings) -> dict[str, object]:
    return {
        "armed": settings.armed,
        "targets": [one.name for one in settings.targets],
        "policies": str(settings.policies),
        "scan_interval_s": settings.scan_interval / 1000,
        "walk_interval_s": settings.walk_interval / 1000,
    }


async def scan(
    settings: Settings, outside: Outside, *, wait_s: float, progress: Told | None = None
) -> tuple[ScanReport, int]:
    """
    Run one cycle over every target and wait a while for the outcomes; the rest is settled by the next scan or the daemon.

    *progress* is told how far the walks are.
    """
    report = ScanReport()
    async with wired(settings, outside) as guard:
        if progress is not None:
            guard.metrics.fleet.told = progress
        cycle = guard.cycle
        try:
            await guard.lease.visit()
        except LedgerHeld as error:
            report.note = f"nothing is terminated by this scan: {error}"
        else:
            report.note = _elsewhere(await guard.lease.refusals())
        cycle.view.take_policies(guard.policies, now_ms=int(guard.clock.now() * 1000))
        beating = asyncio.create_task(_beat(guard))
        try:
            if guard.lease.held():
                await cycle.resume()
            walks = [_walk(guard, name) for name in cycle.targets]
            report.targets = list(await asyncio.gather(*walks))
            tasks = list(cycle.drives.under_way.values())
            if tasks:
                await asyncio.wait(tasks, timeout=wait_s)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if cycle.drives.broken is not None:
                raise cycle.drives.broken
        finally:
            beating.cancel()
        await Estimating(endings=Endings(cycle=cycle, clock=guard.clock)).once()
        intents = [*cycle.drives.settled, *await guard.ledger.open_intents()]
        decisions = list(cycle.view.decisions.values())
        report.rows = rows(decisions, intents, cycle.held)
        verdicts = cycle.view.verdicts()
        report.unknown = {name: count for (name, verdict), count in verdicts.items() if verdict is Verdict.UNKNOWN and count}
        report.exempt_by_unknown = spared_by_unknown(decisions)
        if not settings.armed and any(row.action == "held back: disarmed" for row in report.rows):
            report.note = report.note or "nothing was terminated: the guard is disarmed (setting armed: false)"
    return report, NO_TARGET if all(one.error for one in report.targets) else OK


def _elsewhere(refusals: Mapping[str, str]) -> str:
    if not refusals:
        return ""
    more = f", and {len(refusals) - 1} more targets are held" if len(refusals) > 1 else ""
    return f"not everything is terminated by this scan: {next(iter(refusals.values()))}{more}"


async def _beat(guard: Wired) -> None:
    while True:
        await asyncio.sleep(guard.settings.lease_retry_period / 1000)
        if guard.lease.held():
            # A heartbeat that fails closes the gate by itself.
            with contextlib.suppress(LedgerUnusable):
                await guard.lease.renew()


async def _walk(guard: Wired, name: str) -> TargetRow:
    try:
        inventory = await guard.cycle.walk(guard.cycle.targets[name])
        if guard.lease.held():
            await Endings(cycle=guard.cycle, clock=guard.clock).sweep(guard.cycle.targets[name], inventory)
    except (TargetError, BadInput) as error:
        return TargetRow(target=name, error=str(error))
    return TargetRow(
        target=name,
        jobs=inventory.jobs,
        complete=inventory.complete,
        doubt=inventory.doubt,
        unreadable=inventory.unreadable,
    )


async def check(settings: Settings, outside: Outside) -> tuple[list[tuple[str, str, str]], int]:
    """
    Look at every target without changing anything; return (target, what, finding) and the exit code.
    """
    found: list[tuple[str, str, str]] = []
    failed = 0
    async with connected(settings, outside, Metrics(version=__version__)) as clients:
        for name, connection in clients.items():
            client, users = connection.client, _Users()
            try:
                inventory = await client.walk(users.take)
            except (TargetError, BadInput) as error:
                failed += 1
                found.append((name, "jobs", f"FAILED: {error}"))
                continue
            hold = clock_hold(Target(name=name, source=client))
            warning = "" if len(users.names) > 1 else " (WARNING: the account may see only its own jobs)"
            state = "complete" if inventory.complete else f"INCOMPLETE: {inventory.doubt}"
            found += [
                (name, "credentials", "accepted"),
                (name, "clock", f"offset {client.offset_s() or 0.0:+.1f} s" if hold is None else f"FAILED: {hold.text}"),
                (name, "jobs", f"{inventory.jobs} live, {inventory.unreadable} unreadable; inventory {state}"),
                (name, "users", f"{len(users.names)} distinct{warning}"),
            ]
            for what, read in (("workspaces", client.workspaces), ("flavors", client.flavors)):
                try:
                    found.append((name, what, f"{len(await read())}"))
                except TargetError as error:
                    found.append((name, what, f"FAILED: {error}"))
    return found, NO_TARGET if failed == len(settings.targets) else OK


class _Users:
    """
    Whose jobs a walk meets.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()

    async def take(self, jobs: Sequence[Job]) -> None:
        self.names.update(job.user for job in jobs if isinstance(job.user, str))


async def intents(settings: Settings, *, job_id: str | None, limit: int) -> Sequence[Intent]:
    """
    Return what the ledger has on record, newest first.
    """
    async with recorded(settings) as ledger:
        return await ledger.intents(job_id=job_id, limit=limit)


async def intent(settings: Settings, number: int) -> tuple[Intent, Sequence[tuple[int, str, str]]]:
    """
    Return one intent and its steps; raises ``BadInput`` if there is none of that number.
    """
    async with recorded(settings) as ledger:
        found = await ledger.intent(number)
        if found is None:
            raise BadInput(f"there is no intent {number} in this ledger")
        return found, await ledger.steps(number)


async def findings(settings: Settings, *, limit: int) -> Sequence[tuple[int, Finding]]:
    """
    Return the newest matches that led to no call.
    """
    async with recorded(settings) as ledger:
        return await ledger.findings(limit=limit)


async def runs(settings: Settings, *, limit: int) -> Sequence[RunRecord]:
    """
    Return the runs that ended last.
    """
    async with recorded(settings) as ledger:
        return await ledger.history.newest(limit=limit)


async def spend(settings: Settings, asked: Question, progress: Callable[[int, int], None]) -> Sequence[Spent]:
    """
    Return what was spent, from one view of the ledger; *progress* is told from another thread.
    """
    async with recorded(settings) as ledger:
        return await ledger.read("sum up what was spent", lambda at: spent(at, asked, progress))


async def priced(settings: Settings, book: PriceBook, *, at_ms: int) -> Priced:
    """
    Hold a price book against the live jobs that the ledger knows of the targets.
    """
    found = Priced(book=book, at_ms=at_ms)
    async with recorded(settings) as ledger:
        for target in settings.targets:
            after: JobKey | None = None
            while known := await ledger.known(target.name, after=after):
                found.take(known)
                after = known[-1][0].key
    return found


@contextlib.asynccontextmanager
async def recorded(settings: Settings) -> AsyncIterator[SqlLedger]:
    """
    Open the ledger for a look beside the process that acts on it.
    """
    ledger = await open_ledger(settings.ledger, read_only=True)
    try:
        yield ledger
    finally:
        await ledger.aclose()
