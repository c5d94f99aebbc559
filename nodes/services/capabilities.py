"""A node states what it has and what it proved; the coordinator decides what it may sell."""

from datetime import datetime

from django.db import transaction

from accounts import queries as accounts
from common.errors import Conflict, Invalid
from common.words import said as _
from nodes import queries
from nodes.core import capabilities, reasons, states
from nodes.models import CapabilityStatement, Node
from nodes.services import steps
from opengrid import benchmark, digests, keys, messages

LARGEST_COUNT = 2**31 - 1


class CapabilitiesRefused(Invalid):
    """The record is not an acceptable statement of this node."""

    code = "capabilities_refused"
    title = _("The capability record cannot be accepted")


class CapabilitiesSignature(Invalid):
    """The record was not signed with the node's key."""

    code = "bad_signature"
    title = _("The signature does not fit the record")


class CapabilitiesReplayed(Conflict):
    """The record is an older one; a newer one has been accepted since."""

    code = "capabilities_replayed"
    title = _("This capability record is out of date")


@transaction.atomic
def record_capabilities(*, node: Node, signed: messages.SignedCapabilities, now: datetime) -> Node:
    """Store the signed record, set what may be sold, and take the steps that follow from it.

    The same record again changes nothing. Raises: CapabilitiesSignature, CapabilitiesRefused,
    CapabilitiesReplayed, StepRefused for a retired node.
    """
    document = signed.record.document()
    _check(node, signed, document)
    node = steps.lock(node)
    if node.state == states.RETIRED:
        raise steps.StepRefused("the node is retired; join again with a new key")
    digest = digests.of_document(document)
    if _is_repeat(node, digest):
        return node
    CapabilityStatement.objects.create(
        node=node, claimed_record=document, signature=signed.signature, digest=digest, received_at=now
    )
    _take_over(node, signed.record)
    apply_verdict(node=node, record=signed.record, now=now)
    node.save()
    steps.announce([node])
    return node


def apply_verdict(*, node: Node, record: messages.CapabilityRecord, now: datetime) -> None:
    """Judge a locked node's record under its limits and take the steps; the caller saves the row."""
    verdict = capabilities.judge(_claim(record), limit_lots=node.limit_lots)
    node.sellable_lots = verdict.sellable_lots
    working = working_state(node)
    following = capabilities.steps_after(node.state, sellable_lots=verdict.sellable_lots, working=working)
    for to_state in following:
        reason = verdict.reason or _step_reason(to_state)
        steps.step(node=node, to_state=to_state, reason=reason, now=now)
        node.state_reason = reason
    if verdict.reason and not following and node.state in (states.JOINED, states.BENCHMARKED):
        if node.state_reason != verdict.reason:
            steps.note(node=node, reason=verdict.reason, now=now, detail=record.sandbox.refusal)
        node.state_reason = verdict.reason


def working_state(node: Node) -> str:
    """PROBATION or ACTIVE for this node under its cooperative's present policy."""
    _, rules = accounts.current_policy(node.cooperative_id)
    return working_state_of(node, rules.probation_validations)


def working_state_of(node: Node, probation_validations: int) -> str:
    """PROBATION or ACTIVE for this node when so many validations in a row end probation."""
    return capabilities.working_state(
        is_validator=node.is_validator,
        validated_in_a_row=node.validated_in_a_row,
        probation_validations=probation_validations,
    )


def _check(node: Node, signed: messages.SignedCapabilities, document: dict[str, object]) -> None:
    """Signature first, then what the record says."""
    try:
        keys.verify_document(node.public_key, keys.CAPABILITIES, document, signed.signature)
    except (keys.BadSignature, keys.BadKey) as error:
        raise CapabilitiesSignature(error.message) from error
    record = signed.record
    if record.node_id != node.pk:
        raise CapabilitiesRefused(f"the record is about node {record.node_id}; this is node {node.pk}")
    for name, value in (
        ("hardware.memory_mib", record.hardware.memory_mib),
        ("hardware.disk_mib", record.hardware.disk_mib),
        ("hardware.cores", record.hardware.cores),
        ("benchmark.total_milli", record.benchmark.total_milli),
    ):
        if value > LARGEST_COUNT:
            raise CapabilitiesRefused(f"found {name} = {value}; at most {LARGEST_COUNT} is accepted")
    try:
        made_at = datetime.fromisoformat(record.made_at)
    except ValueError as error:
        raise CapabilitiesRefused(f"found made_at {record.made_at[:40]!r}; accepted is RFC 3339") from error
    if made_at.tzinfo is None:
        raise CapabilitiesRefused("made_at has no time zone; accepted is RFC 3339 in UTC")
    _check_benchmark(record.benchmark)


def _check_benchmark(claimed: messages.Benchmark) -> None:
    """The work was done as prescribed; how fast it was remains a claim."""
    if claimed.version != benchmark.VERSION:
        raise CapabilitiesRefused(f"found benchmark version {claimed.version}; accepted is {benchmark.VERSION}")
    if benchmark.checksum_of(claimed.seed) != claimed.checksum:
        raise CapabilitiesRefused("the benchmark's checksum is not that of its workload with this seed")


def _is_repeat(node: Node, digest: str) -> bool:
    """True for the record that stands. Raises: CapabilitiesReplayed for one that was superseded."""
    latest = queries.latest_statement(node)
    if latest is None:
        return False
    if latest.digest == digest:
        return True
    if CapabilityStatement.objects.filter(node=node, digest=digest).exists():
        raise CapabilitiesReplayed("a newer record was accepted after this one; make a new one")
    return False


def _take_over(node: Node, record: messages.CapabilityRecord) -> None:
    sandbox = record.sandbox
    node.memory_mib = record.hardware.memory_mib
    node.disk_mib = record.hardware.disk_mib
    node.agent_version = record.agent_version
    node.runners = sorted({runner.value for runner in record.runners})
    node.isolation = capabilities.isolation_flags(
        network=sandbox.net_isolated,
        files=sandbox.fs_isolated,
        seccomp=sandbox.seccomp,
        user_namespaces_disabled=sandbox.userns_disabled,
        separate_uid=sandbox.uid_separate,
        memory=sandbox.mem,
        processes=sandbox.pids,
        cpu=sandbox.cpu,
        disk=sandbox.disk,
    )


def _claim(record: messages.CapabilityRecord) -> capabilities.Claim:
    return capabilities.Claim(
        total_milli=record.benchmark.total_milli,
        cores=record.hardware.cores,
        limit_milli=record.limit_milli,
        runners=tuple(runner.value for runner in record.runners),
        sandbox_passed=record.sandbox.passed,
        is_isolated=record.sandbox.net_isolated and record.sandbox.fs_isolated,
    )


def _step_reason(to_state: str) -> str:
    return {
        states.BENCHMARKED: reasons.BENCHMARK_ACCEPTED,
        states.PROBATION: reasons.PROBATION_BEGAN,
        states.ACTIVE: reasons.NO_PROBATION_NEEDED,
    }[to_state]
