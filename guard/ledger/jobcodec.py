"""
The facts of a job as one compact line of JSON, and back: every value, absent and unreadable comes back as it went in.

Absent is ``null``, unreadable is ``false``; which job it is and whose target stands in columns of its own. A line of another
layout is no error: what it said is read from the service again.
"""

import json
from collections.abc import Mapping

import msgspec

from guard.core.facts import ABSENT, UNREADABLE, Job, JobKey, Missing, Resource, Text, Whole

LAYOUT = 1

_Text = str | bool | None
_Whole = int | bool | None


class _Resource(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    billing_code: _Text
    unit_num: _Whole
    node_count: _Whole
    cards_per_node: _Whole
    flavor_id: _Text
    flavor_type: _Text
    accelerator: _Text
    role: str
    source: str


class _Line(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    layout: int
    read_at_ms: int
    phase: _Text
    secondary_phase: _Text
    workspace: _Text
    name: _Text
    user: _Text
    kind: _Text
    description: _Text
    engine: _Text
    image: _Text
    pool_id: _Text
    annotations: dict[str, str] | bool | None
    create_time_ms: _Whole
    start_time_ms: _Whole
    duration_ms: _Whole
    node_counts: tuple[tuple[int, int], ...] | bool | None
    auto_stop_ms: _Whole
    resources: tuple[_Resource, ...]


_FACTS = _Line.__struct_fields__[1:-1]
_PARTS = _Resource.__struct_fields__
_DECODER = msgspec.json.Decoder(_Line)
_ENCODER = msgspec.json.Encoder()
_CODES = {ABSENT: None, UNREADABLE: False}


def encode(job: Job) -> str:
    """
    Return the facts of a job as one line.
    """
    line: list[object] = [LAYOUT]
    line += [_coded(getattr(job, name)) for name in _FACTS]
    line.append([[_coded(getattr(one, name)) for name in _PARTS] for one in job.resources])
    try:
        return _ENCODER.encode(line).decode()
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8, but an escape.
        return json.dumps(line, separators=(",", ":"))


def decode(text: str, *, key: JobKey, target: str) -> Job | None:
    """
    Return the job of a line, or None if the line is not of this layout.
    """
    try:
        try:
            line = _DECODER.decode(text)
        except msgspec.ValidationError:
            return None
        except msgspec.DecodeError:
            line = msgspec.convert(json.loads(text), _Line)
        return _job(line, key=key, target=target) if line.layout == LAYOUT else None
    except ValueError:
        return None


def _job(line: _Line, *, key: JobKey, target: str) -> Job:
    return Job(
        key=key,
        target=target,
        read_at_ms=line.read_at_ms,
        phase=_text(line.phase),
        secondary_phase=_text(line.secondary_phase),
        workspace=_text(line.workspace),
        name=_text(line.name),
        user=_text(line.user),
        kind=_text(line.kind),
        description=_text(line.description),
        engine=_text(line.engine),
        image=_text(line.image),
        pool_id=_text(line.pool_id),
        annotations=line.annotations if isinstance(line.annotations, dict) else _missing(line.annotations),
        create_time_ms=_whole(line.create_time_ms),
        start_time_ms=_whole(line.start_time_ms),
        duration_ms=_whole(line.duration_ms),
        node_counts=line.node_counts if isinstance(line.node_counts, tuple) else _missing(line.node_counts),
        auto_stop_ms=_whole(line.auto_stop_ms),
        resources=tuple([_resource(one) for one in line.resources]),
    )


def _resource(part: _Resource) -> Resource:
    return Resource(
        billing_code=_text(part.billing_code),
        unit_num=_whole(part.unit_num),
        node_count=_whole(part.node_count),
        cards_per_node=_whole(part.cards_per_node),
        flavor_id=_text(part.flavor_id),
        flavor_type=_text(part.flavor_type),
        accelerator=_text(part.accelerator),
        role=part.role,
        source=part.source,
    )


def _coded(value: object) -> object:
    if isinstance(value, Missing):
        return _CODES[value]
    return dict(value) if isinstance(value, Mapping) else value


def _text(value: _Text) -> Text:
    return value if isinstance(value, str) else _missing(value)


def _whole(value: _Whole) -> Whole:
    return _missing(value) if value is None or isinstance(value, bool) else value


def _missing(code: bool | None) -> Missing:
    if code is True:
        raise ValueError("true is no fact")
    return ABSENT if code is None else UNREADABLE
