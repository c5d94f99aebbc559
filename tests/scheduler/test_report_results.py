"""Several results in one message: each is taken or refused for itself, small outputs travel along."""

import base64

import pytest

from opengrid import digests, messages
from registry import blobs
from registry.models import Blob
from scheduler.models import Attempt, AttemptOutput
from scheduler.services import results, verdicts
from tests.scheduler import world

ANSWERS = (b"41", b"42", b"43")


def small(machine, assignment, data=b"42", *, name="answer.txt", sent=None, **changes):
    """A result whose one output travels with it; `sent` is what travels instead."""
    output = messages.BlobRef(name=name, digest=digests.of_bytes(data), size_bytes=len(data))
    request = machine.signed(machine.receipt(assignment, [output], **changes))
    content = base64.b64encode(data if sent is None else sent).decode()
    files = (messages.SmallFile(name=name, content=content),)
    return messages.SignedResult(receipt=request.receipt, signature=request.signature, files=files)


def report(machine, *wanted):
    found = results.report_results(node=machine.node, results=wanted, now=world.database_now())
    return [outcome.attempt.state if outcome.attempt else outcome.refusal.code for outcome in found]


def kept(assignment):
    """Contents of the outputs that were noted for an attempt."""
    outputs = AttemptOutput.objects.filter(attempt_id=assignment.attempt_id).select_related("blob")
    return {output.name: blobs.read(output.blob.digest) for output in outputs}


@pytest.fixture
def given(alice, shed):
    world.start(alice, tasks=3)
    return shed.claim(3)


def test_results_are_recorded_and_their_files_kept(shed, given):
    wanted = [small(shed, task, answer) for task, answer in zip(given, ANSWERS, strict=True)]

    assert report(shed, *wanted) == ["SUBMITTED"] * 3

    assert [kept(task) for task in given] == [{"answer.txt": answer} for answer in ANSWERS]
    rows = [world.attempt(task) for task in given]
    assert [row.receipt for row in rows] == [result.receipt.document() for result in wanted]
    assert [row.result_digest for row in rows] == [
        digests.of_document([["answer.txt", digests.of_bytes(answer)]]) for answer in ANSWERS
    ]
    assert world.evidence(shed.node, "delivery") == [(True, "delivered")] * 3


def test_they_are_paid_like_any_other(shed, given):
    for task in given:
        world.age(task, 1000)
    report(shed, *[small(shed, task, answer) for task, answer in zip(given, ANSWERS, strict=True)])

    ended = [verdicts.verify_task(task_id=task.task_id, now=world.database_now()) for task in given]

    assert ended == [True] * 3
    assert [world.attempt(task).billed_micro for task in given] == [1000] * 3


def test_one_that_is_refused_does_not_keep_the_others(shed, given):
    wrong = small(shed, given[1], b"42", sent=b"24")

    assert report(shed, small(shed, given[0]), wrong, small(shed, given[2])) == [
        "SUBMITTED",
        "wrong_receipt",
        "SUBMITTED",
    ]

    assert world.attempt(given[1]).state == "RUNNING"
    assert kept(given[1]) == {}


def test_the_same_message_again_is_answered_as_before(shed, given):
    wanted = [small(shed, task, answer) for task, answer in zip(given, ANSWERS, strict=True)]
    report(shed, *wanted)
    before = list(Attempt.objects.order_by("pk").values_list("submitted_at", "metered_ms"))

    assert report(shed, *wanted) == ["SUBMITTED"] * 3

    assert list(Attempt.objects.order_by("pk").values_list("submitted_at", "metered_ms")) == before
    assert AttemptOutput.objects.count() == 3


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"token": 99}, "stale_token"),
        ({"task_id": 10**6}, "wrong_receipt"),
        ({"node_id": 10**6}, "wrong_receipt"),
        ({"attempt_id": 10**6}, "stale_token"),
        ({"exit_reason": messages.ExitReason.OOM}, "wrong_receipt"),
        ({"input_digests": ()}, "wrong_receipt"),
        ({"outputs": ()}, "wrong_receipt"),
    ],
)
def test_a_receipt_that_does_not_fit_leaves_nothing(shed, given, changes, code):
    if "outputs" in changes:
        plain = shed.signed(shed.receipt(given[0], ()))
        wanted = messages.SignedResult(receipt=plain.receipt, signature=plain.signature)
    else:
        wanted = small(shed, given[0], b"secret", **changes)

    assert report(shed, wanted) == [code]

    assert world.attempt(given[0]).state == "RUNNING"
    assert not Blob.objects.filter(digest=digests.of_bytes(b"secret")).exists()


