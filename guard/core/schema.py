"""
The JSON Schema of policy files, made of the same tables that the loader reads them with.

It refuses what is wrong with the shape of a file. What needs more than one place of it is left to the loader: names that
stand twice, patterns that do not compile, dates that do not exist, depth and size.
"""

import re
from collections.abc import Iterable
from typing import Any, assert_never

from guard.core.clauses import WHILE_RUNNING
from guard.core.facts import KNOWN_PHASES
from guard.core.fields import ANNOTATION, ANNOTATION_SPEC, FIELDS, FieldSpec, FieldType
from guard.core.load import ACTIONS, EXEMPTION_KEYS, MODES, NAME, NAME_LENGTH, POLICY_KEYS, REQUIRED_KEYS, SECTIONS
from guard.core.operands import LARGEST, operators_of
from guard.core.policy import Act, Mode
from guard.core.spans import SPAN
from guard.core.until import DATE, MOMENT, OFFSET

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_MEANINGS = {
    "eq": "Equal to this value.",
    "ne": "Any value but this one; unknown, not true, where there is no value.",
    "in": "Equal to one of these values.",
    "not_in": "Any value but these; unknown, not true, where there is no value.",
    "glob": "The whole text fits: `*` any text, `?` one character, `[abc]`, `[a-z]`, `[!abc]`.",
    "regex": "The whole text fits this RE2 expression; case counts.",
    "gt": "More than this; begins one step above it, for a span one millisecond.",
    "gte": "This or more.",
    "lt": "Less than this.",
    "lte": "This or less.",
    "exists": "Whether the job has such a fact at all; the only operator that speaks of absence.",
}
_TEXTS = {
    "name": "What metrics, logs and the ledger call it; unique in its section over all files.",
    "description": "What it is for, in words for the owner of a job that it ends.",
    "mode": "`observe` reports what would have been done, `enforce` does it. Left out: `observe`.",
    "action": "`terminate`, or `notify`: a record, a log line and a metric. Left out: `terminate`.",
    "reason": "Why these jobs are spared.",
    "owner": "Who answers for it.",
    "until": "The last day, in the setting `timezone`, or a timestamp with its offset.",
    "match": "Every entry must hold. A scalar means equal, a list means one of them.",
    "all": "Every one of these must hold.",
    "any": "At least one of these must hold.",
    "not": "This must not hold.",
}
_EXAMPLES: dict[str, list[Any]] = {
    "billing_code": ["modelarts.vm.gpu.p100.eco", {"glob": "*.eco"}],
    "flavor_type": ["Ascend", ["GPU", "Ascend"]],
    "node_count": [1, {"gt": 2}],
    "unit_num": [{"gte": 1}],
    "cards": [{"gt": 32}],
    "duration": [{"gt": "24h"}],
    "waiting": [{"gt": "48h"}],
    "card_hours": [{"gt": 1000}],
    "cost": [{"gt": 2200}],
    "cost_rate": [{"gte": 12.5}],
    "phase": ["Creating", ["Creating", "Pending"]],
    "pool_id": [{"exists": False}],
    "image": [{"regex": ".*[:/-]dev(el)?([.-].*)?"}],
    "annotation": ["yes", {"exists": True}],
}
_CLAUSE = {"$ref": "#/$defs/clause"}


def policy_schema() -> Schema:
    """
    Return the JSON Schema (draft 2020-12) of a policy file: of its values as YAML 1.2 reads them.
    """
    named = {"annotation": ANNOTATION_SPEC, **FIELDS}
    waits, runs = "mentions_waiting", "mentions_running_time"
    both = {"allOf": [{"$ref": f"#/$defs/{waits}"}, {"$ref": f"#/$defs/{runs}"}]}
    return {
        "$schema": DIALECT,
        "title": "Cost Guard policy file",
        "description": "Which training jobs are ended, and which are spared.",
        **_object({key: {"$ref": f"#/$defs/{key}"} for key in SECTIONS}),
        "minProperties": 1,
        "examples": [{"policies": [_policy_example()], "exemptions": [_exemption_example()]}, {"policies": []}],
        "$defs": {
            "policies": _list_of(
                "The rules; of those that match a job, the first that may terminate counts.", {"$ref": "#/$defs/policy"}
            ),
            "exemptions": _list_of("The jobs that no policy touches.", {"$ref": "#/$defs/exemption"}),
            "policy": _object({**_keys(POLICY_KEYS), "match": {**_key("match"), "not": both}}, required=REQUIRED_KEYS),
            "exemption": _object(_keys(EXEMPTION_KEYS), required=EXEMPTION_KEYS),
            "match": _clause(FIELDS),
            "clause": _clause(name for name in FIELDS if name != "phase"),
            **{f"field_{name}": _field(name, spec) for name, spec in named.items()},
            "span": span_schema(),
            waits: _mentions(waits, ("waiting",)),
            runs: _mentions(runs, WHILE_RUNNING),
        },
    }


