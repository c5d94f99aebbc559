"""What may be sold is the least of all limits, in whole lots, and nothing without a passed self-test."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.core import capabilities, reasons, states

naturals = st.integers(0, 10**9)
claims = st.builds(
    capabilities.Claim,
    total_milli=naturals,
    cores=st.integers(1, 10_000),
    limit_milli=st.none() | st.integers(1, 10**9),
    runners=st.sampled_from([(), ("onnx",), ("onnx", "python")]),
    sandbox_passed=st.booleans(),
    is_isolated=st.booleans(),
)
limits = st.none() | st.integers(1, 10_000)
HEALTHY = capabilities.Claim(4200, 4, None, ("onnx",), sandbox_passed=True, is_isolated=True)


@given(claims, limits)
def test_no_more_is_sold_than_any_limit_allows(claim, limit_lots):
    lots = capabilities.judge(claim, limit_lots=limit_lots).sellable_lots

    assert lots * capabilities.LOT_MILLI <= claim.total_milli
    assert lots <= claim.cores
    assert claim.limit_milli is None or lots * capabilities.LOT_MILLI <= claim.limit_milli
    assert limit_lots is None or lots <= limit_lots


@given(claims, limits)
def test_a_healthy_claim_sells_exactly_the_least_limit(claim, limit_lots):
    healthy = dataclasses.replace(claim, sandbox_passed=True, is_isolated=True, runners=("onnx",))

    lots = capabilities.judge(healthy, limit_lots=limit_lots).sellable_lots

    others = [value for value in (limit_lots, claim.limit_milli and claim.limit_milli // 1000) if value is not None]
    assert lots == min([claim.total_milli // 1000, claim.cores, *others])


@given(claims, limits)
def test_there_is_a_reason_exactly_when_nothing_is_sold(claim, limit_lots):
    verdict = capabilities.judge(claim, limit_lots=limit_lots)

    assert bool(verdict.reason) == (verdict.sellable_lots == 0)


@given(claims, limits)
def test_without_a_passed_and_isolated_sandbox_nothing_is_sold(claim, limit_lots):
    verdict = capabilities.judge(claim, limit_lots=limit_lots)

    if not (claim.sandbox_passed and claim.is_isolated):
        assert verdict.sellable_lots == 0


@pytest.mark.parametrize(
    ("changes", "limit_lots", "reason"),
    [
        ({"sandbox_passed": False}, None, reasons.SANDBOX_NOT_PASSED),
        ({"is_isolated": False}, None, reasons.SANDBOX_NOT_ISOLATED),
        ({"runners": ()}, None, reasons.NO_RUNNER),
        ({"total_milli": 999}, None, reasons.MEASURED_BELOW_ONE_LOT),
        ({"limit_milli": 999}, None, reasons.LIMIT_BELOW_ONE_LOT),
    ],
)
def test_the_reason_names_what_is_missing(changes, limit_lots, reason):
    verdict = capabilities.judge(dataclasses.replace(HEALTHY, **changes), limit_lots=limit_lots)

    assert verdict == capabilities.Verdict(0, reason)


@given(
    st.sampled_from(sorted(states.STEPS)),
    st.integers(0, 5),
    st.sampled_from([states.PROBATION, states.ACTIVE]),
)
def test_every_step_that_follows_is_in_the_table_of_states(state, lots, working):
    current = state
    for to_state in capabilities.steps_after(state, sellable_lots=lots, working=working):
        assert states.may_step(current, to_state)
        current = to_state

    assert lots > 0 or current not in states.WORKING


@given(st.booleans(), st.integers(0, 30), st.integers(0, 30))
def test_probation_lasts_until_enough_validations_in_a_row(is_validator, validated, wanted):
    state = capabilities.working_state(
        is_validator=is_validator, validated_in_a_row=validated, probation_validations=wanted
    )

    assert (state == states.ACTIVE) == (is_validator or validated >= wanted)


def test_isolation_flags_name_only_what_holds():
    flags = capabilities.isolation_flags(
        network=True,
        files=True,
        seccomp=False,
        user_namespaces_disabled=False,
        separate_uid=True,
        memory="cgroup2",
        processes="none",
        cpu="none",
        disk="soft",
    )

    assert flags == ["disk=soft", "fs", "mem=cgroup2", "net", "uid"]
