"""A request before it is a job: do its parts fit each other, could any node run it, what does it cost at worst?"""

from dataclasses import dataclass

from accounts.models import Membership
from common import errors
from common.words import said as _
from marketplace import queries as market_queries
from marketplace import services as market
from nodes import queries as nodes
from opengrid import npy
from opengrid.manifest import Manifest
from opengrid.messages import JobSpec, Runner
from registry import blobs
from registry import queries as registry
from registry.models import Blob, ModelVersion
from scheduler.core import assurance, fitting, metering, sharding
from scheduler.services import capacity

MAX_TASKS = 100_000
MAX_HELD_MICRO = 2**53
RESOURCE_CLASS = "cpu"


class ImpossibleJob(errors.Invalid):
    """No node of the pool could ever run this; `constraints` says what excludes how many."""

    code = "impossible_job"
    title = _("No node of this pool could ever run this job")


class WrongInput(errors.Invalid):
    """The inputs do not fit the runner or the model."""

    code = "wrong_input"
    title = _("The inputs do not fit what the job asks for")


@dataclass(frozen=True)
class Plan:
    """What validation found out about a request."""

    model_version: ModelVersion | None
    bundle: Blob | None
    executions: int
    tasks: int


def validate(membership: Membership, spec: JobSpec) -> Plan:
    """What the request comes to, if its inputs, model and runner fit. Raises: WrongInput, errors.NotFound."""
    usable = registry.usable_blobs(membership, [ref.digest for ref in spec.inputs])
    inputs = [usable[ref.digest] for ref in spec.inputs]
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
    return Plan(version, bundle, assurance.executions(spec.assurance), tasks)


def _count_tasks(spec: JobSpec, model: Manifest | None, blob: Blob, name: str) -> int:
    if model is None:
        return 1
    header = array_header(blob, name)
    _refuse_if(fitting.rows_refusal(header.dtype_name, header.shape, model), name)
    if spec.rows_per_task is None:
        return 1
    return sharding.count(header.shape[0], spec.rows_per_task)


def _refuse_if(refusal: str | None, name: str) -> None:
    if refusal is not None:
        raise WrongInput(_("%(name)s: %(refusal)s", name=name, refusal=refusal))


def array_header(blob: Blob, name: str) -> npy.Header:
    """Shape and type of a stored array with at least one row. Raises: WrongInput."""
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


def royalty_micro(plan: Plan) -> int:
    """What the publisher asks for each task, in micro-credits."""
    return plan.model_version.royalty_micro if plan.model_version else 0


def held_micro(membership: Membership, spec: JobSpec, plan: Plan) -> int:
    """The worst case, in micro-credits. Raises: WrongInput."""
    held = metering.worst_case(
        tasks=plan.tasks,
        executions=plan.executions,
        max_seconds=spec.max_seconds,
        limit_price_micro=spec.limit_price_micro,
        quantity_milli=market.book_for(membership.cooperative, RESOURCE_CLASS).resource_class.lot_milli,
        royalty_micro=royalty_micro(plan),
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
