"""Results: the receipt must be the node's, of this attempt, and list what was uploaded."""

import pytest

from opengrid import digests, messages
from scheduler.models import Attempt
from scheduler.services import results, verdicts
from tests.nodes import agents
from tests.scheduler import world


@pytest.fixture
def given(alice, shed):
    world.start(alice)
    return shed.claim()[0]


@pytest.fixture
def outputs(shed, given):
    return shed.upload(given, {"answer.txt": b"42"})


def nothing_taken(given):
    row = world.attempt(given)
    return row.state == "RUNNING" and row.receipt is None and row.metered_ms is None


def test_a_result_is_metered_by_the_servers_clock_and_kept_with_its_receipt(shed, given, outputs):
    world.age(given, 2345)
    request = shed.signed(shed.receipt(given, outputs))

    shed.report(given, request)

    row = world.attempt(given)
    assert (row.state, row.metered_ms, row.progress_permille) == ("SUBMITTED", 2345, 1000)
    assert row.receipt == request.receipt.document()
    assert row.receipt_signature == request.signature
    assert row.result_digest == digests.of_document([["answer.txt", outputs[0].digest]])
    assert world.evidence(shed.node, "delivery") == [(True, "delivered")]


def test_what_takes_longer_than_the_job_allows_is_metered_at_most_to_its_limit(shed, given, outputs):
    world.age(given, 15_000)  # 10 s of work and 5 s of transfer

    shed.report(given, shed.signed(shed.receipt(given, outputs)))

    assert world.attempt(given).metered_ms == 10_000


def test_a_clock_that_was_set_back_meters_nothing_rather_than_crash(shed, given, outputs):
    world.age(given, -5_000)

    shed.report(given, shed.signed(shed.receipt(given, outputs)))

    assert world.attempt(given).metered_ms == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt_id": 2**40},
        {"task_id": 2**40},
        {"node_id": 2**40},
        {"input_digests": ()},
        {"input_digests": (digests.of_bytes(b"another input"),)},
        {"exit_reason": messages.ExitReason.OOM},
    ],
)
def test_a_receipt_that_does_not_fit_is_refused(shed, given, outputs, changes):
    with pytest.raises(results.WrongReceipt):
        shed.report(given, shed.signed(shed.receipt(given, outputs, **changes)))

    assert nothing_taken(given)


@pytest.mark.parametrize(
    "change",
    [
        lambda listed: (listed[0].model_copy(update={"digest": digests.of_bytes(b"43")}),),
        lambda listed: (listed[0].model_copy(update={"size_bytes": 3}),),
        lambda listed: (listed[0].model_copy(update={"name": "other.txt"}),),
        lambda listed: (*listed, listed[0].model_copy(update={"name": "more.txt"})),
        lambda listed: listed * 2,
    ],
)
def test_the_receipt_lists_exactly_what_was_uploaded(shed, given, outputs, change):
    with pytest.raises(results.WrongReceipt):
        shed.report(given, shed.signed(shed.receipt(given, change(outputs))))

    assert nothing_taken(given)


def test_a_receipt_without_any_upload_is_no_result(shed, given):
    with pytest.raises(results.WrongReceipt):
        shed.report(given, shed.signed(shed.receipt(given, ())))


def test_another_keys_signature_is_refused(shed, given, outputs):
    with pytest.raises(results.WrongReceipt, match="signature"):
        shed.report(given, shed.signed(shed.receipt(given, outputs), private=agents.a_key()))

    assert nothing_taken(given)


def test_a_signature_over_another_receipt_is_refused(shed, given, outputs):
    other = shed.signed(shed.receipt(given, outputs, finished_at="2026-11-21T13:00:00.000000Z"))

    with pytest.raises(results.WrongReceipt, match="signature"):
        shed.report(given, messages.ResultRequest(receipt=shed.receipt(given, outputs), signature=other.signature))

    assert nothing_taken(given)


def test_another_nodes_key_reports_nothing_here(shed, barn, given, outputs):
    receipt = barn.receipt(given, outputs)

    with pytest.raises(results.StaleToken):
        barn.report(given, barn.signed(receipt))

    assert nothing_taken(given)


def test_another_token_is_stale(shed, given, outputs):
    with pytest.raises(results.StaleToken):
        shed.report(given, shed.signed(shed.receipt(given, outputs, token=given.token + 1)))

    assert nothing_taken(given)


def test_after_the_deadline_a_result_is_stale_even_before_it_is_reaped(shed, given, outputs):
    world.expire(given)

    with pytest.raises(results.StaleToken):
        shed.report(given, shed.signed(shed.receipt(given, outputs)))

    assert nothing_taken(given)


@pytest.mark.parametrize("state", ["LOST", "CANCELLED", "FAILED"])
def test_a_result_after_the_attempt_was_taken_away_is_stale(shed, given, outputs, state):
    Attempt.objects.filter(pk=given.attempt_id).update(state=state)

    with pytest.raises(results.StaleToken):
        shed.report(given, shed.signed(shed.receipt(given, outputs)))

    assert world.attempt(given).metered_ms is None


def test_a_replay_is_answered_as_before_and_changes_nothing(shed, given, outputs):
    request = shed.signed(shed.receipt(given, outputs))
    first = shed.report(given, request)

    world.age(given, 5000)
    second = shed.report(given, request)

    assert (first.state, first.metered_ms, first.submitted_at) == (second.state, second.metered_ms, second.submitted_at)
    assert world.evidence(shed.node, "delivery") == [(True, "delivered")]


def test_a_replay_after_it_was_paid_pays_nothing_again(shed, given, outputs, balances):
    world.age(given, 1000)
    request = shed.signed(shed.receipt(given, outputs))
    shed.report(given, request)
    verdicts.verify_task(task_id=given.task_id, now=world.database_now())
    paid = balances(shed.node.operator.wallet)

    assert shed.report(given, request).state == "ACCEPTED"
    assert balances(shed.node.operator.wallet) == paid


def test_a_second_receipt_of_other_contents_is_stale(shed, given, outputs):
    shed.report(given, shed.signed(shed.receipt(given, outputs)))

    with pytest.raises(results.StaleToken):
        shed.report(given, shed.signed(shed.receipt(given, outputs, runtime_digest=digests.of_bytes(b"other"))))


@pytest.mark.parametrize("many", [1, 8])
def test_a_result_asks_as_many_questions_for_eight_files_as_for_one(shed, given, django_assert_max_num_queries, many):
    outputs = shed.upload(given, {f"f{number}": str(number).encode() for number in range(many)})
    request = shed.signed(shed.receipt(given, outputs))

    with django_assert_max_num_queries(11):
        shed.report(given, request)
