"""A cooperative at work: machines that claim and deliver, members who submit, a matcher that ticks.

Machines act through the services that the API calls; `machine.agent` sends the same as signed requests.
"""

import dataclasses
import itertools
import json
from datetime import timedelta

import numpy as np
from django.db.models import F

from accounts import queries as account_queries
from accounts import services as accounts
from accounts.models import Membership, User
from common import money
from common.clock import database_now
from marketplace import services as market
from marketplace.matcher import PoolMatcher
from marketplace.models import Lease, Order
from nodes import services as node_services
from nodes.models import Node
from opengrid import digests, keys, messages, npy
from registry import services as registry
from reputation.models import Evidence
from scheduler.models import Attempt, Task
from scheduler.services import claims, endings, jobs, results, verdicts
from tests.nodes import agents

PRICE_MICRO = 3_600_000
"""One micro-credit per unit and millisecond: a task of 1 s on one lot costs 1000 micro."""
LIMIT_MICRO = 2 * PRICE_MICRO
_numbers = itertools.count(1)


def a_member(cooperative, name, roles=("MEMBER", "OPERATOR")):
    """Somebody new in the cooperative."""
    user = User.objects.create_user(f"{name.lower()}@example.org", "correct horse battery", display_name=name)
    return Membership.objects.create(cooperative=cooperative, user=user, roles=list(roles))


def credit(steward, member, micro=1000 * money.MICRO):
    """Credits in a member's wallet."""
    accounts.propose_credit_issue(
        by=steward, to_address=member.wallet, amount_micro=micro, reason="first credit", now=database_now()
    )


def rules(proposer, adopter, **changes):
    """One steward proposes changed rules, another adopts them."""
    _, current = account_queries.current_policy(proposer.cooperative_id)
    version = accounts.propose_policy(by=proposer, rules=dataclasses.replace(current, **changes), reason="a test")
    accounts.adopt_policy(by=adopter, version=version)


def a_file(member, data=None):
    """A stored file that the member may use, as a reference; different contents each time."""
    data = f"data {next(_numbers)}".encode() if data is None else data
    blob = registry.store_blob(chunks=[data], limit_bytes=len(data), membership=member)
    return messages.BlobRef(name=f"input-{next(_numbers)}.bin", digest=blob.digest, size_bytes=blob.size_bytes)


def an_array(member, array):
    """A stored array as a reference named rows.npy."""
    data = npy.dump(np.asarray(array))
    blob = registry.store_blob(chunks=[data], limit_bytes=len(data), membership=member)
    return messages.BlobRef(name="rows.npy", digest=blob.digest, size_bytes=blob.size_bytes)


def a_spec(member, tasks=1, **changes):
    """A job of runner python with one task per input."""
    fields = {
        "name": "count the words",
        "runner": messages.Runner.PYTHON,
        "bundle": a_file(member, b"print('hello')").model_copy(update={"name": "main.py"}),
        "inputs": tuple(a_file(member) for _ in range(tasks)),
        "assurance": "none",
        "limit_price_micro": LIMIT_MICRO,
        "max_seconds": 10,
    }
    return messages.JobSpec(**(fields | changes))


def submit(member, tasks=1, **changes):
    """A submitted job, not expanded yet."""
    return jobs.submit_job(membership=member, spec=a_spec(member, tasks, **changes), now=database_now())


def tick(cooperative):
    """Let a freshly elected matcher take up all that came in. Returns how many events it applied."""
    return PoolMatcher.elect(market.pool_of(cooperative)).tick()


def start(member, tasks=1, **changes):
    """A job that was expanded and has its leases."""
    job = submit(member, tasks, **changes)
    jobs.expand_job(job_id=job.pk, now=database_now())
    tick(member.cooperative)
    job.refresh_from_db()
    return job


def verify_all(job):
    """Judge every open task of the job, in order."""
    for task_id in Task.objects.filter(job=job, state="OPEN").order_by("index").values_list("pk", flat=True):
        verdicts.verify_task(task_id=task_id, now=database_now())


