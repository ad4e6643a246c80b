"""
The wiring: settings and environment in, a guard with all its parts out. No logic.

A disarmed guard is wired without a terminator, so there is nothing in the process that could end a job.
"""

import contextlib
import functools
import os
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import httpx

from guard import __version__
from guard.core.estimate import Method
from guard.core.fields import Terms
from guard.core.policy import PolicySet
from guard.daemon.access import AccessFiles
from guard.daemon.clocks import RealClock
from guard.daemon.cycle import Cycle
from guard.daemon.deadlines import Deadlines
from guard.daemon.enforce import Enforcer
from guard.daemon.followed import Followed
from guard.daemon.gate import Gate
from guard.daemon.metrics import Metrics
from guard.daemon.planning import Rules
from guard.daemon.policies import PolicyFolder, policy_folder
from guard.daemon.settling import Confirmation
from guard.daemon.targets import Target
from guard.daemon.view import View
from guard.daemon.watch import PriceFile
from guard.errors import BadInput
from guard.ledger.lease import SqlLease
from guard.ledger.opening import open_ledger
from guard.ledger.sql import SqlLedger
from guard.modelarts import (
    LOOPBACK,
    Exchange,
    ModelArtsClient,
    ModelArtsTerminator,
    Pace,
    Place,
    Service,
    certificates_of,
    endpoint,
    find_credentials,
    http_client,
    proxy_of,
)
from guard.modelarts import Target as Watched
from guard.policyfiles import mark_of, mark_of_file, read_file, read_folder
from guard.ports import Clock
from guard.pricing.book import Books
from guard.settings import Settings, TargetSettings

# Connections for what has no pace: tokens, temporary keys and the metadata of the machine.
OTHER_CONNECTIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """
    What the process stands on: its clock, its environment, and (in tests) another way to the network.
    """

    clock: Clock = field(default_factory=RealClock)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    transport: httpx.AsyncBaseTransport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """
    The client of one target, and the service that it speaks with.
    """

    client: ModelArtsClient
    service: Service


Connections = dict[str, Connection]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """
    A guard that is put together but not started; the lease is not taken yet.
    """

    settings: Settings
    cycle: Cycle
    folder: PolicyFolder
    policies: PolicySet
    prices: PriceFile | None
    lease: SqlLease
    ledger: SqlLedger
    metrics: Metrics
    clock: Clock


@contextlib.asynccontextmanager
async def wired(settings: Settings, outside: Outside) -> AsyncIterator[Wired]:
    """
    Put a guard together; raises ``BadInput`` for a bad setting, policy or price book, ``LedgerUnusable`` for the ledger.
    """
    clock = outside.clock
    path = settings.policies
    folder = policy_folder(read=lambda: read_folder(path), mark=lambda: mark_of(path), zone=settings.zone)
    policies = folder.first()
    prices = price_file(settings)
    terms = Terms(prices=prices.first() if prices is not None else None, clock=settings.clock)
    metrics = Metrics(version=__version__)
    async with contextlib.AsyncExitStack() as stack:
        ledger = await open_ledger(settings.ledger)
        stack.push_async_callback(ledger.aclose)
        projects = {one.name: (one.region, one.project_id) for one in settings.targets}
        lease = SqlLease(ledger, holder(), RealClock(), projects=projects, durations=settings.durations())
        ledger.fence = lease
        stack.push_async_callback(lease.release)
        clients = await stack.enter_async_context(connected(settings, outside, metrics))
        call_s = settings.terminate_timeout / 1000
        targets = {
            name: Target(
                name=name,
                source=one.client,
                terminator=ModelArtsTerminator(one.service, within_s=call_s) if settings.armed else None,
            )
            for name, one in clients.items()
        }
        view = View(policies=policies, terms=terms)
        gate = Gate(ledger=ledger, lease=lease, clock=RealClock(), call_s=call_s, pause_file=settings.pause_file)
        confirmation = Confirmation(limit_s=settings.confirm_timeout / 1000, method=method_of(settings))
        enforcer = Enforcer(ledger=ledger, gate=gate, view=view, metrics=metrics, clock=clock, confirmation=confirmation)
        rules = Rules(
            limits=settings.limits_in_force(),
            walk_every_ms=settings.walk_interval,
            armed_since_ms=int(clock.now() * 1000),
            breaker=settings.breaker_in_force(),
        )
        deadlines = {name: Deadlines() for name in targets}
        cycle = Cycle(targets=targets, view=view, enforcer=enforcer, rules=rules, deadlines=deadlines)
        yield Wired(
            settings=settings,
            cycle=cycle,
            folder=folder,
            policies=policies,
            prices=prices,
            lease=lease,
            ledger=ledger,
            metrics=metrics,
            clock=clock,
        )


