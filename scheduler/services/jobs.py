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
from opengrid.messages import JobSpec
from registry import blobs
from registry import services as registry_services
from registry.models import Blob
from scheduler.core import sharding
from scheduler.models import Attempt, Job, Task
from scheduler.services import capacity, requests, timeline

EXPAND_BATCH = 500


class AlreadyFinished(errors.Conflict):
    """The job has ended."""

    code = "job_already_finished"
    title = _("This job has already ended")


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
    plan = requests.validate(membership, spec)
    requests.refuse_impossible(membership, spec)
    policy_number, _ = accounts.current_policy(membership.cooperative_id)
    held = requests.held_micro(membership, spec, plan)
    royalty = requests.royalty_micro(plan)
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
                max_parallel=spec.max_parallel,
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
    plan = requests.validate(membership, spec)
    requests.refuse_impossible(membership, spec)
    ability = market_queries.nodes_able(membership.cooperative, capacity.needs_of(spec))
    return Estimate(
        tasks_total=plan.tasks,
        executions=plan.executions,
        held_micro=requests.held_micro(membership, spec, plan),
        nodes_able=len(ability.able),
        nodes_total=ability.nodes_total,
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
        header = requests.array_header(blob, ref.name)
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
