"""Expanding: the shards are the input, cut; large jobs come in batches; twice is once."""

import numpy as np
import pytest

from common.clock import database_now
from marketplace.models import Order
from opengrid import messages, npy
from registry import blobs
from scheduler.models import Job, Task
from scheduler.services import jobs
from tests.registry import models
from tests.scheduler import world

pytestmark = pytest.mark.usefixtures("shed", "barn")


def model_job(member, publisher, *arrays, **changes):
    version = models.Publisher(publisher, database_now()).publish()
    inputs = [world.an_array(member, array) for array in arrays]
    spec = messages.JobSpec(
        **{
            "name": "multiply",
            "runner": messages.Runner.ONNX,
            "model_version_id": version.pk,
            "inputs": tuple(entry.model_copy(update={"name": f"{number}.npy"}) for number, entry in enumerate(inputs)),
            "rows_per_task": 4,
            "assurance": "quorum-2",
            "limit_price_micro": world.LIMIT_MICRO,
        }
        | changes
    )
    return jobs.submit_job(membership=member, spec=spec, now=database_now())


def expand(job):
    whole = jobs.expand_job(job_id=job.pk, now=database_now())
    job.refresh_from_db()
    return whole


def test_the_shards_put_together_are_the_inputs(alice, olga):
    arrays = [np.arange(40, dtype=np.float32).reshape(10, 4), -np.arange(20, dtype=np.float32).reshape(5, 4)]
    job = model_job(alice, olga, *arrays)

    assert expand(job)

    tasks = list(Task.objects.filter(job=job).order_by("index").select_related("input"))
    parts = [npy.load(blobs.read(task.input.digest)) for task in tasks]
    assert [(task.row_start, task.row_stop) for task in tasks] == [(0, 4), (4, 8), (8, 10), (0, 4), (4, 5)]
    assert np.array_equal(np.concatenate(parts), np.concatenate(arrays))
    assert {(task.wanted_results, task.open_executions, task.bought_left, task.max_claims) for task in tasks} == {
        (2, 2, 2, 6)
    }
    assert {task.input_name for task in tasks} == {"input.npy"}


def test_the_expanded_job_is_queued_and_asks_the_market_once(alice, olga):
    job = model_job(alice, olga, np.zeros((10, 4), np.float32), max_parallel=5)

    expand(job)
    assert not expand(job)

    assert job.state == "QUEUED"
    assert Task.objects.filter(job=job).count() == 3
    (order,) = Order.objects.filter(reference=job.reference)
    # six executions, five at once; with two owners no owner carries more than three of them
    assert (order.lots, order.max_lots_per_owner, order.price_micro) == (5, 3, world.LIMIT_MICRO)
    assert order.needs["runner"] == "onnx"


def test_without_rows_per_task_a_file_is_a_task(alice):
    job = world.submit(alice, 3)

    expand(job)

    tasks = list(Task.objects.filter(job=job).order_by("index").values_list("input__digest", "input_name"))
    assert tasks == [(entry.digest, entry.name) for entry in job.request.inputs]


@pytest.mark.parametrize("batch", [1, 2, 4, 5])
def test_a_large_job_is_cut_in_batches_and_no_market_hears_of_half_a_job(alice, olga, monkeypatch, batch):
    monkeypatch.setattr(jobs, "EXPAND_BATCH", batch)
    job = model_job(alice, olga, np.zeros((10, 4), np.float32), np.ones((5, 4), np.float32))

    calls = 0
    while job.state == "SUBMITTED":
        calls += 1
        assert expand(job) == (job.state == "QUEUED")
        assert Order.objects.filter(reference=job.reference).exists() == (job.state == "QUEUED")

    assert calls == -(-5 // batch)
    assert list(Task.objects.filter(job=job).order_by("index").values_list("index", flat=True)) == [0, 1, 2, 3, 4]
    assert world.reasons(job).count("job_expanded") == 1


def test_a_job_cancelled_while_half_cut_is_over(alice, monkeypatch, balances):
    monkeypatch.setattr(jobs, "EXPAND_BATCH", 2)
    job = world.submit(alice, 5)
    expand(job)

    jobs.cancel_job(job=job, by=alice, now=database_now())

    assert not expand(job)
    assert job.closed_at is not None
    assert Task.objects.filter(job=job, state="CANCELLED").count() == 2
    assert balances(job.hold_address, alice.wallet) == [0, 1_000_000_000]


def test_a_job_that_cannot_be_cut_does_not_keep_the_others_waiting(alice, store, caplog):
    from scheduler import tasks

    broken, whole = world.submit(alice), world.submit(alice)
    Job.objects.filter(pk=broken.pk).update(spec={"name": "no job"})

    tasks.drain()

    whole.refresh_from_db()
    broken.refresh_from_db()
    assert (broken.state, whole.state) == ("SUBMITTED", "QUEUED")
    assert "the others go on" in caplog.text