class Machine:
    """A node with its key: offers lots, claims, delivers, fails."""

    def __init__(self, operator, *, lots=4, price_micro=PRICE_MICRO, trusted=True, offers=True, **terms):
        self.agent = agents.an_agent(operator, working_now=True, floor_price_micro=0, limit_lots=lots, **terms)
        self.node, self.private = self.agent.node, self.agent.private
        if trusted:
            Node.objects.filter(pk=self.node.pk).update(state="ACTIVE", validated_in_a_row=10)
        self.node.refresh_from_db()
        if offers:
            market.keep_standing_offer(node=self.node, lots=lots, price_micro=price_micro)

    @classmethod
    def known(cls, node, private):
        """The machine of a node that is there already, for a process that was given its key."""
        machine = cls.__new__(cls)
        machine.node, machine.private = node, private
        return machine

    def claim(self, most=1):
        return claims.claim_work(node=self.node, max_tasks=most, now=database_now())

    def beat(self, *attempts):
        """A heartbeat that lists these assignments; returns the ids it should stop."""
        now = database_now()
        node_services.record_heartbeat(
            node=self.node, request=messages.HeartbeatRequest(slots_free=1, load_permille=0), now=now
        )
        beats = [messages.AttemptBeat(attempt_id=a.attempt_id, token=a.token, progress_permille=500) for a in attempts]
        return results.record_beats(node=self.node, beats=beats)

    def upload(self, assignment, files):
        """Store output files (name -> bytes) and note them; returns their references."""
        references = []
        for name, data in files.items():
            attempt = results.attempt_of(node=self.node, attempt_id=assignment.attempt_id, token=assignment.token)
            blob = registry.store_blob(chunks=[data], limit_bytes=len(data))
            results.record_output(attempt=attempt, name=name, blob=blob)
            references.append(messages.BlobRef(name=name, digest=blob.digest, size_bytes=blob.size_bytes))
        return tuple(references)

    def receipt(self, assignment, outputs, **changes):
        fields = {
            "attempt_id": assignment.attempt_id,
            "token": assignment.token,
            "task_id": assignment.task_id,
            "node_id": self.node.pk,
            "input_digests": tuple(entry.digest for entry in assignment.inputs),
            "outputs": tuple(outputs),
            "exit_reason": messages.ExitReason.OK,
            "usage": messages.Usage(wall_ms=900, cpu_ms=800, peak_memory_mib=64),
            "runtime_digest": digests.of_bytes(b"runtime"),
            "finished_at": "2026-11-21T12:00:00.000000Z",
        }
        return messages.Receipt(**(fields | changes))

    def signed(self, receipt, private=None):
        signature = keys.sign_document(private or self.private, keys.RECEIPT, receipt.document())
        return messages.ResultRequest(receipt=receipt, signature=signature)

    def report(self, assignment, request):
        return results.report_result(
            node=self.node, attempt_id=assignment.attempt_id, request=request, now=database_now()
        )

    def deliver(self, assignment, answer=b"42", *, ms=1000, name="answer.txt"):
        """Upload one output and report the result, `ms` after the claim."""
        outputs = self.upload(assignment, {name: answer})
        age(assignment, ms)
        return self.report(assignment, self.signed(self.receipt(assignment, outputs)))

    def fail(self, assignment, reason=messages.ExitReason.NONZERO_EXIT, detail=""):
        request = messages.FailureRequest(token=assignment.token, exit_reason=reason, detail=detail)
        return endings.report_failure(
            node=self.node, attempt_id=assignment.attempt_id, request=request, now=database_now()
        )

    def go_dark(self, seconds=31):
        """Nothing was heard of the node, nor of what it runs, for so long."""
        silent = database_now() - timedelta(seconds=seconds)
        Node.objects.filter(pk=self.node.pk).update(last_seen_at=silent)
        Attempt.objects.filter(node=self.node, state="RUNNING").update(beat_at=silent)


def age(assignment, ms):
    """Move the claim of an attempt into the past, so that it took `ms` milliseconds."""
    Attempt.objects.filter(pk=assignment.attempt_id).update(claimed_at=F("claimed_at") - timedelta(milliseconds=ms))


def attempt(assignment):
    """The row behind an assignment."""
    return Attempt.objects.select_related("task").get(pk=assignment.attempt_id)


def expire(assignment):
    """Let the deadline of an attempt have passed."""
    Attempt.objects.filter(pk=assignment.attempt_id).update(deadline_at=database_now() - timedelta(seconds=1))


def lots(job):
    """Lots of the job's live leases by node."""
    found = {}
    for lease in Lease.objects.filter(reference=job.reference, state="LIVE"):
        found[lease.node_id] = found.get(lease.node_id, 0) + lease.lots
    return found


def orders(job):
    return list(Order.objects.filter(reference=job.reference).order_by("pk"))


def evidence(node, dimension):
    return list(Evidence.objects.filter(node=node, dimension=dimension).order_by("pk").values_list("success", "reason"))


def reasons(job):
    """The job's timeline, oldest first."""
    return list(job.events.order_by("pk").values_list("reason", flat=True))


def as_json(message):
    return json.dumps(message.model_dump(mode="json")).encode()
