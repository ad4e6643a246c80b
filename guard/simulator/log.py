"""
The record of what the simulated service was asked, from the server's side: the proof of what a client really did.
"""

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEntry:
    """
    One call: *at* is epoch seconds (true time), *status* None if the connection was dropped without an answer.

    *accepted* says that a termination was carried out, whether or not its answer arrived; *body* is the request's.
    """

    at: float
    operation: str
    request: str
    job_id: str | None
    status: int | None
    body: str
    accepted: bool


class CallLog:
    """
    The calls in the order in which they were answered.
    """

    def __init__(self) -> None:
        self.entries: list[CallEntry] = []

    def add(self, entry: CallEntry) -> None:
        """
        Record one call.
        """
        self.entries.append(entry)

    def of(self, operation: str) -> list[CallEntry]:
        """
        Return the calls of one operation.
        """
        return [entry for entry in self.entries if entry.operation == operation]

    def accepted_terminations(self) -> list[str]:
        """
        Return one job id per accepted termination, in order.
        """
        return [entry.job_id for entry in self.entries if entry.accepted and entry.job_id is not None]

    def as_json(self) -> list[dict[str, object]]:
        """
        Return the entries as JSON objects.
        """
        return [dataclasses.asdict(entry) for entry in self.entries]
