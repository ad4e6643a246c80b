"""
Where the facts of a job are found, and tables of what is known of them: each answer depends on nothing but its key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar

from guard.core.facts import ABSENT, UNREADABLE, Bent, Fact, Growing, Job, Missing, Resource
from guard.core.fields import ANNOTATION, cards_of
from guard.core.masks import Masks

PLACES = {
    "target": "target",
    "region": "key.region",
    "project": "key.project_id",
    "workspace": "workspace",
    "kind": "kind",
    "pool_id": "pool_id",
}
"""Facts of few values, which are looked up together, and where a job has them."""
TEXTS = {
    "id": "key.job_id",
    "description": "description",
    "engine": "engine",
    "image": "image",
}
"""Facts of many values, each looked up on its own, as the user and the name are."""
SIZES = ("billing_code", "unit_num", "node_count", "cards_per_node")
"""Attributes of a resource of which money and cards are worked out."""
FLAVORS = ("flavor_id", "flavor_type", "accelerator")

MOST_KEPT = 1 << 17
"""Entries at which a table begins anew: more than the jobs that one process watches."""

Getter = Callable[[Any], Any]


Answer = TypeVar("Answer")


class Kept(dict[Any, Answer]):
    """
    A table that begins anew when it is full, so that hostile facts cannot fill the memory.
    """

    # Without slots every look-up would ask the table's own dictionary of attributes first.
    __slots__ = ()

    most = MOST_KEPT

    def keep(self, key: Any, value: Answer) -> Answer:
        """
        Return *value* after keeping it for that key.
        """
        if len(self) >= self.most:
            self.clear()
        self[key] = value
        return value


class KeptLarge(Kept[Answer]):
    """
    Such a table of large answers, of some kilobytes each.
    """

    __slots__ = ()

    most = MOST_KEPT >> 3


class KeptShort(Kept[Answer]):
    """
    A short table, of answers that cost less than to keep them for every job there is.
    """

    __slots__ = ()

    most = MOST_KEPT >> 4


@dataclass(slots=True)
class Lookups:
    """
    The masks of facts that were met.

    *places* gives the key of the facts that are looked up together, *texts* the facts that are looked up alone, with their
    tables; *by_user* and *by_name* are such tables too. *resources* gives the attributes of a resource that matter:
    ``SIZES``, and the *flavors* that are asked for.
    """

    masks: Masks
    places: Getter | None = field(init=False)
    resources: Getter = field(init=False)
    flavors: tuple[str, ...] = field(init=False)
    texts: tuple[tuple[str, Getter, Kept[int]], ...] = field(init=False)
    by_user: Kept[int] | None = field(init=False)
    by_name: Kept[int] | None = field(init=False)
    name_prefixes: tuple[tuple[str, int, int], ...] | None = field(init=False)
    by_place: Kept[int] = field(default_factory=Kept)
    _same: Kept[int] = field(default_factory=Kept)
    _by_fact: Mapping[str, Kept[int]] = field(init=False)
    _place_names: tuple[str, ...] = field(init=False)
    _resource_names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        asked = sorted(self.masks.fields)
        self._by_fact = {name: KeptShort() if name in ("name", "id") else Kept() for name in asked}
        # Of a single attribute, attrgetter gives no tuple; one more does no harm.
        self._place_names = tuple(name for name in asked if name in PLACES)
        self.places = attrgetter("target", *(PLACES[name] for name in self._place_names)) if self._place_names else None
        self._resource_names = tuple(name for name in asked if name in (*SIZES, *FLAVORS, "cards"))
        self.flavors = tuple(name for name in FLAVORS if name in asked)
        self.resources = attrgetter(*SIZES, *self.flavors)
        self.by_user, self.by_name = self._by_fact.get("user"), self._by_fact.get("name")
        # Names are as many as jobs, so a table of them mostly misses; of the usual globs none is needed.
        self.name_prefixes = self.masks.prefixes("name")
        self.texts = tuple((name, getter, self._by_fact[name]) for name in asked if (getter := _text(name)) is not None)

    def of(self, name: str, fact: Fact) -> int:
        """
        Return the mask of one fact that is asked for.
        """
        table = self._by_fact[name]
        key = Growing if isinstance(fact, Growing | Bent) else fact
        mask = table.get(key)
        if mask is None:
            made = self.masks.of(name, fact)
            # Many facts have few masks, so equal ones are one object.
            mask = table.keep(key, self._same.get(made) or self._same.keep(made, made))
        return mask

    def of_place(self, place: tuple[Any, ...]) -> int:
        """
        Return the mask of a key of *places*.
        """
        mask = self.masks.full
        for name, fact in zip(self._place_names, place[1:], strict=True):
            mask &= self.of(name, fact)
        return self.by_place.keep(place, mask)

    def of_resource(self, resource: Resource) -> int:
        """
        Return the mask of a resource.
        """
        mask = self.masks.full
        for name in self._resource_names:
            mask &= self.of(name, cards_of(resource) if name == "cards" else getattr(resource, name))
        return mask


def _text(name: str) -> Getter | None:
    if name.startswith(ANNOTATION):
        return _annotation(name.removeprefix(ANNOTATION))
    return attrgetter(TEXTS[name]) if name in TEXTS else None


def _annotation(key: str) -> Getter:
    def getter(job: Job) -> Fact:
        known = job.annotations
        return UNREADABLE if isinstance(known, Missing) else known.get(key, ABSENT)

    return getter
