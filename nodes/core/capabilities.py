"""What a node may sell, judged from what it claims to have measured and proved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nodes.core import reasons, states

LOT_MILLI: Final = 1000
"""One lot of class cpu: one reference core."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The claimed figures that decide. `*_milli` are milli-units of class cpu."""

    total_milli: int
    cores: int
    limit_milli: int | None
    runners: tuple[str, ...]
    sandbox_passed: bool
    is_isolated: bool
    """Network and file system were out of reach in the self-test."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whole lots that may be sold, and when there are none, why."""

    sellable_lots: int
    reason: str = ""


def judge(claim: Claim, *, limit_lots: int | None) -> Verdict:
    """min(measured, cores, the limits of agent and owner) in whole lots; 0 with its reason."""
    if not claim.sandbox_passed:
        return Verdict(0, reasons.SANDBOX_NOT_PASSED)
    if not claim.is_isolated:
        return Verdict(0, reasons.SANDBOX_NOT_ISOLATED)
    if not claim.runners:
        return Verdict(0, reasons.NO_RUNNER)
    measured = min(claim.total_milli // LOT_MILLI, claim.cores)
    if measured < 1:
        return Verdict(0, reasons.MEASURED_BELOW_ONE_LOT)
    limits = [measured]
    if claim.limit_milli is not None:
        limits.append(claim.limit_milli // LOT_MILLI)
    if limit_lots is not None:
        limits.append(limit_lots)
    lots = min(limits)
    return Verdict(lots) if lots >= 1 else Verdict(0, reasons.LIMIT_BELOW_ONE_LOT)


def working_state(*, is_validator: bool, validated_in_a_row: int, probation_validations: int) -> str:
    """PROBATION until enough results in a row were validated; a validator is past it."""
    if is_validator or validated_in_a_row >= probation_validations:
        return states.ACTIVE
    return states.PROBATION


def steps_after(state: str, *, sellable_lots: int, working: str) -> Sequence[str]:
    """States a node passes through, in order, once its record was judged; often none.

    `working` is the outcome of `working_state`. Draining, quarantined and retired nodes stay so.
    """
    if sellable_lots == 0:
        return (states.BENCHMARKED,) if state in states.WORKING else ()
    if state == states.JOINED:
        return (states.BENCHMARKED, working)
    return (working,) if state == states.BENCHMARKED else ()


def isolation_flags(
    *,
    network: bool,
    files: bool,
    seccomp: bool,
    user_namespaces_disabled: bool,
    separate_uid: bool,
    memory: str,
    processes: str,
    cpu: str,
    disk: str,
) -> list[str]:
    """The sorted words that a job's required_isolation is compared with, such as mem=cgroup2."""
    plain = {
        "net": network,
        "fs": files,
        "seccomp": seccomp,
        "userns": user_namespaces_disabled,
        "uid": separate_uid,
    }
    named = {"mem": memory, "pids": processes, "cpu": cpu, "disk": disk}
    flags = [word for word, holds in plain.items() if holds]
    flags += [f"{word}={kind}" for word, kind in named.items() if kind != "none"]
    return sorted(flags)
