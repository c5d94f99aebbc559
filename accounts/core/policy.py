"""The rules of a cooperative as one value: parse them strictly, compare two of them.

Amounts are micro-credits, shares are basis points, the rest are counts.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from common import versions
from common.money import BASIS_POINTS, MICRO

MOST_MICRO = 10**15
"""The largest amount a rule may name: 1,000,000,000 credits."""

SHARES = ("operator_bp", "treasury_bp", "reserve_bp", "assurance_bp")
"""Who gets what of the compute part of a bill; these four sum to 10,000 basis points."""


@dataclass(frozen=True)
class Rules:
    """What a cooperative adopted. The defaults are the rules of a new cooperative."""

    operator_bp: int = 8500
    treasury_bp: int = 800
    reserve_bp: int = 400
    assurance_bp: int = 300
    royalty_fee_bp: int = 500
    """Share of a model's royalty that goes to the treasury."""
    issuance_limit_micro: int = 1_000_000 * MICRO
    """Most credit that may be outstanding: issued and not taken back."""
    issuance_second_steward_above_micro: int = 10_000 * MICRO
    """Most that may be issued within 24 hours without a second steward."""
    probation_validations: int = 10
    """Results validated in a row until a node is trusted; 0 means no probation."""
    quarantine_rejections: int = 3
    """So many rejections among the last `quarantine_window` checks put a node into quarantine."""
    quarantine_window: int = 10
    spare_claims: int = 4
    """Extra claims of a task beyond the executions wanted, before it fails."""
    assurance_overdraft_micro: int = 1_000 * MICRO
    """How far below zero the assurance fund may go to pay for checks."""
    join_requests_open: int = 0
    """1: people with an account may ask to join; 0: invitations alone."""


@dataclass(frozen=True)
class Problem:
    """Why a rule is refused: what was found and what would be accepted."""

    code: str
    found: str
    accepted: str

    def __str__(self) -> str:
        return f"found {self.found}; accepted is {self.accepted}"


@dataclass(frozen=True)
class Change:
    """One rule that two versions disagree on."""

    rule: str
    before: int
    after: int


class RulesRefused(ValueError):
    """The rules cannot be adopted; `problems` says why, by name of the rule."""

    def __init__(self, problems: Mapping[str, Problem]) -> None:
        super().__init__("; ".join(f"{rule}: {problem}" for rule, problem in problems.items()))
        self.problems = dict(problems)


NAMES = tuple(field.name for field in fields(Rules))

_COUNTS = {
    "probation_validations": (0, 1000),
    "quarantine_rejections": (1, 1000),
    "quarantine_window": (1, 1000),
    "spare_claims": (0, 100),
    "join_requests_open": (0, 1),
}


def bounds(rule: str) -> tuple[int, int]:
    """Least and most that `rule` may be."""
    if rule in _COUNTS:
        return _COUNTS[rule]
    return (0, BASIS_POINTS) if rule.endswith("_bp") else (0, MOST_MICRO)


def parse(document: Mapping[str, Any]) -> Rules:
    """Rules from a document with exactly the names of `Rules`. Raises: RulesRefused, with every problem."""
    problems = {
        name: Problem("unknown_rule", repr(document[name]), "only rules that exist")
        for name in document
        if name not in NAMES
    }
    for name in NAMES:
        problem = _problem(name, document)
        if problem is not None:
            problems[name] = problem
    if problems:
        raise RulesRefused(problems)
    rules = Rules(**document)
    problems = _contradictions(rules)
    if problems:
        raise RulesRefused(problems)
    return rules


def stored(document: Mapping[str, Any]) -> Rules:
    """Rules of a version that was adopted: a rule that is younger than the version has its default.

    Raises: RulesRefused.
    """
    return parse(as_dict(Rules()) | dict(document))


def as_dict(rules: Rules) -> dict[str, int]:
    """The document that `parse` turns back into `rules`."""
    return asdict(rules)


def diff(before: Rules, after: Rules) -> list[Change]:
    """The rules that differ, in the order of the rule book."""
    old, new = as_dict(before), as_dict(after)
    return [Change(name, old[name], new[name]) for name in NAMES if old[name] != new[name]]


def version_of(number: int) -> str:
    """What a proposal against the version `number` names in If-Match."""
    return versions.of("policy", number)


def _problem(name: str, document: Mapping[str, Any]) -> Problem | None:
    least, most = bounds(name)
    accepted = f"a whole number from {least} to {most}"
    if name not in document:
        return Problem("missing_rule", "nothing", accepted)
    value = document[name]
    if not isinstance(value, int) or isinstance(value, bool):
        return Problem("not_a_whole_number", repr(value), accepted)
    if not least <= value <= most:
        return Problem("out_of_bounds", str(value), accepted)
    return None


def _contradictions(rules: Rules) -> dict[str, Problem]:
    problems = {}
    total = sum(getattr(rules, name) for name in SHARES)
    if total != BASIS_POINTS:
        problems["operator_bp"] = Problem(
            "shares_do_not_sum", f"{total} as the sum of the four shares", f"{BASIS_POINTS}"
        )
    if rules.quarantine_rejections > rules.quarantine_window:
        problems["quarantine_rejections"] = Problem(
            "more_than_window",
            str(rules.quarantine_rejections),
            f"at most the window of {rules.quarantine_window} checks",
        )
    return problems
