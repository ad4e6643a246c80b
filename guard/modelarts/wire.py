"""
JobResponse, as list and show give it, turned into a ``Job``.

Written against the vendor's SDK 3.1.219 (``huaweicloudsdkmodelarts/v1/model``), the API reference and Open Telekom Cloud's
copy of it, which contradict each other; so an item is decoded on its own and every fact is read on its own, and one odd job
or field never hides another. Single readings are in ``readings``; nothing here calls the service.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from guard.core.facts import ABSENT, UNREADABLE, Job, JobKey, Missing, Resource, Text, Whole
from guard.modelarts.readings import (
    Undecodable,
    Wrong,
    agreed,
    at,
    decoded,
    first_whole,
    instant_ms,
    is_text,
    lawful_text,
    lawful_whole,
    text,
    whole,
)

HOUR_MS = 3_600_000
LONGEST_ID = 256
NO_IDS = frozenset({"", ".", ".."})
_BLOCKS = {"GPU": ("gpu",), "Ascend": ("npu",)}


class Unparsable(Exception):
    """
    The body of an answer is not what the call gives; the client translates it.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """
    Where and when (service time) an answer was read.
    """

    target: str
    region: str
    project_id: str
    read_at_ms: int


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]


def parse_page(body: bytes, origin: Origin) -> Sequence[Job | None]:
    """
    Return the jobs of a list answer, in order; an item without a usable id is None. Raises ``Unparsable``.

    A body without ``items`` is unparsable, because it would otherwise say that there are no jobs.
    """
    try:
        # The items are left undecoded, so that one that is no good JSON spoils itself only.
        items = msgspec.json.decode(body, type=_Page).items
        return [parse_item(item, origin) for item in items]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    try:
        values = at(decoded(body), "items")
    except Undecodable as error:
        raise Unparsable(f"no list of jobs: {error}") from error
    if not isinstance(values, list):
        raise Unparsable("no list of jobs: items is no list")
    return [_identified(value, origin) for value in values]


def parse_item(item: bytes | msgspec.Raw, origin: Origin) -> Job | None:
    """
    Return the job that one item of a list holds, or None if it has no usable id.
    """
    try:
        return _identified(decoded(item), origin)
    except Undecodable:
        return None


def parse_answer(body: bytes, origin: Origin) -> Job | None:
    """
    Return the job of a show answer, or None if the answer names no job. Raises ``Unparsable`` if it is not a JSON object.
    """
    try:
        value = decoded(body)
    except Undecodable as error:
        raise Unparsable(f"no job: {error}") from error
    if not isinstance(value, dict):
        raise Unparsable("no job: not an object")
    return _identified(value, origin)


def _identified(value: object, origin: Origin) -> Job | None:
    job_id = at(value, "metadata", "id")
    return job_of(value, job_id, origin) if isinstance(job_id, str) and usable_id(job_id) else None


def usable_id(job_id: str) -> bool:
    """
    Tell whether an id can stand as one segment of a path and in an index; ids are opaque beyond that.
    """
    return is_text(job_id) and job_id not in NO_IDS and len(job_id) <= LONGEST_ID


def job_of(value: object, job_id: str, origin: Origin) -> Job:
    """
    Return the facts of one decoded job.
    """
    metadata, status, spec = at(value, "metadata"), at(value, "status"), at(value, "spec")
    return Job(
        key=JobKey(region=origin.region, project_id=origin.project_id, job_id=job_id),
        target=origin.target,
        read_at_ms=origin.read_at_ms,
        phase=text(at(status, "phase")),
        secondary_phase=lawful_text(at(status, "secondary_phase")),
        workspace=text(at(metadata, "workspace_id")),
        name=text(at(metadata, "name")),
        user=text(at(metadata, "user_name")),
        kind=text(at(value, "kind")),
        description=lawful_text(at(metadata, "description")),
        engine=_of_algorithms(value, "engine_name"),
        image=_of_algorithms(value, "image_url"),
        pool_id=pool_id_of(value),
        annotations=_annotations(at(metadata, "annotations")),
        create_time_ms=instant_ms(at(metadata, "create_time")),
        start_time_ms=lawful_whole(at(status, "start_time")),
        duration_ms=lawful_whole(at(status, "duration")),
        node_counts=_node_counts(at(status, "node_count_metrics")),
        auto_stop_ms=UNREADABLE if _object(spec) is None else auto_stop_of(at(spec, "auto_stop")),
        resources=resources_of(value),
    )


def _object(value: object) -> dict[str, object] | None:
    return value if isinstance(value, dict) else None


def _tasks(value: object) -> list[object] | None:
    tasks = at(value, "tasks")
    if tasks is None:
        return []
    return tasks if isinstance(tasks, list) else None


