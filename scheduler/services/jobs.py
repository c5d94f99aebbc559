"""A job from submission to its end: validate and hold, expand into tasks, cancel, finish."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts import queries as accounts
from accounts import services as account_services
from accounts.models import Membership
from common import errors, jobs, live, locks
from common.words import said as _
from ledger import services as ledger
from marketplace import queries as market_queries
from marketplace import services as market
from nodes import queries as nodes
from opengrid import npy
from opengrid.manifest import Manifest
from opengrid.messages import JobSpec, Runner
from registry import blobs
from registry import queries as registry
from registry import services as registry_services
from registry.models import Blob, ModelVersion
from scheduler.core import assurance, fitting, metering, sharding
from scheduler.models import Attempt, Job, Task
from scheduler.services import capacity, timeline

MAX_TASKS = 100_000
MAX_HELD_MICRO = 2**53
RESOURCE_CLASS = "cpu"
EXPAND_BATCH = 500


class ImpossibleJob(errors.Invalid):
    """No node of the pool could ever run this; `constraints` says what excludes how many."""

    code = "impossible_job"
    title = _("No node of this pool could ever run this job")


class WrongInput(errors.Invalid):
    """The inputs do not fit the runner or the model."""

    code = "wrong_input"
    title = _("The inputs do not fit what the job asks for")


class AlreadyFinished(errors.Conflict):
    """The job has ended."""

    code = "job_already_finished"
    title = _("This job has already ended")


@dataclass(frozen=True)
class _Plan:
    """What validation found out about a request."""

    model_version: ModelVersion | None
    bundle: Blob | None
    executions: int
    tasks: int


@dataclass(frozen=True)
class Estimate:
    """What a job would need. `held_micro` is its worst case."""

    tasks_total: int
    executions: int
    held_micro: int
    nodes_able: int
    nodes_total: int


@transaction.atomic
def submit_job(*, membership: Membership, spec: JobSpec, now: datetime, idempotency_key: str | None = None) -> Job:
    """Validate a job, hold its worst case and take it in.

    1. The same idempotency key answers with the job it made before.
    2. Inputs, model and runner must fit; a job that no node could ever run is refused with the reason.
    3. The hold: tasks x max seconds x limit price x executions bought + royalty x tasks.
    4. Expansion into tasks and the BUY order follow in the worker.

    Raises: WrongInput, ImpossibleJob, IdempotencyKeyReused, ledger InsufficientFunds, errors.NotFound.
    """
    earlier = _earlier(membership, idempotency_key, spec)
    if earlier is not None:
        return earlier
    plan = _validate(membership, spec)
    refuse_impossible(membership, spec)
    policy_number, _ = accounts.current_policy(membership.cooperative_id)
    held = _held(membership, spec, plan)
    royalty = _royalty(plan)
    try:
        with transaction.atomic():
            job = Job.objects.create(
                cooperative=membership.cooperative,
                submitter=membership,
                idempotency_key=idempotency_key,
                name=spec.name,
                runner=spec.runner,
                model_version=plan.model_version,
                bundle=plan.bundle,
                spec=spec.document(),
                assurance=spec.assurance,
                executions=plan.executions,
                limit_price_micro=spec.limit_price_micro,
                max_seconds=spec.max_seconds,
                royalty_micro=royalty,
                policy_number=policy_number,
                tasks_total=plan.tasks,
                held_micro=held,
            )
    except IntegrityError:
        earlier = _earlier(membership, idempotency_key, spec)
        if earlier is None:
            raise
        return earlier
    ledger.hold(
        payer=membership.wallet,
        hold_address=job.hold_address,
        amount_micro=held,
        key=f"job:{job.pk}:hold",
        reason=spec.name,
    )
    live.publish(f"wallet.{membership.pk}")
    timeline.note(job, "job_submitted", tasks=plan.tasks, held_micro=held)
    jobs.enqueue("scheduler.tasks.expand_job", job_id=job.pk)
    return job


def estimate_job(*, membership: Membership, spec: JobSpec) -> Estimate:
    """What submitting the job would hold, and who could run it. Submits and holds nothing.

    Raises: WrongInput, ImpossibleJob, errors.NotFound.
    """
    plan = _validate(membership, spec)
    refuse_impossible(membership, spec)
    ability = market_queries.nodes_able(membership.cooperative, capacity.needs_of(spec))
    return Estimate(
        tasks_total=plan.tasks,
        executions=plan.executions,
        held_micro=_held(membership, spec, plan),
        nodes_able=len(ability.able),
        nodes_total=ability.nodes_total,
    )


def _royalty(plan: _Plan) -> int:
    return plan.model_version.royalty_micro if plan.model_version else 0


def _held(membership: Membership, spec: JobSpec, plan: _Plan) -> int:
    """The worst case, in micro-credits. Raises: WrongInput."""
    held = metering.worst_case(
        tasks=plan.tasks,
        executions=plan.executions,
        max_seconds=spec.max_seconds,
        limit_price_micro=spec.limit_price_micro,
        quantity_milli=market.book_for(membership.cooperative, RESOURCE_CLASS).resource_class.lot_milli,
        royalty_micro=_royalty(plan),
    )
    if held > MAX_HELD_MICRO:
        raise WrongInput(
            _(
                "the worst case costs %(held)s micro-credits; accepted are at most %(max_held_micro)s",
                held=held,
                max_held_micro=MAX_HELD_MICRO,
            )
        )
    return held


def refuse_impossible(membership: Membership, spec: JobSpec) -> None:
    """Refuse a job that no node of the pool could ever run.

    One able node of the member's own is enough; otherwise there must be as many owners as the job buys
    executions, and two where every able node is on probation. Raises: ImpossibleJob.
    """
    ability = market_queries.nodes_able(membership.cooperative, capacity.needs_of(spec))
    if any(node.operator.user_id == membership.user_id for node in ability.able):
        return
    owners = {nodes.execution_owner(node) for node in ability.able}
    owners_needed, why = assurance.executions(spec.assurance), ""
    if ability.able and owners_needed == 1 and all(nodes.is_on_probation(node) for node in ability.able):
        owners_needed, why = 2, _(": the nodes are on probation, where another owner checks each result")
    if len(owners) < owners_needed:
        raise ImpossibleJob(
            _(
                "%(able)s of %(nodes_total)s nodes, of %(owners)s owners, could run it; needed are "
                "nodes of %(owners_needed)s different owners%(why)s",
                able=len(ability.able),
                nodes_total=ability.nodes_total,
                owners=len(owners),
                owners_needed=owners_needed,
                why=why,
            ),
            extra={"constraints": dict(ability.excluded), "nodes": ability.nodes_total},
        )


def _earlier(membership: Membership, key: str | None, spec: JobSpec) -> Job | None:
    if key is None:
        return None
    job = Job.objects.filter(submitter=membership, idempotency_key=key).first()
    if job is not None and job.spec != spec.document():
        raise account_services.IdempotencyKeyReused(
            _("job %(job)s was submitted under this key with other contents", job=job.pk)
        )
    return job


def _validate(membership: Membership, spec: JobSpec) -> _Plan:
    inputs = [registry.usable_blob(membership, ref.digest) for ref in spec.inputs]
    for ref, blob in zip(spec.inputs, inputs, strict=True):
        if ref.size_bytes != blob.size_bytes:
            raise WrongInput(
                _(
                    "%(name)s: %(size_bytes)s bytes stated, %(size_bytes_2)s bytes stored",
                    name=ref.name,
                    size_bytes=ref.size_bytes,
                    size_bytes_2=blob.size_bytes,
                )
            )
    if len({ref.name for ref in spec.inputs}) != len(spec.inputs):
        raise WrongInput(_("two inputs have the same name"))
    version, bundle, model = None, None, None
    if spec.runner is Runner.ONNX:
        if spec.model_version_id is None or spec.bundle is not None:
            raise WrongInput(_("runner onnx takes model_version_id and no bundle"))
        version = registry.runnable_version(membership.cooperative_id, spec.model_version_id)
        model = registry.manifest_of(version)
        _refuse_if(fitting.model_refusal(model), model.name)
    else:
        if spec.bundle is None or spec.model_version_id is not None or spec.rows_per_task is not None:
            raise WrongInput(_("runner python takes a bundle, no model_version_id and no rows_per_task"))
        bundle = registry.usable_blob(membership, spec.bundle.digest)
        if spec.bundle.size_bytes != bundle.size_bytes:
            raise WrongInput(
                _(
                    "bundle: %(size_bytes)s bytes stated, %(size_bytes_2)s bytes stored",
                    size_bytes=spec.bundle.size_bytes,
                    size_bytes_2=bundle.size_bytes,
                )
            )
    tasks = sum(_count_tasks(spec, model, blob, ref.name) for ref, blob in zip(spec.inputs, inputs, strict=True))
    if tasks > MAX_TASKS:
        raise WrongInput(_("%(tasks)s tasks; accepted are at most %(max_tasks)s", tasks=tasks, max_tasks=MAX_TASKS))
    return _Plan(version, bundle, assurance.executions(spec.assurance), tasks)


def _count_tasks(spec: JobSpec, model: Manifest | None, blob: Blob, name: str) -> int:
    if model is None:
        return 1
    header = _array_header(blob, name)
    _refuse_if(fitting.rows_refusal(header.dtype_name, header.shape, model), name)
    if spec.rows_per_task is None:
        return 1
    return sharding.count(header.shape[0], spec.rows_per_task)


def _refuse_if(refusal: str | None, name: str) -> None:
    if refusal is not None:
        raise WrongInput(_("%(name)s: %(refusal)s", name=name, refusal=refusal))


def _array_header(blob: Blob, name: str) -> npy.Header:
    try:
        with blobs.open_blob(blob.digest) as file:
            header = npy.read_header(file)
    except npy.NpyRefused as error:
        raise WrongInput(_("%(name)s: %(error)s", name=name, error=error)) from error
    if not header.shape or header.shape[0] == 0:
        raise WrongInput(
            _(
                "%(name)s: an array of shape %(shape)s; accepted is one with at least one row",
                name=name,
                shape=header.shape,
            )
        )
    return header


@transaction.atomic
def expand_job(*, job_id: int, now: datetime) -> bool:
    """Cut the next EXPAND_BATCH tasks of a submitted job; once all are there, place its BUY order.

    A large job takes several calls, each short, and each announces the next. Safe to run twice.
    Returns whether this call completed the job's tasks.
    """
    job = _locked(job_id)
    if job.state != Job.State.SUBMITTED:
        return False
    made = Task.objects.filter(job=job).count()
    made += len(Task.objects.bulk_create(itertools.islice(_drafts(job, made), EXPAND_BATCH)))
    if made < job.tasks_total:
        jobs.enqueue("scheduler.tasks.expand_job", job_id=job.pk)
        return False
    job.state = Job.State.QUEUED
    job.expanded_at = now
    job.save(update_fields=["state", "expanded_at"])
    timeline.note(job, "job_expanded", tasks=made)
    capacity.buy_missing(job, now=now)
    for node_id in nodes.operated_by_person(job.submitter.user_id, job.cooperative_id):
        live.wake_node(node_id)
    return True


def _drafts(job: Job, made: int) -> Iterator[Task]:
    """The job's tasks in order, not saved, from number `made` on; their shards are stored as they are asked for."""
    spec = job.request
    rules = accounts.policy(job.cooperative_id, job.policy_number)
    draft: dict[str, Any] = {
        "job": job,
        "wanted_results": job.executions,
        "open_executions": job.executions,
        "bought_left": job.executions,
        "max_claims": job.executions + rules.spare_claims,
    }
    stored = Blob.objects.in_bulk([ref.digest for ref in spec.inputs], field_name="digest")
    if spec.rows_per_task is None:
        for index, ref in enumerate(spec.inputs[made:], start=made):
            yield Task(index=index, input=stored[ref.digest], input_name=ref.name, **draft)
        return
    first = 0
    for ref in spec.inputs:
        blob = stored[ref.digest]
        header = _array_header(blob, ref.name)
        shards = sharding.shards(header.shape[0], spec.rows_per_task)
        with blobs.open_blob(blob.digest) as file:
            for index, shard in enumerate(shards, start=first):
                if index < made:
                    continue
                part = registry_services.store_blob(
                    chunks=npy.slice_rows(file, header, shard.start, shard.stop), limit_bytes=blob.size_bytes + 4096
                )
                yield Task(
                    index=index,
                    input=part,
                    input_name="input.npy",
                    row_start=shard.start,
                    row_stop=shard.stop,
                    **draft,
                )
        first += sharding.count(header.shape[0], spec.rows_per_task)


