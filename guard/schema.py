"""
The JSON Schemas of every file that a person writes for the guard: policy files, the settings and the price book.

Each is made of what the reader of that file is made of. Where a reader is lenient for the sake of environment variables
(``armed: "true"``), the schema is strict: it is for editors, and it never takes what the reader refuses for its shape.
"""

import enum
from typing import Any

from guard.core.bookschema import price_schema
from guard.core.schema import DIALECT, Schema, policy_schema, span_schema
from guard.core.spans import format_span
from guard.settings import Settings


class SchemaKind(enum.StrEnum):
    """
    The files that have a schema.
    """

    POLICIES = "policies"
    SETTINGS = "settings"
    PRICES = "prices"


def schema_of(kind: SchemaKind) -> Schema:
    """
    Return the JSON Schema (draft 2020-12) of one kind of file.
    """
    match kind:
        case SchemaKind.POLICIES:
            return policy_schema()
        case SchemaKind.SETTINGS:
            return settings_schema()
        case SchemaKind.PRICES:
            return price_schema()


_TARGET = {"name": "research", "region": "cn-north-4", "project_id": "0123456789abcdef0123456789abcdef"}
_EXAMPLES: dict[str, list[Any]] = {
    "targets": [[_TARGET], [{**_TARGET, "workspaces": ["0"]}]],
    "prices": ["prices.yaml"],
    "ledger": ["sqlite:///guard.db", "postgresql://guard@db.example/guard"],
    "listen": ["127.0.0.1:9108", "0.0.0.0:9108"],
    "limits": [{"window": "1h", "max_terminations": 5, "max_percent_of_running": 10}, "none"],
    "breaker": [{"first_enforce": 3, "reset_after": "4h"}, "none"],
    "timezone": ["UTC", "Asia/Shanghai"],
    "pause_file": ["/run/guard/pause"],
}


def settings_schema() -> Schema:
    """
    Return the schema of the settings file, which is that of the settings' model in the words of the file.
    """
    made = _in_words_of_the_file(Settings.model_json_schema())
    for name, examples in _EXAMPLES.items():
        made["properties"][name]["examples"] = examples
    whole = {"targets": [_TARGET], "policies": "policies", "ledger": "sqlite:///guard.db"}
    return {"$schema": DIALECT, "title": "Cost Guard settings", **made, "examples": [whole]}


def _in_words_of_the_file(node: Any) -> Any:
    if isinstance(node, list):
        return [_in_words_of_the_file(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {}
    for key, value in node.items():
        if key == "properties":
            made[key] = {name: _in_words_of_the_file(one) for name, one in value.items()}
        elif key == "default":
            made[key] = _default(value, node)
        elif key == "description":
            made[key] = value.replace("``", "`")
        elif key == "anyOf":
            # Of a decimal pydantic also takes the text, for environment variables.
            kept = [one for one in value if not (_is_number(node) and one == {"type": "string"})]
            made[key] = _in_words_of_the_file(kept)
        # Titles are the keys again, and paths are no format of JSON Schema.
        elif key not in ("title", "format"):
            made[key] = _in_words_of_the_file(value)
    return made


def _default(value: Any, node: Schema) -> Any:
    if node.get("pattern") == span_schema()["pattern"]:
        return format_span(value)
    if isinstance(value, dict):
        # Left out, a part of the settings is what the defaults of its own keys make of it.
        return {}
    return float(value) if isinstance(value, str) and _is_number(node) else value


def _is_number(node: Schema) -> bool:
    return any(one.get("type") == "number" for one in node.get("anyOf", []))
