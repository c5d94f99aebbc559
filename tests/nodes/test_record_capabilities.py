"""A node's signed record decides what may be sold and moves the node on."""

import dataclasses

import pytest
from django.db import IntegrityError, transaction

from accounts import services as accounts
from accounts.core import policy
from nodes import services
from nodes.models import CapabilityStatement, NodeEvent
from nodes.services.capabilities import CapabilitiesReplayed, CapabilitiesSignature
from nodes.services.steps import StepRefused
from opengrid import keys
from tests.nodes import agents


@pytest.fixture
def private():
    return agents.a_key()


@pytest.fixture
def node(olga, now, private):
    return agents.joined(olga, now, private=private)


def send(node, private, now, **changes):
    return services.record_capabilities(
        node=node, signed=agents.signed(private, agents.record(node, **changes)), now=now
    )


def story(node):
    return list(NodeEvent.objects.filter(node=node).order_by("id").values_list("to_state", "reason"))


def test_the_first_accepted_record_begins_probation(node, private, now):
    node = send(node, private, now)

    assert (node.state, node.sellable_lots) == ("PROBATION", 4)
    assert (node.memory_mib, node.disk_mib, node.runners) == (8192, 50_000, ["onnx", "python"])
    assert node.isolation == ["disk=hard", "fs", "mem=cgroup1", "net", "pids=cgroup", "seccomp"]
    assert story(node) == [
        ("JOINED", "joined"),
        ("BENCHMARKED", "benchmark_accepted"),
        ("PROBATION", "probation_began"),
    ]


def test_a_validator_is_active_at_once(node, private, bob, now):
    services.name_validator(by=bob, node=node, is_validator=True, now=now)

    assert send(node, private, now).state == "ACTIVE"


def test_a_policy_without_probation_makes_the_node_active(node, private, bob, sam, now):
    rules = dataclasses.replace(policy.Rules(), probation_validations=0)
    version = accounts.propose_policy(by=bob, rules=rules, reason="we know each other")
    accounts.adopt_policy(by=sam, version=version)

    node = send(node, private, now)

    assert (node.state, node.state_reason) == ("ACTIVE", "no_probation_needed")


def test_the_owners_limit_caps_what_is_sold(olga, private, now):
    node = agents.joined(olga, now, private=private, limit_lots=2)

    assert send(node, private, now).sellable_lots == 2


def test_without_a_passed_self_test_the_node_stays_joined_and_is_told_why(node, private, now):
    node = send(node, private, now, sandbox={"passed": False, "refusal": "user namespaces are blocked"})

    assert (node.state, node.state_reason, node.sellable_lots) == ("JOINED", "sandbox_not_passed", 0)
    assert NodeEvent.objects.order_by("-id").first().detail == "user namespaces are blocked"


def test_a_failed_self_test_takes_a_working_node_out_of_work_and_a_passed_one_back(node, private, now):
    send(node, private, now)

    node = send(node, private, now, sandbox={"passed": False}, made_at="2026-11-21T13:00:00.000000Z")
    assert (node.state, node.state_reason, node.sellable_lots) == ("BENCHMARKED", "sandbox_not_passed", 0)

    node = send(node, private, now, made_at="2026-11-21T14:00:00.000000Z")
    assert (node.state, node.sellable_lots) == ("PROBATION", 4)


def test_an_earned_trust_survives_a_failed_self_test(node, private, now):
    send(node, private, now)
    services.record_validations(results=[(node.pk, True)] * 10, probation_validations=10, now=now)
    send(node, private, now, sandbox={"passed": False}, made_at="2026-11-21T13:00:00.000000Z")

    assert send(node, private, now, made_at="2026-11-21T14:00:00.000000Z").state == "ACTIVE"


def test_a_quarantined_node_stays_so_whatever_it_states(node, private, bob, now):
    send(node, private, now)
    services.quarantine(node=node, reason="quarantined_by_steward", by=bob, now=now)

    node = send(node, private, now, made_at="2026-11-21T13:00:00.000000Z")

    assert node.state == "QUARANTINED"


def test_the_same_record_again_changes_nothing(node, private, now):
    send(node, private, now)
    events = NodeEvent.objects.count()

    send(node, private, now)

    assert CapabilityStatement.objects.count() == 1
    assert NodeEvent.objects.count() == events


def test_an_older_record_cannot_be_replayed(node, private, now):
    send(node, private, now)
    send(node, private, now, sandbox={"passed": False}, made_at="2026-11-21T13:00:00.000000Z")

    with pytest.raises(CapabilitiesReplayed):
        send(node, private, now)

    node.refresh_from_db()
    assert (node.state, node.sellable_lots) == ("BENCHMARKED", 0)


def refused(error, node, signed, now):
    with pytest.raises(error):
        services.record_capabilities(node=node, signed=signed, now=now)
    node.refresh_from_db()
    assert (node.state, node.sellable_lots) == ("JOINED", 0)
    assert not CapabilityStatement.objects.exists()


def test_a_record_signed_by_another_key_is_refused(node, now):
    refused(CapabilitiesSignature, node, agents.signed(agents.a_key(), agents.record(node)), now)


def test_a_record_changed_after_signing_is_refused(node, private, now):
    honest = agents.signed(private, agents.record(node, benchmark={"total_milli": 1000}))
    forged = honest.model_copy(update={"record": agents.record(node, benchmark={"total_milli": 64_000})})

    refused(CapabilitiesSignature, node, forged, now)


def test_a_record_signed_for_another_purpose_is_refused(node, private, now):
    record = agents.record(node)
    signature = keys.sign_document(private, keys.RECEIPT, record.document())
    signed = agents.signed(private, record).model_copy(update={"signature": signature})

    refused(CapabilitiesSignature, node, signed, now)


def test_a_record_about_another_node_is_refused(node, private, olga, now):
    other = agents.joined(olga, now)

    refused(services.CapabilitiesRefused, node, agents.signed(private, agents.record(other)), now)


@pytest.mark.parametrize(
    "changes",
    [
        {"hardware": {"memory_mib": 2**40}},
        {"hardware": {"disk_mib": 2**50}},
        {"hardware": {"cores": 2**33}},
        {"benchmark": {"total_milli": 2**45}},
        {"benchmark": {"version": 2}},
        {"benchmark": {"seed": 8}},
        {"benchmark": {"checksum": "sha256:" + "0" * 64}},
        {"made_at": "yesterday"},
        {"made_at": "2026-11-21T12:00:00"},
    ],
)
def test_claims_that_no_machine_can_make_are_refused(node, private, now, changes):
    refused(services.CapabilitiesRefused, node, agents.signed(private, agents.record(node, **changes)), now)


def test_a_retired_node_states_nothing_any_more(node, private, now):
    services.retire(node=node, reason="retired_by_node", now=now)

    with pytest.raises(StepRefused):
        send(node, private, now)

    assert not CapabilityStatement.objects.exists()


def test_statements_never_change(node, private, now):
    send(node, private, now)

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        CapabilityStatement.objects.update(claimed_record={})
