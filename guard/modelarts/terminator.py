"""
The one call of this project that changes anything. A process that is not armed does not build it.
"""

from contextlib import AbstractAsyncContextManager

from guard.core.lanes import Lane, Turn
from guard.errors import NoAnswer
from guard.modelarts.answers import is_html
from guard.modelarts.service import Ask, Service, job_path

# How long a call may take, the credentials included: a lease has to last that long.
WITHIN_S = 10.0
BODY = b'{"action_type": "terminate"}'


class ModelArtsTerminator:
    """
    The ``Terminator`` of one target: each call is one POST, never repeated here, and over within *within_s* seconds.
    """

    def __init__(self, service: Service, *, within_s: float = WITHIN_S) -> None:
        self._service = service
        self._within_s = within_s

    def turn(self, *, rank: int) -> AbstractAsyncContextManager[Turn]:
        """
        Wait for the right to send one call, before all reads of the target and in the order of *rank*, and hold it.
        """
        return self._service.pace.turn(Lane.TERMINATE, rank=rank)

    async def terminate(self, job_id: str, turn: Turn) -> None:
        """
        Ask for the termination of a job with the *turn* that is held; returns on 202, the documented status, and on 200,
        which clients have seen.

        Any other success, and a page for people in place of the service's answer, leave it unknown whether the call was
        carried out, so they raise ``NoAnswer``. The body of an accepted answer does not matter: the job is read afterwards.
        """
        path = f"{job_path(self._service.project_id, job_id)}/actions"
        wanted = f"termination of job {job_id[:80]!r}"
        ask = Ask(operation="terminate", method="POST", path=path, wanted=wanted, content=BODY)
        response = await self._service.once(ask, turn, accept=frozenset(range(200, 300)), within_s=self._within_s)
        if response.status_code not in (200, 202) or is_html(response):
            raise NoAnswer(f"{wanted}: {response.status_code}, which does not say that it was accepted")
