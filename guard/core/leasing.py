"""
Who acts on which target when several replicas share a ledger, and how long a lease may be trusted: pure arithmetic.

A *replica* is a process with a heartbeat in the ledger. A target is known by its *project* (region, project_id), because
two replicas may call it differently. Every replica works out the same shares from the same members, so nobody is asked; two
that see different members for a moment do no harm, because only a lease gives the right to act.
"""

import hashlib
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, field

Project = tuple[str, str]

JITTER = 1.2
"""Two renewals are at most so many retry periods apart: the event loop of a busy process is late."""
CLOCK_ERROR_MS = 2_000
"""The most that two steady clocks are apart after one lease duration, and that a commit's answer takes to be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """
    How long a lease lasts for those who wait for it, how long its holder trusts it without a renewal, how often that renews
    it, and how long one terminate call may take; all in milliseconds.
    """

    lease_ms: int = 30_000
    renew_ms: int = 20_000
    retry_ms: int = 5_000
    call_ms: int = 10_000

    def wrong(self) -> str:
        """
        Return what makes these durations unsafe, "" if nothing does.
        """
        lease, renew, retry, call = (_seconds(one) for one in (self.lease_ms, self.renew_ms, self.retry_ms, self.call_ms))
        if self.retry_ms < 1:
            return "expected lease_retry_period above 0s"
        if self.lease_ms <= self.renew_ms:
            return f"expected lease_duration ({lease}) above lease_renew_deadline ({renew}), or two would act at once"
        if self.renew_ms <= self.retry_ms * JITTER:
            return f"expected lease_renew_deadline ({renew}) above {JITTER} x lease_retry_period ({retry}), or none is kept"
        if self.lease_ms <= self.call_ms + CLOCK_ERROR_MS + self.retry_ms * JITTER:
            needed = (
                f"terminate_timeout ({call}) + {_seconds(CLOCK_ERROR_MS)} for the clocks + {JITTER} x lease_retry_period"
            )
            return f"expected lease_duration ({lease}) above {needed} ({retry}), or no call could be sent in it"
        return ""

    def trusted_ms(self, *, for_ms: int = 0) -> int:
        """
        Return how old a holder's newest renewal may be for an act that takes *for_ms*.

        The act is over, by every clock, before anybody else may take the lease.
        """
        return min(self.renew_ms, self.lease_ms - CLOCK_ERROR_MS - for_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """
    The lease of one project as it is on record: its *token*, which only rises, the replica that holds it ("" if none does),
    and the one that has *asked* for it.
    """

    token: int
    holder: str = ""
    asked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """
    What a replica does now: leases to *take*, those of others to *ask* for, and its own to *give*, as they were asked for.
    """

    take: list[Project] = field(default_factory=list)
    ask: list[Project] = field(default_factory=list)
    give: list[Project] = field(default_factory=list)


def shares(serves: Mapping[str, Collection[Project]]) -> dict[Project, str]:
    """
    Return by project which replica is to have it; *serves* says which projects each live replica is able to serve.

    Rendezvous hashing, each replica bounded to the mean rounded up: whoever joins takes about its share from the others, and
    of whoever leaves only the share moves. A project that only full replicas serve goes to one of them all the same.
    """
    wanted = {project for projects in serves.values() for project in projects}
    # Who serves nothing is only visiting, and has no share.
    load = {one: 0 for one, projects in serves.items() if projects}
    most = -(-len(wanted) // max(1, len(load)))
    found: dict[Project, str] = {}
    ranked = sorted(((_score(one, project), one, project) for one in serves for project in set(serves[one])), reverse=True)
    for bound in (most, len(wanted)):
        for _, replica, project in ranked:
            if project not in found and load[replica] < bound:
                found[project] = replica
                load[replica] += 1
    return found


def moves(
    me: str,
    able: Iterable[Project],
    leases: Mapping[Project, Lease],
    owners: Mapping[Project, str],
    *,
    alive: Container[str],
    overdue: Container[Project] = (),
) -> Moves:
    """
    Return what the replica *me* does about the projects that it is able to serve.

    A lease without a living holder is taken by its owner, and by anybody once it is *overdue*: an owner that does not come
    leaves no gap. A lease with one is only asked for, and is given when its owner asks.
    """
    found = Moves()
    for project in able:
        lease = leases.get(project)
        holder = lease.holder if lease is not None and lease.holder in alive else ""
        mine = owners.get(project) == me
        if not holder and (mine or project in overdue):
            found.take.append(project)
        elif holder == me and not mine and lease is not None and lease.asked and lease.asked == owners.get(project):
            found.give.append(project)
        elif holder not in ("", me) and mine and lease is not None and lease.asked != me:
            found.ask.append(project)
    return found


def _score(replica: str, project: Project) -> bytes:
    return hashlib.blake2b("\0".join((replica, *project)).encode(errors="surrogatepass"), digest_size=8).digest()


def _seconds(ms: int) -> str:
    return f"{ms / 1000:g}s"
