"""Scores follow from the evidence alone, whoever computed them and when."""

from datetime import timedelta
from functools import partial

from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reputation import queries
from reputation import services as reputation
from reputation.models import PendingEvidence, Score

DAY = timedelta(days=1)


def test_a_newcomer_has_the_prior(node):
    assert queries.scores(node.pk) == {"correctness": 50_000, "delivery": 50_000, "uptime": 50_000}


def test_a_score_counts_what_was_recorded(fact, node, now):
    reputation.record(items=[fact(f"a{n}") for n in range(3)])

    reputation.rescore(node_ids=[node.pk], now=now)

    # the 5 % quantile of Beta(4, 1) is the fourth root of 0.05
    assert queries.scores(node.pk) == {
        "correctness": round(0.05**0.25 * 1_000_000),
        "delivery": 50_000,
        "uptime": 50_000,
    }
    assert not PendingEvidence.objects.exists()


def test_a_score_decays_towards_the_prior(fact, node, now):
    reputation.record(items=[fact(f"a{n}") for n in range(4)])
    reputation.rescore(node_ids=[node.pk], now=now)

    reputation.rescore(node_ids=[node.pk], now=now + 7 * DAY)

    # four successes count as two after one half-life: Beta(3, 1)
    assert queries.scores(node.pk)["correctness"] == round(0.05 ** (1 / 3) * 1_000_000)


def test_each_node_is_scored_by_its_own_evidence(fact, node, make_node, now):
    other, bystander = make_node(), make_node()
    reputation.record(items=[fact("a"), fact("b", success=False, node_id=other.pk), fact("c", node_id=bystander.pk)])

    reputation.rescore(node_ids=[other.pk, node.pk, other.pk], now=now)

    scores = queries.scores_of([node.pk, other.pk, bystander.pk])
    assert scores[node.pk]["correctness"] > 50_000 > scores[other.pk]["correctness"]
    assert scores[bystander.pk]["correctness"] == 50_000
    assert PendingEvidence.objects.get().node_id == bystander.pk


ROUNDS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["correctness", "delivery", "uptime"]),
            st.booleans(),
            st.timedeltas(timedelta(0), 400 * DAY),
            st.integers(1, 5000),
        ),
        max_size=8,
    ),
    max_size=4,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROUNDS)
def test_any_history_is_recomputable_from_evidence_alone_to_six_decimals(
    fact, make_node, from_evidence_alone, now, rounds
):
    node = make_node()

    for turn, facts in enumerate(rounds):
        reputation.record(
            items=[
                fact(
                    f"{node.pk}:{turn}:{n}", dimension=name, success=good, age=age, weight_milli=weight, node_id=node.pk
                )
                for n, (name, good, age, weight) in enumerate(facts)
            ]
        )
        moment = now + turn * DAY
        reputation.rescore(node_ids=[node.pk], now=moment)

        assert queries.scores(node.pk) == from_evidence_alone(node.pk, moment)


def test_evidence_a_moment_later_than_now_moves_the_moment_of_the_score(fact, node, from_evidence_alone, now):
    later = now + timedelta(milliseconds=250)
    reputation.record(items=[fact("a", at=later), fact("b", success=False)])

    reputation.rescore(node_ids=[node.pk], now=now)

    row = Score.objects.get(node=node, dimension="correctness")
    assert row.computed_at == later
    assert row.score_micro == from_evidence_alone(node.pk, later)["correctness"]


def test_time_does_not_run_backwards_for_a_score(fact, node, from_evidence_alone, now):
    reputation.rescore(node_ids=[node.pk], now=now + DAY)
    reputation.record(items=[fact("a")])

    reputation.rescore(node_ids=[node.pk], now=now)

    assert set(Score.objects.values_list("computed_at", flat=True)) == {now + DAY}
    assert queries.scores(node.pk) == from_evidence_alone(node.pk, now + DAY)


def test_rescorers_at_the_same_time_lose_nothing_and_count_nothing_twice(
    fact, node, make_node, from_evidence_alone, now, together
):
    other = make_node()

    def work(worker):
        for turn in range(6):
            with transaction.atomic():
                reputation.record(
                    items=[
                        fact(f"{worker}:{turn}", success=turn % 3 > 0),
                        fact(f"{worker}:{turn}", dimension="delivery", node_id=other.pk),
                        fact(f"shared:{turn}", dimension="uptime"),
                    ]
                )
                reputation.rescore(node_ids=[other.pk, node.pk][:: 1 if worker % 2 else -1], now=now)

    together(*(partial(work, worker) for worker in range(6)))

    assert not PendingEvidence.objects.exists()
    for each in (node, other):
        assert queries.scores(each.pk) == from_evidence_alone(each.pk, now)


def test_a_rolled_back_rescore_leaves_its_evidence_pending(fact, node, from_evidence_alone, now):
    reputation.record(items=[fact("a")])

    with transaction.atomic():
        reputation.rescore(node_ids=[node.pk], now=now)
        transaction.set_rollback(True)

    assert PendingEvidence.objects.count() == 1
    reputation.rescore(node_ids=[node.pk], now=now)
    assert queries.scores(node.pk) == from_evidence_alone(node.pk, now)
