"""Can this node carry one lot of this order, and if not, why not.

The book matches with `fits`; intake refuses impossible jobs with `summarise`; pages explain with
`exclusions`. All three are the same checks, so the explanation can never differ from the match.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from marketplace.core import wellformed


class Constraint(StrEnum):
    """What can exclude a node, in the order in which it is checked."""

    NODE = "node"
    OWNER = "owner"
    RUNNER = "runner"
    ISOLATION = "isolation"
    MEMORY = "memory"
    DISK = "disk"
    TIER = "tier"
    ZONE = "zone"


@dataclass(frozen=True, slots=True)
class Needs:
    """What one lot of a BUY order needs from the node that carries it. Sizes are MiB per lot.

    An allow-list (`tiers`, `zones`, `node_ids`) of None allows any value, an empty one allows none.
    `required_isolation` holds flags such as "mem=cgroup"; the node must show all of them.
    """

    runner: str
    memory_mib: int = 0
    disk_mib: int = 0
    required_isolation: frozenset[str] = frozenset()
    tiers: frozenset[str] | None = None
    zones: frozenset[str] | None = None
    node_ids: frozenset[str] | None = None
    excluded_owners: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        wellformed.text("runner", self.runner)
        wellformed.whole("memory_mib", self.memory_mib, minimum=0)
        wellformed.whole("disk_mib", self.disk_mib, minimum=0)
        wellformed.texts("required_isolation", self.required_isolation)
        wellformed.texts("excluded_owners", self.excluded_owners)
        for name in ("tiers", "zones", "node_ids"):
            if (allowed := getattr(self, name)) is not None:
                wellformed.texts(name, allowed)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: ints, strings, None and sorted lists."""
        return {
            "runner": self.runner,
            "memory_mib": self.memory_mib,
            "disk_mib": self.disk_mib,
            "required_isolation": sorted(self.required_isolation),
            "tiers": None if self.tiers is None else sorted(self.tiers),
            "zones": None if self.zones is None else sorted(self.zones),
            "node_ids": None if self.node_ids is None else sorted(self.node_ids),
            "excluded_owners": sorted(self.excluded_owners),
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read the JSON form back. Raises: Malformed."""
        found = dict(wellformed.keys(data, *cls.__dataclass_fields__))
        for name in ("required_isolation", "excluded_owners"):
            found[name] = wellformed.listed(name, found[name])
        for name in ("tiers", "zones", "node_ids"):
            if found[name] is not None:
                found[name] = wellformed.listed(name, found[name])
        return cls(**found)


@dataclass(frozen=True, slots=True)
class NodeFeatures:
    """What a node offers with each lot. `owner` is its operator cluster. Sizes are MiB per lot."""

    node_id: str
    owner: str
    runners: frozenset[str]
    memory_mib_per_lot: int
    disk_mib_per_lot: int
    isolation: frozenset[str]
    tier: str
    zone: str

    def __post_init__(self) -> None:
        for name in ("node_id", "owner", "tier", "zone"):
            wellformed.text(name, getattr(self, name))
        wellformed.texts("runners", self.runners)
        wellformed.texts("isolation", self.isolation)
        wellformed.whole("memory_mib_per_lot", self.memory_mib_per_lot, minimum=0)
        wellformed.whole("disk_mib_per_lot", self.disk_mib_per_lot, minimum=0)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: ints, strings and sorted lists."""
        return {
            "node_id": self.node_id,
            "owner": self.owner,
            "runners": sorted(self.runners),
            "memory_mib_per_lot": self.memory_mib_per_lot,
            "disk_mib_per_lot": self.disk_mib_per_lot,
            "isolation": sorted(self.isolation),
            "tier": self.tier,
            "zone": self.zone,
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read the JSON form back. Raises: Malformed."""
        found = dict(wellformed.keys(data, *cls.__dataclass_fields__))
        for name in ("runners", "isolation"):
            found[name] = wellformed.listed(name, found[name])
        return cls(**found)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One reason why a node cannot carry a lot: what was required and what the node has."""

    constraint: Constraint
    required: int | tuple[str, ...]
    found: int | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FitSummary:
    """How a whole fleet answers one set of needs.

    `excluded` counts, for each constraint that excludes any node, the nodes it excludes; a node
    that fails several constraints is counted under each of them.
    """

    nodes: int
    fitting: int
    excluded: Mapping[Constraint, int]


def exclusions(needs: Needs, features: NodeFeatures) -> tuple[Exclusion, ...]:
    """Every constraint of `needs` that the node does not meet, in the order of Constraint."""
    return tuple(_exclusions(needs, features))


def fits(needs: Needs, features: NodeFeatures) -> bool:
    """Whether no constraint excludes the node; stops at the first one that does."""
    return next(_exclusions(needs, features), None) is None


def summarise(needs: Needs, nodes: Iterable[NodeFeatures]) -> FitSummary:
    """Count over `nodes` which constraint excludes how many of them."""
    total = fitting = 0
    counts: Counter[Constraint] = Counter()
    for features in nodes:
        found = exclusions(needs, features)
        total += 1
        fitting += not found
        counts.update(exclusion.constraint for exclusion in found)
    excluded = {constraint: counts[constraint] for constraint in Constraint if counts[constraint]}
    return FitSummary(nodes=total, fitting=fitting, excluded=excluded)


def _exclusions(needs: Needs, features: NodeFeatures) -> Iterator[Exclusion]:
    if needs.node_ids is not None and features.node_id not in needs.node_ids:
        yield Exclusion(Constraint.NODE, tuple(sorted(needs.node_ids)), (features.node_id,))
    if features.owner in needs.excluded_owners:
        wanted = tuple(f"not {owner}" for owner in sorted(needs.excluded_owners))
        yield Exclusion(Constraint.OWNER, wanted, (features.owner,))
    if needs.runner not in features.runners:
        yield Exclusion(Constraint.RUNNER, (needs.runner,), tuple(sorted(features.runners)))
    if not needs.required_isolation <= features.isolation:
        required = tuple(sorted(needs.required_isolation))
        yield Exclusion(Constraint.ISOLATION, required, tuple(sorted(features.isolation)))
    if needs.memory_mib > features.memory_mib_per_lot:
        yield Exclusion(Constraint.MEMORY, needs.memory_mib, features.memory_mib_per_lot)
    if needs.disk_mib > features.disk_mib_per_lot:
        yield Exclusion(Constraint.DISK, needs.disk_mib, features.disk_mib_per_lot)
    if needs.tiers is not None and features.tier not in needs.tiers:
        yield Exclusion(Constraint.TIER, tuple(sorted(needs.tiers)), (features.tier,))
    if needs.zones is not None and features.zone not in needs.zones:
        yield Exclusion(Constraint.ZONE, tuple(sorted(needs.zones)), (features.zone,))