@transaction.atomic
def cancel_job(*, job: Job, by: Membership, now: datetime) -> Job:
    """Stop a job: tasks that nobody has begun are cancelled, those that are out are finished and paid.

    Raises: errors.Forbidden, AlreadyFinished.
    """
    job = _locked(job.pk)
    if job.submitter_id != by.pk:
        raise errors.Forbidden(_("only the member who submitted a job can cancel it"))
    if job.finished_at is not None:
        raise AlreadyFinished(_("the job is %(state)s", state=job.state))
    cancelled = _cancel_waiting(job, now=now)
    market.cancel_orders_of(reference=job.reference)
    job.state = Job.State.CANCELLED
    job.reason = "cancelled_by_member"
    job.finished_at = now
    job.save(update_fields=["state", "reason", "finished_at"])
    timeline.note(job, "job_cancelled", tasks_cancelled=cancelled)
    _close_if_over(job, now=now)
    return job


@transaction.atomic
def finish_if_over(*, job_id: int, now: datetime) -> bool:
    """End a job whose tasks have all ended: state, remainder of the hold, leases, orders. Safe to run twice.

    Of a cancelled job it also cancels tasks that came back from the node that had them.
    """
    job = _locked(job_id)
    if job.state == Job.State.CANCELLED and job.closed_at is None:
        _cancel_waiting(job, now=now)
    return _close_if_over(job, now=now)


