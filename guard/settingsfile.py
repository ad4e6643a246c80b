"""
The settings file: YAML read with the line of every key. What the settings mean is in ``settings``.
"""

from pathlib import Path
from typing import Any

import yaml

from guard.errors import BadInput
from guard.wrongsettings import Place


def read_file(path: Path) -> tuple[dict[str, Any], dict[Place, int]]:
    """
    Return the settings that a file holds and the line of each, by its place; raises ``BadInput`` with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: the settings file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: the settings file is not UTF-8 (byte {error.start})") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise BadInput(f"{path}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not YAML: {str(error)[:200]}") from error
    if values is None or node is None:
        return {}, {}
    if not isinstance(values, dict) or any(not isinstance(key, str) for key in values):
        raise BadInput(f"{path}:1: expected a mapping of settings")
    lines: dict[Place, int] = {}
    _lines_of(path, node, (), lines)
    return values, lines


def _lines_of(path: Path, node: yaml.Node, place: Place, lines: dict[Place, int]) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here, line = (*place, key.value), key.start_mark.line + 1
            if here in lines:
                raise BadInput(f"{path}:{line}: {key.value}: stands here a second time, after line {lines[here]}")
            lines[here] = line
            _lines_of(path, value, here, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _lines_of(path, value, (*place, index), lines)
