"""
Short facts of a policy test into a job: what a policy calls `duration: 25h` into the readings that make it so.

The job is built so that the functions which the daemon uses find the facts that were named, and no others: what is not
named is absent or unreadable, as it is when the service leaves it out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from guard.core.clock import LONGEST_UNPROVEN_MS
from guard.core.entries import items_of, text_of
from guard.core.facts import ABSENT, UNREADABLE, WAITING_PHASES, Job, JobKey, Missing, Resource, Text, Whole
from guard.core.fields import ANNOTATION, FIELDS, FieldType, field_spec
from guard.core.findings import Findings, did_you_mean
from guard.core.operands import read_conditions
from guard.core.policytest import Subject
from guard.core.sighting import observe
from guard.core.testtimes import read_span
from guard.core.yamlnode import Kind, Listing, Mapping, Node, Scalar, brief, describe
from guard.core.yamltext import Mark

OF_RESOURCE = ("billing_code", "unit_num", "node_count", "cards", "flavor_id", "flavor_type", "accelerator")
OF_ORIGIN = ("id", "target", "region", "project")
"""Facts that can never be missing: without them the job could not have been read."""
DERIVED = {
    "total_cards": "name cards and node_count",
    "card_hours": "name cards, node_count and duration",
    "cost_rate": "name billing_code, unit_num and node_count, and the prices beside the tests",
    "cost": "name billing_code, unit_num, node_count and duration, and the prices beside the tests",
}
_UNNAMED = "not-named"


@dataclass(slots=True, kw_only=True)
class _Named:
    """
    The facts that were named, spans in milliseconds, and where; and those that are said to be unreadable.
    """

    texts: dict[str, str] = field(default_factory=dict)
    wholes: dict[str, int] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)

    def text(self, name: str, otherwise: Missing = UNREADABLE) -> Text:
        return UNREADABLE if name in self.unreadable else self.texts.get(name, otherwise)

    def whole(self, name: str) -> Whole:
        return self.wholes.get(name, UNREADABLE)

    def origin(self, name: str) -> str:
        return self.texts.get(name, _UNNAMED)


def read_facts(node: Node, findings: Findings, *, read_at_ms: int) -> Subject:
    """
    Return the job that has the named facts at *read_at_ms*; after an error it is any job.
    """
    named = _Named()
    resources: Sequence[Mapping] | None = None
    for key, value in _entries(node, findings):
        if key.text == "resources":
            resources = items_of(value, "resources", findings)
            if isinstance(value, Listing) and not value.items:
                findings.add(value.mark, "resources: expected at least one resource, got an empty list")
        elif key.text == "unreadable":
            _take_unreadable(value, named, findings)
        else:
            _take_fact(key, value, named, findings)
    parts: tuple[Resource, ...] = ()
    if resources is None:
        parts = (_resource(named, "", findings),) if any(name in named.marks for name in OF_RESOURCE) else ()
    else:
        for name in OF_RESOURCE:
            if name in named.marks:
                findings.add(named.marks[name], f"{name}: may not stand beside 'resources'; name it inside each of them")
        parts = tuple(_read_resource(one, findings) for one in resources)
    _check(named, findings)
    return _subject(named, parts, read_at_ms)


def read_origin(node: Node, findings: Findings) -> tuple[str, str, str]:
    """
    Return target, region and project of a job that the wire tells, which does not tell these.
    """
    named = _Named()
    known = ("target", "region", "project")
    for key, value in _entries(node, findings):
        if key.text in known:
            _take_fact(key, value, named, findings)
        else:
            message = f"job: beside the wire's JSON expected only {', '.join(known)}, got {brief(key.text)}"
            findings.add(key.mark, message)
    return named.origin("target"), named.origin("region"), named.origin("project")


def _entries(node: Node, findings: Findings) -> Sequence[tuple[Scalar, Node]]:
    if isinstance(node, Mapping):
        return node.entries
    findings.add(node.mark, f"job: expected a mapping of facts, got {describe(node)}")
    return ()


def _take_fact(key: Scalar, value: Node, named: _Named, findings: Findings) -> None:
    name = key.text
    spec = field_spec(name)
    if spec is None:
        hint = did_you_mean(name, (*FIELDS, "resources", "unreadable"))
        findings.add(key.mark, f"job: unknown fact {brief(name)}{hint}")
        return
    if name in DERIVED:
        findings.add(key.mark, f"{name}: follows from other facts; {DERIVED[name]}")
        return
    _mark(name, key.mark, named, findings)
    if spec.type is FieldType.SPAN:
        span_ms = read_span(name, value, findings)
        if span_ms is not None:
            named.wholes[name] = span_ms
        return
    if not isinstance(value, Scalar):
        findings.add(value.mark, f"{name}: expected {spec.type.value}, got {describe(value)}")
        return
    for condition in read_conditions(name, spec, value, findings):
        match condition.operand:
            case str(text) if text:
                named.texts[name] = text
            case int(number) if number >= 0:
                named.wholes[name] = number
            case _:
                wanted = "some text" if spec.type is FieldType.TEXT else "0 or more"
                findings.add(
                    value.mark, f"{name}: expected {wanted}, got {describe(value)}; what is not named is unreadable"
                )


def _take_unreadable(node: Node, named: _Named, findings: Findings) -> None:
    items = node.items if isinstance(node, Listing) else ()
    if not items:
        got = "an empty one" if isinstance(node, Listing) else describe(node)
        findings.add(node.mark, f"unreadable: expected a list of facts, got {got}")
    for item in items:
        name = item.text if isinstance(item, Scalar) and item.kind is Kind.TEXT else ""
        if field_spec(name) is None:
            hint = did_you_mean(name, FIELDS)
            findings.add(item.mark, f"unreadable: expected the name of a fact, got {describe(item)}{hint}")
        elif name in DERIVED or name in OF_ORIGIN:
            why = "follows from other facts" if name in DERIVED else "is never unreadable"
            findings.add(item.mark, f"unreadable: {name} {why}")
        else:
            _mark(name, item.mark, named, findings)
            named.unreadable.add(ANNOTATION if name.startswith(ANNOTATION) else name)


def _mark(name: str, mark: Mark, named: _Named, findings: Findings) -> None:
    if name in named.marks:
        findings.add(mark, f"{name}: is already said in line {named.marks[name].line}")
    named.marks.setdefault(name, mark)


def _read_resource(node: Mapping, findings: Findings) -> Resource:
    named = _Named()
    role = ""
    for key, value in node.entries:
        if key.text == "role":
            role = text_of("role", {"role": value}, findings, filled=True)
        elif key.text in OF_RESOURCE:
            _take_fact(key, value, named, findings)
        else:
            hint = did_you_mean(key.text, (*OF_RESOURCE, "role"))
            expected = f"expected one of {', '.join((*OF_RESOURCE, 'role'))}"
            findings.add(key.mark, f"resources: unknown fact {brief(key.text)}{hint}; {expected}")
    return _resource(named, role, findings)


def _resource(named: _Named, role: str, findings: Findings) -> Resource:
    return Resource(
        billing_code=named.text("billing_code"),
        unit_num=named.whole("unit_num"),
        node_count=named.whole("node_count"),
        cards_per_node=_cards_per_node(named, findings),
        flavor_id=named.text("flavor_id"),
        flavor_type=named.text("flavor_type"),
        accelerator=named.text("accelerator"),
        role=role,
    )


def _cards_per_node(named: _Named, findings: Findings) -> Whole:
    cards, nodes = named.wholes.get("cards"), named.wholes.get("node_count", 0)
    if not cards:
        return UNREADABLE if cards is None else 0
    if not nodes or cards % nodes:
        got = f"{cards} on {nodes} nodes" if nodes else f"{cards} without a node_count"
        findings.add(named.marks["cards"], f"cards: expected the same number on every node of node_count, got {got}")
        return UNREADABLE
    return cards // nodes


def _check(named: _Named, findings: Findings) -> None:
    """
    Refuse facts that no job can have at once, because what would come of them is not what was written.
    """
    waiting, duration, age = (named.wholes.get(name) for name in ("waiting", "duration", "age"))
    read = next((name for name in named.texts if name.startswith(ANNOTATION)), None)
    if read is not None and ANNOTATION in named.unreadable:
        findings.add(
            named.marks[read], f"{read}: may not stand beside an unreadable annotation: all of them are read at once"
        )
    if waiting is not None:
        if named.texts.get("phase") not in WAITING_PHASES:
            findings.add(named.marks["waiting"], "waiting: expected 'phase: Pending' or 'phase: Creating' beside it")
        if duration is not None:
            message = "duration: may not stand beside 'waiting': a job never waits and runs at once"
            findings.add(named.marks["duration"], message)
    for name, span_ms in (("waiting", waiting), ("duration", duration)):
        if span_ms is not None and age is not None and span_ms > age:
            findings.add(named.marks[name], f"{name}: expected a span no longer than the job's age")
    if duration is not None and age is None and duration > LONGEST_UNPROVEN_MS:
        message = "duration: more than a year is believed only of a job whose creation is known; name its age too"
        findings.add(named.marks["duration"], message)


def _subject(named: _Named, resources: tuple[Resource, ...], read_at_ms: int) -> Subject:
    waiting, duration, age = (named.wholes.get(name) for name in ("waiting", "duration", "age"))
    phase = UNREADABLE if "phase" in named.unreadable else named.texts.get("phase", "Running")
    # A job that waits since its creation is as old as it waits, and says by an explicit zero that it never ran.
    never_ran = waiting is not None and age in (None, waiting)
    age = waiting if age is None else age
    began_ms = UNREADABLE if duration is None or phase != "Running" else read_at_ms - duration
    annotations = {name.removeprefix(ANNOTATION): text for name, text in named.texts.items() if name.startswith(ANNOTATION)}
    job = Job(
        key=JobKey(region=named.origin("region"), project_id=named.origin("project"), job_id=named.origin("id")),
        target=named.origin("target"),
        read_at_ms=read_at_ms,
        phase=phase,
        workspace=named.text("workspace"),
        name=named.text("name"),
        user=named.text("user"),
        kind=named.text("kind"),
        description=named.text("description", ABSENT),
        engine=named.text("engine", ABSENT),
        image=named.text("image", ABSENT),
        pool_id=named.text("pool_id", ABSENT),
        annotations=UNREADABLE if ANNOTATION in named.unreadable else annotations,
        create_time_ms=UNREADABLE if age is None else read_at_ms - age,
        start_time_ms=0 if never_ran else began_ms,
        duration_ms=0 if never_ran else named.whole("duration"),
        resources=resources,
    )
    seen = observe(None, job)
    if waiting is not None and not never_ran:
        seen = replace(seen, ran=True, waiting_since_ms=read_at_ms - waiting)
    return Subject(job=job, seen=seen)
