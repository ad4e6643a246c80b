"""
The policy folder: taken at start, taken again when it changes, and the last good set kept when it is bad.
"""

from collections.abc import Callable, Hashable
from datetime import tzinfo

from guard.core.load import load
from guard.core.policy import PolicySet
from guard.daemon.followed import Files, Followed

PolicyFolder = Followed[PolicySet]


def policy_folder(*, read: Callable[[], Files], zone: tzinfo, mark: Callable[[], Hashable] = lambda: None) -> PolicyFolder:
    """
    Return the folder that *read* reads, in which the bare dates of exemptions end in *zone*.
    """
    return Followed(what="policies", read=read, load=lambda files: load(files, zone=zone), mark=mark)
