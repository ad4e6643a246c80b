"""
What is said of settings that cannot be taken: where each stands, in a file or in the environment, and what was expected.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREFIX = "GUARD_"
NO_SETTINGS = (
    "no settings: name a YAML file with --config or GUARD_CONFIG; it needs at least targets: [{name, region, project_id}]. "
    "Credentials come from the environment (HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK) or from where the README says. "
    "To see the guard work without an account: guard demo"
)
Place = tuple[object, ...]

# The names that the validation gives to the members of a union; they are no part of a setting's name.
_MEMBER = re.compile(r"LimitSettings|BreakerSettings|literal\[.*\]|list\[.*\]")
_EXPECTED = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "decimal_parsing": "expected a number",
    "decimal_type": "expected a number",
    "int_from_float": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "list_type": "expected a list",
    "missing": "this setting is required",
    "model_type": "expected a mapping",
    "path_type": "expected a path",
    "string_pattern_mismatch": "expected small letters, digits and inner hyphens",
    "string_type": "expected text in quotes",
    "too_short": "expected at least one entry",
}
_SHOWN = ("bool_parsing", "int_parsing", "int_from_float", "decimal_parsing", "enum")
_UNIONS = {
    "breaker": "expected a mapping such as {first_enforce: 3}, or none",
    "limits": "expected a mapping of window, max_terminations and max_percent_of_running, or none",
    "workspaces": "expected all or a list of workspace ids",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """
    Where the settings came from: the file (or None) with the line of every key in it, and the environment over it.
    """

    path: Path | None
    lines: Mapping[Place, int]
    environment: Iterable[str]

    def of(self, place: Place) -> tuple[str, str]:
        """
        Return where a setting stands and how it is called there.
        """
        name = ".".join(str(part) for part in place)
        variable = self._variable(place)
        if variable is not None:
            return "environment", variable if name.count(".") == variable.count("__") else f"{variable}: {name}"
        known = place
        while known and known not in self.lines:
            known = known[:-1]
        return f"{self.path}:{self.lines[known]}" if known else str(self.path or "environment"), name

    def _variable(self, place: Place) -> str | None:
        there = {name.upper() for name in self.environment}
        for length in range(len(place), 0, -1):
            name = PREFIX + "__".join(str(part).upper() for part in place[:length])
            if name in there:
                return name
        top = f"{PREFIX}{str(place[0]).upper()}__" if place else PREFIX
        return next((name for name in sorted(there) if len(place) == 1 and name.startswith(top)), None)


def sentences(errors: Sequence[Any], origin: Origin, known: Sequence[str]) -> list[str]:
    """
    Return one sentence per wrong setting; *known* are the names that a misspelt one may have meant.
    """
    found: dict[tuple[Place, str], str] = {}
    for error in errors:
        place = tuple(part for part in error["loc"] if not _MEMBER.fullmatch(str(part)))
        if place and place[-1] in _UNIONS and len(place) < len(error["loc"]):
            message = _UNIONS[str(place[-1])]
        else:
            message = _message(error, place, known)
        where, name = origin.of(place)
        found[place, message] = f"{where}: {name}: {message}" if name else f"{where}: {message}"
    # What is wrong inside a member of a union says more than that it is none of the members.
    inner = {place[:length] for place, _ in found for length in range(len(place))}
    return [said for (place, _), said in found.items() if place not in inner or not place]


def _message(error: Any, place: Place, known: Sequence[str]) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        return "there is no such setting" + (f"; did you mean {near[0]}?" if near else "")
    message = _EXPECTED.get(kind) or str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
    return f"{message}, got {str(error['input'])[:60]!r}" if kind in _SHOWN else message


def not_json(error: ValueError) -> str:
    """
    Return what is said of a variable of the environment that should hold JSON.
    """
    field = re.search(r'field "(\w+)"', str(error))
    name = f"{PREFIX}{field[1].upper()}" if field else f"a {PREFIX} variable"
    reason = f" ({error.__cause__})" if error.__cause__ else ""
    return f"environment: {name}: expected JSON{reason}"