def test_who_lost_the_task_cannot_deliver_it(shed, given):
    world.expire(given[0])

    assert report(shed, small(shed, given[0], b"late"), small(shed, given[1])) == ["stale_token", "SUBMITTED"]

    assert world.attempt(given[0]).receipt is None
    assert not Blob.objects.filter(digest=digests.of_bytes(b"late")).exists()


def test_another_nodes_attempt_is_not_taken(shed, given, alice, barn):
    assert report(barn, small(barn, given[0])) == ["stale_token"]
    assert world.attempt(given[0]).state == "RUNNING"


def test_a_signature_by_another_key_is_refused(shed, given, barn):
    receipt = small(shed, given[0]).receipt
    signed = shed.signed(receipt, barn.private)
    forged = small(shed, given[0]).model_copy(update={"signature": signed.signature})

    assert report(shed, forged) == ["wrong_receipt"]
    assert world.attempt(given[0]).state == "RUNNING"


def test_an_attempt_named_twice_is_taken_once(shed, given):
    assert report(shed, small(shed, given[0], b"1"), small(shed, given[0], b"2")) == ["SUBMITTED", "stale_token"]
    assert kept(given[0]) == {"answer.txt": b"1"}


@pytest.mark.parametrize("content", ["A", "=AAA", "QUJD="])
def test_what_is_no_base64_is_refused(shed, given, content):
    broken = messages.SmallFile.model_construct(name="answer.txt", content=content)

    assert report(shed, small(shed, given[0]).model_copy(update={"files": (broken,)})) == ["wrong_receipt"]


def test_uploaded_and_travelling_files_go_together(shed, given):
    uploaded = shed.upload(given[0], {"big.bin": b"big"})
    travelling = small(shed, given[0])
    receipt = shed.receipt(given[0], [*uploaded, *travelling.receipt.outputs])
    signed = shed.signed(receipt)
    wanted = messages.SignedResult(receipt=receipt, signature=signed.signature, files=travelling.files)

    assert report(shed, wanted) == ["SUBMITTED"]
    assert kept(given[0]) == {"big.bin": b"big", "answer.txt": b"42"}


def test_outputs_beyond_the_tasks_limit_are_refused(alice, shed):
    world.start(alice, disk_mib=1)
    task = shed.claim()[0]
    shed.upload(task, {"big.bin": bytes(1024 * 1024 - 10)})
    travelling = small(shed, task, b"more than ten bytes")
    big = messages.BlobRef(
        name="big.bin", digest=digests.of_bytes(bytes(1024 * 1024 - 10)), size_bytes=1024 * 1024 - 10
    )
    signed = shed.signed(shed.receipt(task, [big, *travelling.receipt.outputs]))
    wanted = messages.SignedResult(receipt=signed.receipt, signature=signed.signature, files=travelling.files)

    assert report(shed, wanted) == ["too_much_output"]


def test_over_http_each_result_has_its_outcome(shed, given):
    wanted = messages.ResultsRequest(results=(small(shed, given[0]), small(shed, given[1], token=99)))

    answer = shed.agent.send("POST", "/api/v1/node/results", world.as_json(wanted))

    reply = messages.ResultsReply.model_validate_json(answer.content)
    assert answer.status_code == 200
    assert [(found.attempt_id, found.state, found.code) for found in reply.outcomes] == [
        (given[0].attempt_id, "SUBMITTED", ""),
        (given[1].attempt_id, "", "stale_token"),
    ]


def test_the_number_of_statements_does_not_grow_with_the_results(shed, given, django_assert_max_num_queries):
    wanted = [small(shed, task, answer) for task, answer in zip(given, ANSWERS, strict=True)]
    with django_assert_max_num_queries(13):
        report(shed, *wanted)
