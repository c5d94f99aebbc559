"""Jobs for the measured machines: a signed model, one row per task, submitted by its service; tasks filled in bulk."""

import time
from datetime import datetime

import numpy as np
from django.db import connection, transaction
from onnx import TensorProto, helper, numpy_helper

from accounts.models import Membership
from benchmarks import world
from common.clock import database_now
from marketplace.models import Lease
from opengrid import digests, keys, manifest, messages, npy
from registry import services as registry
from registry.core import publishers
from registry.models import Blob, ModelVersion
from scheduler.models import Job
from scheduler.services import capacity, jobs

ROYALTY_MICRO = 250
LEASE_SECONDS = 60
_FILL = """
INSERT INTO scheduler_task (job_id, index, input_id, input_name, row_start, row_stop, state, reason, wanted_results,
  tie_breaks, open_executions, bought_left, claims, max_claims)
SELECT %(job)s, number, %(input)s, 'input.npy', number, number + 1, 'OPEN', '', 1, 0, 1, 1, 0, 5
FROM generate_series(0, %(count)s - 1) AS number
"""


def published(publisher: Membership, now: datetime) -> ModelVersion:
    """A small signed ONNX model with a royalty."""
    private = keys.PrivateKey.generate()
    possession = publishers.possession_document(private.public_text, publisher.pk)
    registry.register_publisher_key(
        membership=publisher,
        public_key=private.public_text,
        proof=keys.sign_document(private, publishers.CONTEXT, possession),
        now=now,
    )
    data = _linear()
    registry.store_blob(chunks=[data], limit_bytes=len(data), membership=publisher)
    described = manifest.Manifest(
        name="linear",
        version="1.0.0",
        task="classify",
        files=(
            manifest.ManifestFile(
                name="model.onnx", digest=digests.of_bytes(data), size_bytes=len(data), kind=manifest.FileKind.ONNX
            ),
        ),
        inputs=(manifest.Tensor(name="x", dtype="float32", shape=(-1, 4)),),
        outputs=(manifest.Tensor(name="y", dtype="float32", shape=(-1, 2)),),
        licence="MIT",
        royalty_micro_per_task=ROYALTY_MICRO,
        created_at=messages.timestamp(now),
        publisher_key=private.public_text,
    )
    text, signature = manifest.sign_manifest(private, described)
    return registry.publish_version(membership=publisher, manifest=text, signature=signature, now=now)


def _linear() -> bytes:
    weights = numpy_helper.from_array(np.arange(8, dtype=np.float32).reshape(4, 2), "W")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "W"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())


def stored(member: Membership, rows: int) -> messages.BlobRef:
    """An uploaded array of so many rows."""
    data = npy.dump(np.ones((rows, 4), dtype=np.float32))
    blob = registry.store_blob(chunks=[data], limit_bytes=len(data), membership=member)
    return messages.BlobRef(name="rows.npy", digest=blob.digest, size_bytes=blob.size_bytes)


def job(payer: Membership, model: ModelVersion, *, tasks: int, lots: int) -> Job:
    """A job with its hold, all its tasks and its leases. Its shards are one and the same row. Raises: TimeoutError."""
    spec = messages.JobSpec(
        name="measured",
        runner=messages.Runner.ONNX,
        model_version_id=model.pk,
        inputs=(stored(payer, tasks),),
        rows_per_task=1,
        assurance="none",
        limit_price_micro=world.PRICE_MICRO,
        max_seconds=60,
        max_parallel=max(1, lots),
    )
    shard = Blob.objects.get(digest=stored(payer, 1).digest)
    with transaction.atomic():  # a job without tasks would be over at once
        made = jobs.submit_job(membership=payer, spec=spec, now=database_now())
        fill(made, tasks, shard.pk)
        Job.objects.filter(pk=made.pk).update(state=Job.State.QUEUED, expanded_at=database_now())
    capacity.replenish(job_id=made.pk, now=database_now())
    wait_for_leases(made, lots)
    return made


def fill(made: Job, tasks: int, input_id: int) -> None:
    """Give a job its tasks, which the worker would have cut from its array."""
    with connection.cursor() as cursor:
        cursor.execute(_FILL, {"job": made.pk, "input": input_id, "count": tasks})


def wait_for_leases(made: Job, lots: int) -> None:
    """Until the matcher has leased all lots. Raises: TimeoutError."""
    end = time.monotonic() + LEASE_SECONDS
    while sum(Lease.objects.filter(reference=made.reference, state="LIVE").values_list("lots", flat=True)) < lots:
        if time.monotonic() > end:
            raise TimeoutError(f"{made} did not get {lots} lots within {LEASE_SECONDS} s")
        time.sleep(0.05)
