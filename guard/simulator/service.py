"""
What the service does for each call but the list: show, actions, deletion, flavors, workspaces.

Each act is a function of the world and the call; who may call and what goes wrong on the way is decided before.
"""

import json
from dataclasses import replace

from guard.simulator.answers import Answer, Call, answer, refusal
from guard.simulator.flavors import flavor_table
from guard.simulator.jobs import LIVE_PHASES, SimJob, render
from guard.simulator.searches import search
from guard.simulator.world import World

MAX_WORKSPACES = 1000


def list_jobs(world: World, call: Call) -> Answer:
    """
    Answer a search.
    """
    return search(world, call.body)


def show_job(world: World, call: Call) -> Answer:
    """
    Answer with one job; an unknown one is HTTP 400 with ModelArts.2775, not 404.
    """
    job = world.job(str(call.job_id))
    return _not_found(call) if job is None else answer(render(job, world.knobs, world.now_ms))


def act_on_job(world: World, call: Call) -> Answer:
    """
    Carry out ``terminate`` or ``restart``: 202 with the job, 409 where its phase forbids it.
    """
    try:
        asked = json.loads(call.body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        return refusal(400, "ModelArts.2787", "The request body is not a JSON object.")
    action = asked.get("action_type")
    if not isinstance(action, str):
        text = "Invalid parameter(action_type must be one of [terminate restart])."
        return refusal(400, "ModelArts.2788", text)
    if action not in ("terminate", "restart"):
        return refusal(400, "ModelArts.2812", f"Unsupported action type:{action}")
    job = world.job(str(call.job_id))
    if job is None:
        return _not_found(call)
    return _terminate(world, job) if action == "terminate" else _restart(world, job)


def delete_job(world: World, call: Call) -> Answer:
    """
    Answer 202 and delete nothing: the call is there so that the log can prove that nobody makes it.
    """
    return Answer(status=202)


def list_flavors(world: World, call: Call) -> Answer:
    """
    Answer with the flavor table.
    """
    wanted = call.request.query_params.get("flavor_type") or None
    if wanted not in (None, "CPU", "GPU", "Ascend"):
        return refusal(400, "ModelArts.2788", f"Invalid parameter(flavor_type {wanted!r}).")
    return answer(flavor_table(wanted))


def list_workspaces(world: World, call: Call) -> Answer:
    """
    Answer with a page of the account's workspaces.
    """
    query = call.request.query_params
    try:
        offset, limit = int(query.get("offset", 0)), int(query.get("limit", MAX_WORKSPACES))
    except ValueError:
        offset = limit = -1
    if offset < 0 or not 1 <= limit <= MAX_WORKSPACES:
        return refusal(400, "ModelArts.2764", "Query parameter error (offset or limit).")
    first = offset * limit if world.knobs.offset_means == "page" else offset
    fixed = {"status": "NORMAL", "auth_type": "PUBLIC", "owner": "account", "enterprise_project_id": "0"}
    rows = [{"id": key, "name": name, **fixed} for key, name in world.site.workspaces.items()]
    page = rows[first : first + limit]
    return answer({"total_count": len(rows), "count": len(page), "workspaces": page})


def _not_found(call: Call) -> Answer:
    return refusal(400, "ModelArts.2775", f"Training job (ID: {call.job_id}) not found.")


def _terminate(world: World, job: SimJob) -> Answer:
    if not world.terminate(job):
        return refusal(409, "ModelArts.2796", "The job cannot be terminated.")
    return replace(answer(render(job, world.knobs, world.now_ms), status=202), accepted=True)


def _restart(world: World, job: SimJob) -> Answer:
    if job.phase(world.now_ms) in LIVE_PHASES:
        return refusal(409, "ModelArts.2813", "The job cannot be restarted.")
    return answer(render(world.restart(job.id), world.knobs, world.now_ms), status=202)
