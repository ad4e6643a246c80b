"""
``guard status``: asks the daemon that the settings describe, and reads the ledger alone if none answers.

Whoever answers on the daemon's address may be another program, or hostile: the answer is bounded, decoded strictly, and
shown harmlessly by whoever shows it.
"""

import ssl
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec

from guard.commands import recorded
from guard.daemon.access import tokens_of
from guard.daemon.status import opened, versions
from guard.errors import BadInput
from guard.ledger.engine import parse, redacted
from guard.ledger.schema import newest
from guard.ledger.standing import Wanted, standing
from guard.ports.status import LedgerStatus, Status, TargetStatus
from guard.settings import Settings

WAIT_S = 5.0
MOST_BYTES = 8 << 20
# Who listens on all addresses is asked on its own.
_OWN = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104


class _NoDaemon(Exception):
    """
    No daemon told how it is; the message says why.
    """


async def status(settings: Settings) -> Status:
    """
    Return how the guard of these settings is; raises ``LedgerUnusable`` if neither a daemon nor the ledger tells.
    """
    try:
        found = await _asked(settings)
    except _NoDaemon as error:
        return await _from_ledger(settings, str(error))
    ours = redacted(parse(settings.ledger))
    if found.ledger.name == ours:
        return found
    note = f"the daemon at {settings.listen} acts on ledger {found.ledger.name}, and these settings name {ours}"
    return msgspec.structs.replace(found, note=note)


async def _asked(settings: Settings) -> Status:
    url = _url(settings)
    headers = {"accept": "application/json", "connection": "close"}
    if settings.listen_token_file is not None:
        try:
            headers["authorization"] = f"Bearer {tokens_of(settings.listen_token_file)[0]}"
        except BadInput as error:
            raise _NoDaemon(f"no daemon was asked: {error}") from error
    verify = _trusting(settings.listen_certificate) if settings.listen_certificate is not None else False
    where = f"no daemon answers at {settings.listen}"
    content = bytearray()
    try:
        async with (
            httpx.AsyncClient(verify=verify, trust_env=False, timeout=WAIT_S) as client,
            client.stream("GET", url, headers=headers) as answer,
        ):
            if answer.status_code == 401:
                raise _NoDaemon(f"the daemon at {settings.listen} takes no token of these settings (listen_token_file)")
            if answer.status_code != 200:
                raise _NoDaemon(f"the listener at {settings.listen} answers {answer.status_code} instead of its status")
            async for part in answer.aiter_bytes():
                content += part
                if len(content) > MOST_BYTES:
                    raise _NoDaemon(f"what listens at {settings.listen} is no guard: its answer has no end")
    except httpx.HTTPError as error:
        raise _NoDaemon(f"{where}: {str(error)[:200] or type(error).__name__}") from error
    try:
        return msgspec.json.decode(bytes(content), type=Status)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _NoDaemon(f"what listens at {settings.listen} is no guard of this version: {error}") from error


def _url(settings: Settings) -> str:
    host, _, port = settings.listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    host = _OWN.get(host, host)
    if port == "0":
        raise _NoDaemon("no daemon was asked: listen names port 0, which is another at each start")
    scheme = "http" if settings.listen_certificate is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/statusz"


def _trusting(certificate: Path) -> ssl.SSLContext:
    """
    Return a context that trusts the listener's own certificate and nothing else, whatever name stands in it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The daemon is asked by its address; its certificate bears the name by which Prometheus knows it.
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cafile=certificate)
    except OSError as error:
        raise _NoDaemon(f"no daemon was asked: listen_certificate {certificate} cannot be used: {error}") from error
    return context


async def _from_ledger(settings: Settings, why: str) -> Status:
    now = time.time()
    async with recorded(settings) as ledger:
        found = await standing(ledger, Wanted(now_ms=int(now * 1000), targets=True))
        unclosed = await ledger.breaker.unclosed() if found.usable else ()
    return Status(
        at=datetime.fromtimestamp(now, UTC),
        source="ledger",
        versions=versions(newest()),
        ledger=found,
        targets=_targets(settings, found),
        note=why,
        breakers=opened(one for one in unclosed if one.holds(int(now * 1000))),
    )


def _targets(settings: Settings, found: LedgerStatus) -> tuple[TargetStatus, ...]:
    known = {one.target: one for one in found.targets}
    # Those of the settings first; what an earlier daemon watched is on record, too.
    names = dict.fromkeys([*(one.name for one in settings.targets), *known])
    return tuple(
        TargetStatus(
            target=name,
            health="unknown",
            jobs=known[name].jobs if name in known else 0,
            last_complete_walk=known[name].last_complete_walk if name in known else None,
        )
        for name in names
    )
