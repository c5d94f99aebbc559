"""Submitting: what is refused and with which words, what is held, and one job for one key."""

import numpy as np
import pytest

from accounts import services as accounts
from common import errors
from common.clock import database_now
from ledger.services import InsufficientFunds
from marketplace.models import Order
from nodes.models import Node
from opengrid import manifest, messages
from registry.models import ModelVersion
from scheduler.models import Job, JobEvent, Task
from scheduler.services import jobs, requests
from tests.registry import models
from tests.scheduler import world


@pytest.fixture
def version(olga, now):
    """A published model that takes float32 rows of four; 250 micro royalty."""
    return models.Publisher(olga, now).publish()


def rows(member, count=10, width=4, dtype=np.float32):
    return world.an_array(member, np.zeros((count, width), dtype=dtype))


def model_job(version, *inputs, **changes):
    fields = {
        "name": "multiply",
        "runner": messages.Runner.ONNX,
        "model_version_id": version.pk,
        "inputs": inputs,
        "rows_per_task": 4,
        "assurance": "none",
        "limit_price_micro": world.LIMIT_MICRO,
        "max_seconds": 10,
    }
    return messages.JobSpec(**(fields | changes))


def submit(member, spec, **more):
    return jobs.submit_job(membership=member, spec=spec, now=database_now(), **more)


def nothing_stored():
    return not (Job.objects.exists() or Task.objects.exists() or Order.objects.filter(side="BUY").exists())


def test_the_hold_is_the_worst_case_to_the_micro_credit(alice, shed, barn, version, balances):
    spec = model_job(version, rows(alice), assurance="quorum-2", limit_price_micro=3_600_001, max_seconds=7)

    job = submit(alice, spec)

    # 3 tasks x 2 executions x ceil(7 s x 3600001 per hour) + 3 royalties of 250
    assert job.held_micro == 3 * (2 * 7001 + 250)
    assert balances(alice.wallet, job.hold_address) == [1_000_000_000 - job.held_micro, job.held_micro]
    assert (job.state, job.executions, job.tasks_total, job.royalty_micro) == ("SUBMITTED", 2, 3, 250)


def test_a_member_without_the_credits_leaves_nothing_behind(pete, shed):
    spec = world.a_spec(pete)

    with pytest.raises(InsufficientFunds) as refused:
        submit(pete, spec, idempotency_key="once")

    assert refused.value.extra["available_micro"] == 0
    assert refused.value.extra["needed_micro"] == 20_000
    assert nothing_stored()
    assert not JobEvent.objects.exists()


def test_a_worst_case_beyond_all_credit_is_refused_not_a_crash(alice, shed):
    with pytest.raises(requests.WrongInput, match="worst case"):
        submit(alice, world.a_spec(alice, 3, limit_price_micro=2**53, max_seconds=3600))

    assert nothing_stored()


def test_the_same_key_and_contents_answer_with_the_same_job(alice, shed, balances):
    spec = world.a_spec(alice)

    first = submit(alice, spec, idempotency_key="mine")
    second = submit(alice, spec, idempotency_key="mine")

    assert first == second
    assert Job.objects.count() == 1
    assert balances(first.hold_address) == [first.held_micro]


def test_the_same_key_with_other_contents_is_refused(alice, shed):
    submit(alice, world.a_spec(alice), idempotency_key="mine")

    with pytest.raises(accounts.IdempotencyKeyReused):
        submit(alice, world.a_spec(alice), idempotency_key="mine")

    assert Job.objects.count() == 1


def test_the_same_key_of_two_members_are_two_jobs(alice, pete, bob, shed):
    world.credit(bob, pete)

    submit(alice, world.a_spec(alice), idempotency_key="mine")
    submit(pete, world.a_spec(pete), idempotency_key="mine")

    assert Job.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"memory_mib": 4096}, "memory"),
        ({"disk_mib": 60_000}, "disk"),
        ({"zones": ("moon",)}, "zone"),
        ({"tiers": ("CLOUD",)}, "tier"),
        ({"required_isolation": ("tpm",)}, "isolation"),
    ],
)
def test_a_job_that_no_node_could_run_names_what_excludes_them(alice, shed, barn, changes, constraint):
    with pytest.raises(requests.ImpossibleJob) as refused:
        submit(alice, world.a_spec(alice, **changes))

    assert refused.value.extra == {"constraints": {constraint: 2}, "nodes": 2}
    assert nothing_stored()


def test_a_quorum_needs_as_many_owners_as_executions(alice, olga, shed):
    world.Machine(olga)  # a second machine of the same owner

    with pytest.raises(requests.ImpossibleJob, match="2 different owners"):
        submit(alice, world.a_spec(alice, assurance="quorum-2"))


def test_a_validator_counts_as_another_owner(alice, olga, shed):
    Node.objects.filter(pk=world.Machine(olga).node.pk).update(is_validator=True)

    assert submit(alice, world.a_spec(alice, assurance="quorum-2")).executions == 2


def test_one_owner_on_probation_cannot_be_checked_by_anybody(alice, olga):
    world.Machine(olga, trusted=False)

    with pytest.raises(requests.ImpossibleJob, match="on probation"):
        submit(alice, world.a_spec(alice))


def test_two_owners_on_probation_check_each_other(alice, olga, pete):
    world.Machine(olga, trusted=False)
    world.Machine(pete, trusted=False)

    assert submit(alice, world.a_spec(alice)).executions == 1


def test_a_pool_without_nodes_can_run_nothing(alice):
    with pytest.raises(requests.ImpossibleJob) as refused:
        submit(alice, world.a_spec(alice))

    assert refused.value.extra["nodes"] == 0


