"""
The entries of a mapping, checked by their keys: what files of policies and of their tests have in common.
"""

from collections.abc import Mapping as Dictionary
from collections.abc import Sequence

from guard.core.fields import field_spec
from guard.core.findings import Findings, did_you_mean
from guard.core.yamlnode import Kind, Listing, Mapping, Node, Scalar, brief, describe


def values_of(node: Mapping, known: Sequence[str], findings: Findings, *, required: Sequence[str] = ()) -> dict[str, Node]:
    """
    Return the values under the *known* keys; any other key, and a *required* one that is missing, is an error.
    """
    values = {}
    for key, value in node.entries:
        if key.text in known:
            values[key.text] = value
        else:
            wanted = f"{did_you_mean(key.text, known)}; expected one of {', '.join(known)}"
            findings.add(key.mark, f"unknown key {brief(key.text)}{_misplaced(key.text, known) or wanted}")
    for word in required:
        if word not in values:
            findings.add(node.mark, f"the required key {word!r} is missing")
    return values


def _misplaced(key: str, known: Sequence[str]) -> str:
    if key.startswith("-"):
        return "; an item of a list begins with a hyphen and a space"
    # A description is a field too, but beside `match` it is meant as a key.
    if "match" in known and key != "description" and (field_spec(key) or key in ("all", "any", "not")):
        return "; conditions stand inside 'match', indented below it"
    return ""


def items_of(node: Node | None, section: str, findings: Findings) -> list[Mapping]:
    """
    Return the mappings of a list, none if there is no *node*; anything else in it is an error.
    """
    if node is None:
        return []
    if not isinstance(node, Listing):
        findings.add(node.mark, f"{section}: expected a list, got {describe(node)}")
        return []
    items = []
    for item in node.items:
        if isinstance(item, Mapping):
            items.append(item)
        else:
            findings.add(item.mark, f"{section}: expected a mapping, got {describe(item)}")
    return items


def text_of(key: str, values: Dictionary[str, Node], findings: Findings, *, filled: bool = False) -> str:
    """
    Return the text under a key, or nothing if it is missing or no text; with *filled* an empty one is an error.
    """
    node = values.get(key)
    if node is None:
        return ""
    if not isinstance(node, Scalar) or node.kind is not Kind.TEXT:
        hint = "; put it in quotes" if isinstance(node, Scalar) and node.kind is not Kind.NOTHING else ""
        findings.add(node.mark, f"{key}: expected text, got {describe(node)}{hint}")
        return ""
    if filled and not node.text.strip():
        findings.add(node.mark, f"{key}: expected some text, got {brief(node.text)}")
    return node.text


def choice_of(key: str, known: Sequence[str], values: Dictionary[str, Node], findings: Findings) -> str:
    """
    Return the text under a key if it is one of the *known* words, else nothing.
    """
    node = values.get(key)
    if node is None:
        return ""
    if isinstance(node, Scalar) and node.kind is Kind.TEXT:
        if node.text in known:
            return node.text
        got = f"{brief(node.text)}{did_you_mean(node.text, known)}"
    else:
        got = describe(node)
    findings.add(node.mark, f"{key}: expected {' or '.join(known)}, got {got}")
    return ""
