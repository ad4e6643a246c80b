"""
What the daemon holds of each target.
"""

from dataclasses import dataclass

from guard.ports import JobSource, Terminator


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    One (region, project) that is watched. *terminator* is None in a disarmed process, which then cannot terminate.
    """

    name: str
    source: JobSource
    terminator: Terminator | None = None