def _locked(job_id: int) -> Job:
    """The job's row, locked. Who holds it waits for no task: tasks are locked before their job."""
    return Job.objects.select_for_update(no_key=True).get(pk=job_id)


def _cancel_waiting(job: Job, *, now: datetime) -> int:
    """Cancel the open tasks that nobody has begun. One that is locked is changing hands: it is left for later."""
    begun = Q(attempts__state__in=[Attempt.State.RUNNING, Attempt.State.SUBMITTED])
    found = Task.objects.filter(job=job, state=Task.State.OPEN).exclude(begun).values("pk")
    free = Task.objects.select_for_update(no_key=True, skip_locked=True).filter(pk__in=found)
    ids = list(free.values_list("pk", flat=True))
    # A claim may have slipped in between finding and locking: look again under the lock.
    ids = list(Task.objects.filter(pk__in=ids, state=Task.State.OPEN).exclude(begun).values_list("pk", flat=True))
    return Task.objects.filter(pk__in=ids).update(
        state=Task.State.CANCELLED, reason="cancelled_by_member", open_executions=0, finished_at=now
    )


def _close_if_over(job: Job, *, now: datetime) -> bool:
    if job.closed_at is not None or (job.expanded_at is None and job.state != Job.State.CANCELLED):
        return False
    if Task.objects.filter(job=job, state=Task.State.OPEN).exists():
        return False
    locks.lock(locks.Space.JOB, [job.pk])
    if job.finished_at is None:
        failed = Task.objects.filter(job=job, state=Task.State.FAILED).count()
        job.state = Job.State.FAILED if failed else Job.State.DONE
        job.reason = "tasks_failed" if failed else ""
        job.finished_at = now
    job.closed_at = now
    job.save(update_fields=["state", "reason", "finished_at", "closed_at"])
    returned = ledger.release(
        payer=job.submitter.wallet, hold_address=job.hold_address, key=f"job:{job.pk}:release", reason=job.name
    )
    capacity.give_back(job, now=now)
    live.publish(f"wallet.{job.submitter_id}")
    timeline.note(job, f"job_{job.state.lower()}", returned_micro=returned)
    return True
