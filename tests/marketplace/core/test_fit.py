"""Which node can carry which lot, and the explanation when none can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core import fit
from marketplace.core.fit import Constraint, Exclusion, Needs, NodeFeatures
from marketplace.core.wellformed import Malformed
from tests.marketplace.core import auditor
from tests.marketplace.core.samples import features

WORDS = st.sampled_from(["a", "b", "c"])
SETS = st.frozensets(WORDS)
ALLOWED = st.none() | SETS
SIZES = st.integers(0, 3)
NEEDS = st.builds(Needs, WORDS, SIZES, SIZES, SETS, ALLOWED, ALLOWED, ALLOWED, SETS)
FEATURES = st.builds(NodeFeatures, WORDS, WORDS, SETS, SIZES, SIZES, SETS, WORDS, WORDS)


def test_each_exclusion_names_what_was_required_and_what_was_found() -> None:
    needs = Needs(
        runner="wasm",
        memory_mib=4096,
        disk_mib=8192,
        required_isolation=frozenset({"mem=cgroup", "net=none", "seccomp=on"}),
        tiers=frozenset({"regional", "cloud"}),
        zones=frozenset({"fr-east"}),
        node_ids=frozenset({"n7"}),
        excluded_owners=frozenset({"olga"}),
    )

    assert fit.exclusions(needs, features("n1", "olga")) == (
        Exclusion(Constraint.NODE, ("n7",), ("n1",)),
        Exclusion(Constraint.OWNER, ("not olga",), ("olga",)),
        Exclusion(Constraint.RUNNER, ("wasm",), ("onnx", "python")),
        Exclusion(
            Constraint.ISOLATION,
            ("mem=cgroup", "net=none", "seccomp=on"),
            ("mem=cgroup", "net=none"),
        ),
        Exclusion(Constraint.MEMORY, 4096, 2048),
        Exclusion(Constraint.DISK, 8192, 4096),
        Exclusion(Constraint.TIER, ("cloud", "regional"), ("community",)),
        Exclusion(Constraint.ZONE, ("fr-east",), ("de-north",)),
    )


def test_sizes_that_are_just_enough_fit() -> None:
    assert fit.fits(Needs("onnx", memory_mib=2048, disk_mib=4096), features())
    assert not fit.fits(Needs("onnx", memory_mib=2049), features())
    assert not fit.fits(Needs("onnx", disk_mib=4097), features())


def test_no_allow_list_allows_everything_and_an_empty_one_nothing() -> None:
    assert fit.fits(Needs("onnx", tiers=None, zones=None, node_ids=None), features())
    for name in ("tiers", "zones", "node_ids"):
        assert not fit.fits(Needs("onnx", **{name: frozenset()}), features())


def test_a_summary_counts_the_nodes_that_each_constraint_excludes() -> None:
    fleet = [
        features("n1"),
        features("n2", memory_mib_per_lot=512),
        features("n3", memory_mib_per_lot=512, zone="fr-east"),
    ]

    summary = fit.summarise(Needs("onnx", memory_mib=1024, zones=frozenset({"de-north"})), fleet)

    assert (summary.nodes, summary.fitting) == (3, 1)
    assert summary.excluded == {Constraint.MEMORY: 2, Constraint.ZONE: 1}


def test_a_summary_of_no_nodes_excludes_none() -> None:
    assert fit.summarise(Needs("onnx"), []) == fit.FitSummary(nodes=0, fitting=0, excluded={})


@given(NEEDS, FEATURES)
def test_a_node_fits_exactly_when_nothing_excludes_it(needs: Needs, node: NodeFeatures) -> None:
    excluded = fit.exclusions(needs, node)

    assert fit.fits(needs, node) == (not excluded) == auditor.carries(node, needs)
    assert len({exclusion.constraint for exclusion in excluded}) == len(excluded)


@given(NEEDS, st.lists(FEATURES, max_size=6))
def test_a_summary_is_the_sum_of_the_exclusions(needs: Needs, fleet: list[NodeFeatures]) -> None:
    summary = fit.summarise(needs, fleet)

    found = [exclusion.constraint for node in fleet for exclusion in fit.exclusions(needs, node)]
    assert summary.excluded == {constraint: found.count(constraint) for constraint in set(found)}
    assert summary.nodes == len(fleet)
    assert summary.fitting == sum(fit.fits(needs, node) for node in fleet)


@pytest.mark.parametrize(
    "wrong",
    [
        {"runner": ""},
        {"memory_mib": -1},
        {"memory_mib": 1.5},
        {"disk_mib": True},
        {"tiers": {"cloud"}},
        {"zones": frozenset({1})},
        {"required_isolation": None},
    ],
    ids=str,
)
def test_malformed_needs_are_an_error(wrong: dict[str, object]) -> None:
    with pytest.raises(Malformed, match=next(iter(wrong))):
        Needs(**{"runner": "onnx", **wrong})


def test_malformed_features_are_an_error() -> None:
    with pytest.raises(Malformed, match="memory_mib_per_lot"):
        features(memory_mib_per_lot=-1)
