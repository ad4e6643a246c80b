"""
The OpenAPI 3.1 document of the listener: what it answers to whom, in the words of the code that answers.

A test compares it with the routes that exist, and thousands of calls that schemathesis makes up with what it says.
"""

from typing import Any

import msgspec

from guard import __version__
from guard.ports.status import Status

_TEXT = "text/plain"
_JSON = "application/json"
_OPENMETRICS = "application/openmetrics-text"
_TOKEN = "token"  # noqa: S105 - the name of a scheme
_REFUSED = "A body, which no endpoint takes, or a parameter that is not one of those named."


def document(*, secured: bool) -> dict[str, Any]:
    """
    Return the document of a listener that asks for a bearer token (*secured*), or of one that does not.
    """
    (status,), schemas = msgspec.json.schema_components([Status], ref_template="#/components/schemas/{name}")
    components: dict[str, Any] = {"schemas": schemas}
    if secured:
        components["securitySchemes"] = {_TOKEN: {"type": "http", "scheme": "bearer"}}
    told = {"200": _texts("It is well."), "503": _texts("It is not, and why, if the caller may know.")}
    paths = {
        "/livez": _reading("livez", "Whether the process hangs.", told, secured=False),
        "/readyz": _reading("readyz", "Whether it is of use now, and what a person should know.", told, secured=False),
        "/metrics": _reading(
            "metrics",
            "The metrics, for Prometheus.",
            {"200": _answer("The samples.", {_TEXT: {"type": "string"}, _OPENMETRICS: {"type": "string"}})},
            secured=secured,
        ),
        "/statusz": _reading(
            "statusz",
            "How the guard is: JSON for whoever accepts application/json or asks for it, else text.",
            {"200": _answer("The status, at most a second old.", {_JSON: status, _TEXT: {"type": "string"}})},
            secured=secured,
            parameters=[
                {
                    "name": "format",
                    "in": "query",
                    "description": "Which form, whatever is accepted.",
                    "schema": {"type": "string", "enum": ["json", "text"]},
                }
            ],
        ),
        "/openapi.json": _reading(
            "openapi", "This document.", {"200": _answer("It.", {_JSON: {"type": "object"}})}, secured=secured
        ),
    }
    about = {
        "title": "Cost Guard's listener",
        "version": __version__,
        "description": "Only reading: GET, and HEAD, which answers the same without a body. Nothing changes the guard.",
    }
    return {"openapi": "3.1.0", "info": about, "paths": paths, "components": components}


def _reading(
    name: str,
    summary: str,
    answers: dict[str, Any],
    *,
    secured: bool,
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    refused = {"401": _texts("A bearer token is needed.")} if secured else {}
    get: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "responses": {**answers, "400": _texts(_REFUSED), **refused},
        "security": [{_TOKEN: []}] if secured else [],
    }
    if parameters:
        get["parameters"] = parameters
    return {"get": get}


def _texts(text: str) -> dict[str, Any]:
    return _answer(text, {_TEXT: {"type": "string"}})


def _answer(text: str, schemas: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {kind: {"schema": schema} for kind, schema in schemas.items()}}