def _hetero(value: object) -> list[object]:
    tasks = _tasks(value) or []
    return tasks if any(at(task, "task_resource") is not None for task in tasks) else []


def _of_algorithms(value: object, key: str) -> Text:
    # A heterogeneous job has an algorithm per task instead of one of its own.
    own = lawful_text(at(value, "algorithm", "engine", key))
    if own is not ABSENT:
        return own
    of_tasks = [lawful_text(at(task, "algorithm", "engine", key)) for task in _tasks(value) or []]
    return agreed(each for each in of_tasks if each is not ABSENT)


def pool_id_of(value: object) -> Text:
    resource, tasks = _object(at(value, "spec", "resource")), _hetero(value)
    if resource is None and not tasks:
        return UNREADABLE
    pools = [lawful_text(at(task, "task_resource", "pool_id")) for task in tasks]
    if resource is not None:
        own = lawful_text(resource.get("pool_id"))
        return own if own is not ABSENT else agreed(pools)
    return agreed(pools)


def _annotations(value: object) -> dict[str, str] | Missing:
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        return UNREADABLE
    held = {key: each for key, each in value.items() if each is not None}
    return held if all(is_text(each) for pair in held.items() for each in pair) else UNREADABLE


def _node_counts(value: object) -> tuple[tuple[int, int], ...] | Missing:
    if value is None:
        return ()
    if not isinstance(value, list):
        return UNREADABLE
    counts: list[tuple[int, int]] = []
    for entry in value:
        if not isinstance(entry, list) or len(entry) != 2:
            return UNREADABLE
        since, count = instant_ms(entry[0]), whole(entry[1])
        if isinstance(since, Missing) or isinstance(count, Missing):
            return UNREADABLE
        counts.append((since, count))
    return tuple(sorted(counts))


def auto_stop_of(value: object) -> Whole:
    if value is None or value == {}:
        return ABSENT
    hours = whole(at(value, "duration"))
    if isinstance(hours, Missing) or hours == 0 or at(value, "time_unit") != "HOURS":
        return UNREADABLE
    return hours * HOUR_MS


def resources_of(value: object) -> tuple[Resource, ...]:
    if _tasks(value) is None:
        return ()
    tasks = _hetero(value)
    if tasks:
        return tuple(_task_resource(task) for task in tasks)
    resource = _object(at(value, "spec", "resource"))
    if resource is None:
        return ()
    return (_resource(resource, at(resource, "flavor_detail"), whole(at(resource, "node_count"))),)


def _task_resource(task: object) -> Resource:
    held = at(task, "task_resource")
    role = at(task, "role")
    nodes = first_whole((at(held, "node_count"), at(task, "node_count")))
    return _resource(held, held, nodes, role=role if isinstance(role, str) else "")


def _resource(holder: object, detail: object, node_count: Whole, *, role: str = "") -> Resource:
    """
    Read one resource: *holder* names the flavor and what the job was given, *detail* describes the flavor.
    """
    flavor_type = text(at(detail, "flavor_type"))
    return Resource(
        billing_code=text(at(detail, "billing", "code")),
        unit_num=whole(at(detail, "billing", "unit_num")),
        node_count=node_count,
        cards_per_node=_cards(holder, at(detail, "flavor_info"), flavor_type),
        flavor_id=text(at(holder, "flavor_id")),
        flavor_type=flavor_type,
        accelerator=_accelerator(at(detail, "flavor_info"), flavor_type),
        role=role,
    )


def flavor_row(row: object) -> Resource:
    """
    Return the facts of one row of ``training-job-flavors``, which lays a flavor out as a task's resource does.
    """
    return _resource(row, row, UNREADABLE)


def _cards(holder: object, info: object, flavor_type: Text) -> Whole:
    if flavor_type == "CPU":
        return 0
    blocks = _BLOCKS.get(flavor_type, ("gpu", "npu")) if isinstance(flavor_type, str) else ("gpu", "npu")
    told = [
        *(at(info, block, "unit_num") for block in blocks),
        at(holder, "main_container_allocated_resources", "accelerator_num"),
        at(holder, "pool_info", "accelerator_num"),
    ]
    return first_whole(told)


def _accelerator(info: object, flavor_type: Text) -> Text:
    blocks = _BLOCKS.get(flavor_type, ("gpu", "npu")) if isinstance(flavor_type, str) else ("gpu", "npu")
    # The vendor's table of the field misspells it (product_nume), its example does not.
    names = [at(info, block, key) for block in blocks for key in ("product_name", "product_nume")]
    return next((text(name) for name in names if name is not None and name is not Wrong.PARENT), UNREADABLE)