def access_files(settings: Settings) -> AccessFiles:
    """
    Return where the settings say that the listener's certificate and tokens lie; raises ``BadInput`` for half a pair.
    """
    return AccessFiles(certificate=settings.listen_certificate, key=settings.listen_key, tokens=settings.listen_token_file)


def method_of(settings: Settings) -> Method:
    """
    Return how savings are counted by the settings.
    """
    return Method(
        horizon_ms=settings.savings_horizon,
        min_ends=settings.savings_min_ends,
        assumed_ms=settings.savings_assumption,
    )


def price_file(settings: Settings) -> PriceFile | None:
    """
    Return the price book of the settings, which is not read yet; None if there is none.
    """
    path = settings.prices
    if path is None:
        return None
    books = Books(zone=settings.zone)
    return Followed(what="prices", read=lambda: read_file(path), load=books.load, mark=lambda: mark_of_file(path))


@contextlib.asynccontextmanager
async def connected(settings: Settings, outside: Outside, metrics: Metrics) -> AsyncIterator[Connections]:
    """
    Connect the client of every target; raises ``BadInput`` for an unknown region, missing credentials or a bad proxy.
    """
    environment = outside.environment
    proxy, verify = proxy_of(environment), certificates_of(environment)
    async with contextlib.AsyncExitStack() as stack:
        # Every call that has its turn finds a connection, so one target that hangs takes none from another.
        connections = len(settings.targets) * settings.api_in_flight + OTHER_CONNECTIONS
        client = functools.partial(http_client, transport=outside.transport, verify=verify, connections=connections)
        web = await stack.enter_async_context(client(proxy=proxy))
        # The loopback and the metadata address are this machine's own: no proxy stands between.
        direct = await stack.enter_async_context(client())
        nearby = Exchange(direct, outside.clock, metrics.called)
        far = Exchange(web, outside.clock, metrics.called)
        found: Connections = {}
        for one in settings.targets:
            url = _url_of(one)
            place = Place(environment=environment, region=one.region, project_id=one.project_id, section=one.credentials)
            credentials = await find_credentials(place, far, link_local=nearby)
            exchange = nearby if httpx.URL(url).host in LOOPBACK else far
            pace = _pace(one.name, settings, outside, metrics)
            service = Service(exchange, credentials, endpoint=url, project_id=one.project_id, pace=pace)
            workspaces = () if one.workspaces == "all" else tuple(one.workspaces)
            watched = Watched(name=one.name, region=one.region, project_id=one.project_id, workspaces=workspaces)
            found[one.name] = Connection(client=ModelArtsClient(watched, service), service=service)
        yield found


def terms_of(settings: Settings) -> Terms:
    """
    Return the prices and the clock that the settings name; raises ``BadInput`` for a bad price book.
    """
    prices = price_file(settings)
    return Terms(prices=None if prices is None else prices.first(), clock=settings.clock)


def _url_of(one: TargetSettings) -> str:
    try:
        return endpoint(one.region, one.endpoint)
    except BadInput as error:
        raise BadInput(f"the settings' target {one.name!r}: {error}") from None


def _pace(target: str, settings: Settings, outside: Outside, metrics: Metrics) -> Pace:
    rate, most, waited = settings.api_rate, settings.api_in_flight, metrics.paces.waited
    pace = Pace(outside.clock, per_second=rate, in_flight=most, waited=waited)
    metrics.paces.watch(target, lambda: pace.rate)
    return pace


def holder() -> str:
    """
    Return how this process is named as the holder of a ledger.
    """
    return f"{socket.gethostname()}:{os.getpid()}"