@pytest.mark.parametrize("state", ["QUARANTINED", "RETIRED"])
def test_nodes_that_are_out_do_not_count(alice, shed, state):
    Node.objects.filter(pk=shed.node.pk).update(state=state)

    with pytest.raises(requests.ImpossibleJob):
        submit(alice, world.a_spec(alice))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bundle": None}, "takes a bundle"),
        ({"model_version_id": 1}, "no model_version_id"),
        ({"rows_per_task": 4}, "no rows_per_task"),
    ],
)
def test_runner_python_takes_a_bundle_and_nothing_else(alice, shed, changes, words):
    with pytest.raises(requests.WrongInput, match=words):
        submit(alice, world.a_spec(alice, **changes))


@pytest.mark.parametrize("changes", [{"model_version_id": None}, {"with_bundle": True}])
def test_runner_onnx_takes_a_model_and_no_bundle(alice, shed, version, changes):
    if changes.pop("with_bundle", False):
        changes["bundle"] = world.a_file(alice)

    with pytest.raises(requests.WrongInput, match="model_version_id and no bundle"):
        submit(alice, model_job(version, rows(alice), **changes))


def test_somebody_elses_file_does_not_exist(alice, pete, shed):
    with pytest.raises(errors.NotFound):
        submit(alice, world.a_spec(alice, inputs=(world.a_file(pete),)))


def test_somebody_elses_bundle_does_not_exist(alice, pete, shed):
    with pytest.raises(errors.NotFound):
        submit(alice, world.a_spec(alice, bundle=world.a_file(pete)))


def test_another_cooperatives_model_does_not_exist(alice, charlie, shed, now):
    theirs = models.Publisher(charlie, now).publish()

    with pytest.raises(errors.NotFound):
        submit(alice, model_job(theirs, rows(alice)))


def test_a_withdrawn_model_is_not_run(alice, shed, version):
    ModelVersion.objects.filter(pk=version.pk).update(withdrawn_at=database_now())

    with pytest.raises(errors.Conflict, match="withdrawn"):
        submit(alice, model_job(version, rows(alice)))


@pytest.mark.parametrize("field", ["inputs", "bundle"])
def test_a_stated_size_that_is_wrong_is_refused(alice, shed, field):
    wrong = world.a_file(alice).model_copy(update={"size_bytes": 1})

    with pytest.raises(requests.WrongInput, match="1 bytes stated"):
        submit(alice, world.a_spec(alice, **{field: (wrong,) if field == "inputs" else wrong}))


def test_two_inputs_of_one_name_are_refused(alice, shed):
    one, other = world.a_file(alice), world.a_file(alice)

    with pytest.raises(requests.WrongInput, match="same name"):
        submit(alice, world.a_spec(alice, inputs=(one, other.model_copy(update={"name": one.name}))))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda member: world.a_file(member, b"no array at all"), "does not start as a .npy"),
        (lambda member: rows(member, dtype=np.float64), "elements of float64; the model takes float32"),
        (lambda member: rows(member, width=5), r"shape \(10, 5\); the model takes \(any, 4\)"),
        (lambda member: world.an_array(member, np.zeros((4, 4, 1), np.float32)), r"shape \(4, 4, 1\)"),
        (lambda member: world.an_array(member, np.float32(1)), "at least one row"),
        (lambda member: rows(member, count=0), "at least one row"),
    ],
)
@pytest.mark.parametrize("rows_per_task", [4, None])
def test_rows_must_fit_what_the_model_takes(alice, shed, version, make, words, rows_per_task):
    with pytest.raises(requests.WrongInput, match=words):
        submit(alice, model_job(version, make(alice), rows_per_task=rows_per_task))

    assert nothing_stored()


def test_a_model_that_the_runner_cannot_feed_is_refused_before_anything_is_held(alice, olga, shed, now):
    publisher = models.Publisher(olga, now)
    weights = publisher.publish({"w.safetensors": models.safetensors()})

    with pytest.raises(requests.WrongInput, match="0 ONNX files"):
        submit(alice, model_job(weights, rows(alice)))

    assert nothing_stored()


@pytest.mark.parametrize("many", [2, 20])
def test_as_many_questions_are_asked_for_twenty_inputs_as_for_two(alice, shed, many, django_assert_num_queries):
    spec = world.a_spec(alice, many)

    with django_assert_num_queries(5):
        estimate = jobs.estimate_job(membership=alice, spec=spec)

    assert estimate.tasks_total == many


def test_the_first_file_that_is_not_ones_own_is_named(alice, olga, shed):
    own, others = world.a_file(alice, b"mine"), world.a_file(olga, b"hers")

    with pytest.raises(errors.NotFound, match=others.digest):
        submit(alice, world.a_spec(alice, inputs=(own, others)))

    assert nothing_stored()


def test_more_tasks_than_anybody_could_want_are_refused(alice, shed, version, monkeypatch):
    monkeypatch.setattr(requests, "MAX_TASKS", 2)

    with pytest.raises(requests.WrongInput, match="3 tasks; accepted are at most 2"):
        submit(alice, model_job(version, rows(alice)))


def test_the_members_own_able_node_is_enough(bob, pete):
    world.credit(bob, pete)
    world.Machine(pete, trusted=False)

    assert submit(pete, world.a_spec(pete, assurance="quorum-3")).state == "SUBMITTED"


def test_a_manifest_with_two_inputs_is_refused_by_name():
    from scheduler.core import fitting

    model = manifest.Manifest.model_construct(
        files=(manifest.ManifestFile.model_construct(name="m.onnx", kind=manifest.FileKind.ONNX),),
        inputs=models.INPUTS * 2,
    )

    assert fitting.model_refusal(model) == "the model takes 2 inputs; runner onnx feeds exactly one"
