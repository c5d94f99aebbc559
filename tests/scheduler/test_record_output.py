"""Output files of a running attempt: within limits, fenced, and never after the result."""

import pytest

from common import errors
from registry import services as registry
from scheduler.models import AttemptOutput
from scheduler.services import endings, results
from tests.scheduler import world


@pytest.fixture
def given(alice, shed):
    world.start(alice, disk_mib=1)
    return shed.claim()[0]


def record(row, data, name="answer.txt"):
    blob = registry.store_blob(chunks=[data], limit_bytes=len(data))
    return results.record_output(attempt=row, name=name, blob=blob)


def test_a_name_uploaded_again_is_replaced(shed, given):
    shed.upload(given, {"answer.txt": b"first"})
    shed.upload(given, {"answer.txt": b"second"})

    assert AttemptOutput.objects.get().blob.size_bytes == 6


def test_all_files_together_stay_within_the_disk_that_the_job_asked_for(shed, given):
    half = 512 * 1024
    shed.upload(given, {"a": bytes(half)})
    record(world.attempt(given), b"1" * half, "b")

    with pytest.raises(results.TooMuchOutput, match="1048577 bytes"):
        record(world.attempt(given), b"1", "c")


def test_sixty_five_files_are_too_many(shed, given):
    for number in range(64):
        record(world.attempt(given), b"same", f"f{number}")

    with pytest.raises(results.TooMuchOutput, match="65 files"):
        record(world.attempt(given), b"same", "f64")


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", ".hidden", "-rf", "a b", "ä", "a" * 101, "a\n"])
def test_names_that_could_lead_elsewhere_are_refused(name):
    with pytest.raises(errors.Invalid):
        results.output_name(name)


def test_a_stale_token_opens_nothing(shed, barn, given):
    for machine, token in ((shed, given.token + 1), (barn, given.token)):
        with pytest.raises(results.StaleToken):
            results.attempt_of(node=machine.node, attempt_id=given.attempt_id, token=token)


def test_an_upload_that_began_before_the_result_cannot_change_what_was_signed(shed, given):
    """The slow upload passed the door while the attempt ran; its file must not replace a verified one."""
    slow = results.attempt_of(node=shed.node, attempt_id=given.attempt_id, token=given.token)
    shed.deliver(given, b"what the receipt says")

    with pytest.raises(results.StaleToken):
        record(slow, b"something else")

    assert AttemptOutput.objects.get().blob.size_bytes == len(b"what the receipt says")


def test_an_upload_for_an_attempt_that_was_taken_back_is_refused(shed, given):
    slow = results.attempt_of(node=shed.node, attempt_id=given.attempt_id, token=given.token)
    world.expire(given)
    endings.reap(now=world.database_now())

    with pytest.raises(results.StaleToken):
        record(slow, b"late")

    assert not AttemptOutput.objects.exists()
