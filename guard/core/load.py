"""
Policy files into the set of policies: one loader for every path that takes policies.

Pure: the caller has read the files (``guard.policyfiles``). All errors of all files are gathered before any is raised.
"""

import hashlib
import re
from collections.abc import Mapping as Dictionary
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from guard.core.clauses import read_exemption_match, read_policy_match
from guard.core.entries import choice_of, items_of, text_of, values_of
from guard.core.findings import Findings
from guard.core.policy import Act, All, Exemption, Mode, Policy, PolicySet
from guard.core.until import EXPECTED, parse_until
from guard.core.yamlnode import Kind, Mapping, Node, Scalar, brief, describe, read_yaml
from guard.errors import PolicyErrors

SECTIONS = ("policies", "exemptions")
POLICY_KEYS = ("name", "description", "mode", "match", "action")
REQUIRED_KEYS = ("name", "match")
MODES = tuple(mode.value for mode in Mode)
ACTIONS = tuple(act.value for act in Act)
EXEMPTION_KEYS = ("name", "match", "reason", "owner", "until")

NAME = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
"""The expression that a whole name fits; names stand in labels of metrics."""
NAME_LENGTH = 63

_NAME = re.compile(NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """
    What was read so far: the set, and the place of every name, by section.
    """

    zone: tzinfo
    policies: list[Policy] = field(default_factory=list)
    exemptions: list[Exemption] = field(default_factory=list)
    names: dict[tuple[str, str], str] = field(default_factory=dict)


def load(files: Sequence[tuple[str, bytes]], *, zone: tzinfo) -> PolicySet:
    """
    Return the policies and exemptions of *files*: pairs of name and content, in the order in which policies count.

    *zone* is where the bare dates of exemptions end. Raises PolicyErrors with every error of every file.
    """
    taken = _Taken(zone=zone)
    found = []
    for name, content in files:
        document = read_yaml(content)
        findings = Findings.of_file(name, document.problems)
        if document.root is not None:
            _read_file(document.root, taken, findings)
        found += findings.in_order()
    if found:
        raise PolicyErrors(found)
    return PolicySet(policies=tuple(taken.policies), exemptions=tuple(taken.exemptions))


def digest_of(files: Sequence[tuple[str, bytes]]) -> str:
    """
    Return the SHA-256, in hex, of names and contents: equal only if nothing about the files changed.
    """
    digest = hashlib.sha256()
    for name, content in files:
        encoded = name.encode(errors="surrogateescape")
        digest.update(b"%d %d " % (len(encoded), len(content)) + encoded + content)
    return digest.hexdigest()


def _read_file(root: Node, taken: _Taken, findings: Findings) -> None:
    expected = "expected a mapping with 'policies' or 'exemptions'"
    if not isinstance(root, Mapping):
        findings.add(root.mark, f"{expected}, got {describe(root)}")
        return
    sections = values_of(root, SECTIONS, findings)
    if not root.entries:
        findings.add(root.mark, f"{expected}, got an empty mapping")
    for node in items_of(sections.get("policies"), "policies", findings):
        _read_policy(node, taken, findings)
    for node in items_of(sections.get("exemptions"), "exemptions", findings):
        _read_exemption(node, taken, findings)


def _read_policy(node: Mapping, taken: _Taken, findings: Findings) -> None:
    # With any error the set is never returned, so what is wrong may be filled with anything.
    name, findings = _name(node, "policy", taken, findings)
    values = values_of(node, POLICY_KEYS, findings, required=REQUIRED_KEYS)
    taken.policies.append(
        Policy(
            name=name,
            clause=read_policy_match(values["match"], findings) if "match" in values else All(()),
            mode=Mode(choice_of("mode", MODES, values, findings) or Mode.OBSERVE),
            action=Act(choice_of("action", ACTIONS, values, findings) or Act.TERMINATE),
            description=text_of("description", values, findings),
            place=f"{findings.file}:{node.mark.line}",
        )
    )


def _read_exemption(node: Mapping, taken: _Taken, findings: Findings) -> None:
    name, findings = _name(node, "exemption", taken, findings)
    values = values_of(node, EXEMPTION_KEYS, findings, required=EXEMPTION_KEYS)
    taken.exemptions.append(
        Exemption(
            name=name,
            clause=read_exemption_match(values["match"], findings) if "match" in values else All(()),
            reason=text_of("reason", values, findings, filled=True),
            owner=text_of("owner", values, findings, filled=True),
            until_ms=_until(values, taken.zone, findings),
            place=f"{findings.file}:{node.mark.line}",
        )
    )


def _name(node: Mapping, section: str, taken: _Taken, findings: Findings) -> tuple[str, Findings]:
    """
    Return the name of a policy or an exemption, and the findings to go on with: those under its name, if it has one.
    """
    value = next((value for key, value in node.entries if key.text == "name"), None)
    if value is None:
        return "", findings
    name = text_of("name", {"name": value}, findings)
    if not isinstance(value, Scalar) or value.kind is not Kind.TEXT:
        return "", findings
    if len(name) > NAME_LENGTH or not _NAME.fullmatch(name):
        wanted = f"at most {NAME_LENGTH} small letters, digits and inner hyphens"
        findings.add(value.mark, f"name: expected {wanted}, got {brief(name)}")
        return "", findings
    findings = findings.named(name, begin=node.mark, end=node.end)
    first = taken.names.get((section, name))
    if first is None:
        taken.names[section, name] = f"{findings.file}:{value.mark.line}"
    else:
        findings.add(value.mark, f"name: another {section} has the name {name!r}, at {first}")
    return name, findings


def _until(values: Dictionary[str, Node], zone: tzinfo, findings: Findings) -> int:
    node = values.get("until")
    if node is None:
        return 0
    try:
        if not isinstance(node, Scalar) or node.kind is not Kind.TEXT:
            raise ValueError(EXPECTED)
        return parse_until(node.text, zone=zone)
    except ValueError as wrong:
        findings.add(node.mark, f"until: {wrong}, got {describe(node)}")
        return 0
