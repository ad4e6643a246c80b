"""
The workspaces of a project, as ``GET /v1/{project_id}/workspaces`` lists them.
"""

from dataclasses import dataclass

from guard.modelarts.readings import Undecodable, at, decoded
from guard.modelarts.wire import Unparsable


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """
    One workspace; the default one has the id "0". *name* is for people and may be empty.
    """

    id: str
    name: str = ""


def parse_workspaces(body: bytes) -> tuple[Workspace, ...]:
    """
    Return the workspaces of one page. Raises ``Unparsable``, also for one without an id: its jobs could not be read.
    """
    try:
        rows = at(decoded(body), "workspaces")
    except Undecodable as error:
        raise Unparsable(f"no list of workspaces: {error}") from error
    if not isinstance(rows, list):
        raise Unparsable("no list of workspaces: workspaces is no list")
    return tuple(_workspace(row) for row in rows)


def _workspace(row: object) -> Workspace:
    key, name = at(row, "id"), at(row, "name")
    if not isinstance(key, str) or not key:
        raise Unparsable(f"a workspace without an id: {key!r}")
    return Workspace(id=key, name=name if isinstance(name, str) else "")
