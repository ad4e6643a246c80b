"""
The inconsistencies of the service's documents, each as a change to a rendered job.

A name begins with the number of the inconsistency in the list that was made while reading the vendor's pages, examples and
SDK against each other. A change that finds nothing to change (a GPU's on an NPU job) leaves the job as it is.
"""

from collections.abc import Callable, Mapping
from typing import Any

Rendered = dict[str, Any]


def _set(path: str, value: object) -> Callable[[Rendered], Any]:
    def change(job: Rendered) -> Rendered:
        owner, key = _owner(job, path)
        if owner is not None:
            owner[key] = value
        return job

    return change


def _drop(path: str) -> Callable[[Rendered], Any]:
    def change(job: Rendered) -> Rendered:
        owner, key = _owner(job, path)
        if owner is not None:
            owner.pop(key, None)
        return job

    return change


def _each(convert: Callable[[Any], object], *paths: str) -> Callable[[Rendered], Any]:
    def change(job: Rendered) -> Rendered:
        for path in paths:
            owner, key = _owner(job, path)
            if owner is not None and key in owner:
                owner[key] = convert(owner[key])
        return job

    return change


def _all(*changes: Callable[[Rendered], Any]) -> Callable[[Rendered], Any]:
    def change(job: Rendered) -> Any:
        result: Any = job
        for each in changes:
            result = each(result)
        return result

    return change


def _owner(job: Rendered, path: str) -> tuple[dict[str, Any] | None, str]:
    *parents, key = path.split(".")
    owner: Any = job
    for parent in parents:
        owner = owner.get(parent) if isinstance(owner, dict) else None
    return (owner if isinstance(owner, dict) else None), key


def _misspelt(job: Rendered) -> Rendered:
    gpu, _ = _owner(job, f"{_INFO}.gpu.product_name")
    if gpu is not None:
        gpu["product_nume"] = gpu.pop("product_name")
    return job


def _tasks(change: Callable[[dict[str, Any]], None]) -> Callable[[Rendered], Any]:
    def apply(job: Rendered) -> Rendered:
        for task in job.get("tasks", []):
            change(task)
        return job

    return apply


_RESOURCE = "spec.resource"
_DETAIL = f"{_RESOURCE}.flavor_detail"
_INFO = f"{_DETAIL}.flavor_info"
_DISK = {"size": 3200, "unit": "GB"}
_BACKWARDS = [{"start_at": 1701327093, "end_at": 1701322341, "start_type": "init_or_rescheduled"}]

QUIRKS: Mapping[str, Callable[[Rendered], Any]] = {
    "01-policy-economic": _set(f"{_RESOURCE}.policy", "economic"),
    "02-gpu-product-nume": _misspelt,
    "03-start-time-text": _each(str, "status.start_time"),
    "04-null-node-count-metrics": _set("status.node_count_metrics", None),
    "05-no-ai-project": _drop("metadata.ai_project"),
    "06-no-annotations": _drop("metadata.annotations"),
    "07-null-description": _set("metadata.description", None),
    "08-no-attributes": _drop(f"{_DETAIL}.attributes"),
    "08-attributes-booleans": _set(f"{_DETAIL}.attributes", {"is_multi_nodes_supported": True}),
    "09-max-num-and-disk": _all(_set(f"{_INFO}.max_num", 16), _set(f"{_INFO}.disk", _DISK)),
    "10-no-is-hosted-log": _drop("spec.is_hosted_log"),
    "11-output-period-text": _set("algorithm.outputs", [{"name": "train_url", "period": "30s"}]),
    "12-bare-engine": _all(_drop("algorithm.engine.v1_compatible"), _drop("algorithm.engine.run_user")),
    "13-npu-unit-text": _all(_each(str, f"{_INFO}.npu.unit_num"), _set(f"{_INFO}.disk", {"size": "3200", "unit": "GB"})),
    "13-npu-unit-number": _each(int, f"{_INFO}.npu.unit_num"),
    "14-memory-unit-number": _set(f"{_INFO}.memory.unit", 64),
    "16-environments-list": _set("algorithm.environments", [{"NCCL_DEBUG": "INFO"}]),
    "17-task-node-count": _tasks(lambda task: task["task_resource"].update(node_count=2)),
    "18-task-inputs-list": _tasks(lambda task: task["algorithm"].update(inputs=[], outputs=[])),
    "19-no-tasks": _drop("status.tasks"),
    "20-odd-gpu-memory": _set(f"{_INFO}.gpu.memory", "16 GB HBM2"),
    "23-gpu-without-name": _drop(f"{_INFO}.gpu.product_name"),
    "24-pool-without-flavor-detail": _all(_set(f"{_RESOURCE}.pool_id", "pool-a1b2c3d4"), _drop(_DETAIL)),
    "24-cpu-pool-without-flavor": _all(
        _set(f"{_RESOURCE}.pool_id", "pool-a1b2c3d4"), _drop(_DETAIL), _drop(f"{_RESOURCE}.flavor_id")
    ),
    "25-priority-zero": _set("spec.schedule_policy", {"priority": 0}),
    "26-empty-user": _set("metadata.user_name", ""),
    "26-no-user": _drop("metadata.user_name"),
    "27-float-numbers": _each(
        float,
        "metadata.create_time",
        "status.duration",
        "status.start_time",
        f"{_RESOURCE}.node_count",
        f"{_DETAIL}.billing.unit_num",
        f"{_INFO}.gpu.unit_num",
    ),
    "28-unknown-phase": _each(lambda _: "Hibernating", "status.phase", "status.secondary_phase"),
    "28-unknown-kind": _set("kind", "quantum_job"),
    "28-unknown-keys": _all(_set("status.mood", {"good": True}), _set("novelty", [1, None, "x"])),
    "start-time-seconds": _each(lambda value: value // 1000, "status.start_time"),
    "records-backwards": _set("status.running_records", _BACKWARDS),
    "null-annotations": _set("metadata.annotations", None),
    "no-flavor-detail": _drop(_DETAIL),
    "null-status": _set("status", None),
    "no-metadata": _drop("metadata"),
    "not-an-object": lambda job: f"job {job['metadata']['id']}",
}
