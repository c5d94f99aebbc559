"""The verdict on a task."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.verification import Accepted, Disputed, TieBreak, Waiting, verdict


def judge(answers, wanted, tie_breaks=0, another=True):
    """Results are indexes into `answers`; equal answers agree."""
    return verdict(
        range(len(answers)),
        agree=lambda left, right: answers[left] == answers[right],
        wanted=wanted,
        tie_breaks=tie_breaks,
        another_owner_exists=lambda: another,
    )


def test_fewer_results_than_wanted_wait():
    assert judge(["a"], wanted=2) == Waiting()


def test_one_unchecked_result_is_accepted_as_it_is():
    assert judge(["a"], wanted=1) == Accepted(winners=(0,), losers=(), checked=False)


def test_two_that_agree_win():
    assert judge(["a", "a"], wanted=2) == Accepted(winners=(0, 1), losers=(), checked=True)


def test_two_that_differ_ask_a_third_owner():
    assert judge(["a", "b"], wanted=2) == TieBreak()


def test_two_that_differ_without_a_third_owner_are_disputed():
    assert judge(["a", "b"], wanted=2, another=False) == Disputed("no_third_owner")


def test_the_third_run_decides():
    assert judge(["a", "b", "a"], wanted=3, tie_breaks=1) == Accepted(winners=(0, 2), losers=(1,), checked=True)


def test_three_different_answers_are_disputed():
    assert judge(["a", "b", "c"], wanted=3, tie_breaks=1) == Disputed("no_agreement")


def test_in_a_quorum_of_five_three_must_agree():
    assert judge(["a", "a", "b", "c", "d"], wanted=5) == TieBreak()
    assert judge(["a", "a", "a", "c", "d"], wanted=5) == Accepted(winners=(0, 1, 2), losers=(3, 4), checked=True)


@given(st.lists(st.sampled_from("abc"), max_size=7), st.integers(1, 5), st.integers(0, 1), st.booleans())
def test_winners_agree_losers_do_not_and_nobody_is_forgotten(answers, bought, tie_breaks, another):
    result = judge(answers, wanted=bought + tie_breaks, tie_breaks=tie_breaks, another=another)

    if isinstance(result, Accepted):
        assert sorted(result.winners + result.losers) == list(range(len(answers)))
        assert len({answers[winner] for winner in result.winners}) == 1
        assert all(answers[loser] != answers[result.winners[0]] for loser in result.losers)
        assert len(result.winners) > bought // 2


@given(st.lists(st.sampled_from("ab"), min_size=2, max_size=6))
def test_a_single_answer_never_wins_against_another_in_a_quorum(answers):
    result = judge(answers, wanted=len(answers))

    if isinstance(result, Accepted):
        assert len(result.winners) > 1
