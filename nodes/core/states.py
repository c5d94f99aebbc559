"""The life of a node: its states and the steps between them."""

JOINED = "JOINED"
BENCHMARKED = "BENCHMARKED"
PROBATION = "PROBATION"
ACTIVE = "ACTIVE"
DRAINING = "DRAINING"
QUARANTINED = "QUARANTINED"
RETIRED = "RETIRED"

STEPS: dict[str, frozenset[str]] = {
    JOINED: frozenset({BENCHMARKED, QUARANTINED, RETIRED}),
    BENCHMARKED: frozenset({PROBATION, ACTIVE, QUARANTINED, RETIRED}),
    PROBATION: frozenset({ACTIVE, DRAINING, QUARANTINED, BENCHMARKED, RETIRED}),
    ACTIVE: frozenset({PROBATION, DRAINING, QUARANTINED, BENCHMARKED, RETIRED}),
    DRAINING: frozenset({PROBATION, ACTIVE, QUARANTINED, RETIRED}),
    QUARANTINED: frozenset({PROBATION, JOINED, RETIRED}),
    RETIRED: frozenset(),
}

WORKING = frozenset({PROBATION, ACTIVE})
"""States in which a node is given new work."""


def may_step(current: str, wanted: str) -> bool:
    """Whether a node may go from `current` to `wanted`."""
    return wanted in STEPS[current]