def span_schema() -> Schema:
    """
    Return the schema of one span of time.
    """
    return {
        "type": "string",
        "minLength": 2,
        "pattern": f"^{SPAN}$",
        "examples": ["90s", "15m", "24h", "7d", "1h30m"],
    }


def _object(properties: Schema, *, required: Iterable[str] = ()) -> Schema:
    needed = list(required)
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": needed} if needed else {}),
    }


def _list_of(description: str, items: Schema) -> Schema:
    return {"description": description, "type": "array", "items": items}


def _keys(keys: Iterable[str]) -> Schema:
    return {key: _key(key) for key in keys}


def _key(key: str) -> Schema:
    described = {"description": _TEXTS[key]}
    match key:
        case "match":
            return {**described, "$ref": "#/$defs/match"}
        case "name":
            return {**described, "type": "string", "maxLength": NAME_LENGTH, "pattern": f"^{NAME}$"}
        case "mode":
            return {**described, "enum": list(MODES), "default": Mode.OBSERVE.value}
        case "action":
            return {**described, "enum": list(ACTIONS), "default": Act.TERMINATE.value}
        case "until":
            pattern = f"^({DATE}|{MOMENT}{OFFSET})$"
            return {**described, "type": "string", "pattern": pattern, "examples": ["2026-12-31", "2026-12-31T18:00:00Z"]}
        case "description":
            return {**described, "type": "string"}
        case _:
            return {**described, "type": "string", "pattern": "\\S"}


def _clause(fields: Iterable[str]) -> Schema:
    joined = {word: {**_list_of(_TEXTS[word], _CLAUSE), "minItems": 1} for word in ("all", "any")}
    properties = {
        **{name: {"$ref": f"#/$defs/field_{name}"} for name in fields},
        **joined,
        "not": {"description": _TEXTS["not"], **_CLAUSE},
    }
    return {
        **_object(properties),
        "patternProperties": {f"^{re.escape(ANNOTATION)}[\\s\\S]": {"$ref": "#/$defs/field_annotation"}},
        "minProperties": 1,
    }


def _field(name: str, spec: FieldSpec) -> Schema:
    described: Schema = {"description": f"{spec.meaning[0].upper()}{spec.meaning[1:]}."}
    if name in _EXAMPLES:
        described["examples"] = _EXAMPLES[name]
    value = {"enum": sorted(KNOWN_PHASES)} if name == "phase" else _value(spec.type)
    operators = _object({op: {"description": _MEANINGS[op], **_operand(op, value)} for op in operators_of(spec)})
    operators["minProperties"] = 1
    if spec.grows:
        return {**described, **operators}
    return {**described, "anyOf": [value, _members(value), operators]}


def _operand(op: str, value: Schema) -> Schema:
    match op:
        case "exists":
            return {"type": "boolean"}
        case "in" | "not_in":
            return _members(value)
        case "glob" | "regex":
            return {"type": "string"}
        case _:
            return value


def _members(value: Schema) -> Schema:
    return {"type": "array", "items": value, "minItems": 1}


def _value(kind: FieldType) -> Schema:
    match kind:
        case FieldType.TEXT:
            return {"type": "string"}
        case FieldType.SPAN:
            return {"$ref": "#/$defs/span"}
        case FieldType.INTEGER:
            return {"type": "integer", "minimum": -LARGEST, "maximum": LARGEST}
        case FieldType.NUMBER:
            return {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
        case _:
            assert_never(kind)


def _mentions(name: str, fields: Iterable[str]) -> Schema:
    """
    Return the schema of the clauses that mention one of *fields*, at whatever depth.
    """
    again = {"$ref": f"#/$defs/{name}"}
    return {
        "type": "object",
        "anyOf": [
            *({"required": [field]} for field in fields),
            {"required": ["not"], "properties": {"not": again}},
            *({"required": [word], "properties": {word: {"contains": again}}} for word in ("all", "any")),
        ],
    }


def _policy_example() -> Schema:
    return {
        "name": "p100-eco-one-day",
        "description": "Economic P100 nodes are for short experiments.",
        "mode": Mode.OBSERVE.value,
        "match": {"billing_code": "modelarts.vm.gpu.p100.eco", "node_count": {"gt": 2}, "duration": {"gt": "24h"}},
        "action": Act.TERMINATE.value,
    }


def _exemption_example() -> Schema:
    return {
        "name": "quarterly-benchmark",
        "reason": "The benchmark of the fourth quarter runs for three weeks.",
        "owner": "platform-team",
        "until": "2026-12-31",
        "match": {"user": "benchmark-robot", "name": {"glob": "bench-*"}},
    }
