"""
What the daemon holds of each target.
"""

from dataclasses import dataclass

import structlog

from guard.errors import BadInput, TargetError
from guard.ports import JobSource, Terminator

log = structlog.get_logger("guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    One (region, project) that is watched. *terminator* is None in a disarmed process, which then cannot terminate.
    """

    name: str
    source: JobSource
    terminator: Terminator | None = None


async def renewed(target: Target) -> None:
    """
    Get new credentials for a target; a failure is told, and shows in the next call.
    """
    try:
        await target.source.renew()
    except (TargetError, BadInput) as error:
        log.warning("credentials.not_renewed", target=target.name, error=str(error))
