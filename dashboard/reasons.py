"""Typed reasons and states in plain words: one table, so that no page ever shows a bare code."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from common import figures
from dashboard.core import quantities

Words = str | Promise

REASONS: dict[str, Words] = {
    # a job's life
    "job_submitted": _("Submitted: %(tasks)s tasks, %(held)s credits held for the worst case"),
    "job_expanded": _("Split into %(tasks)s tasks"),
    "order_placed": _("Asked the market for %(lots)s lots at no more than %(limit_price)s credits per core-hour"),
    "job_started": _("First task handed out"),
    "job_done": _("Every task has an accepted result; %(returned)s credits of the hold went back"),
    "job_failed": _("Ended with failed tasks, which cost nothing; %(returned)s credits of the hold went back"),
    "job_cancelled": _("Cancelled by the member who submitted it"),
    "cancelled_by_member": _("Cancelled by the member who submitted it"),
    "tasks_failed": _("Some tasks could not be completed"),
    "task_accepted": _("Task %(task)s: the result was accepted"),
    "task_failed": _("Task %(task)s failed: %(why)s"),
    "tie_break": _("Task %(task)s: the results differ, a third owner runs it"),
    "attempt_lost": _("Task %(task)s was taken back from %(node)s: %(why)s"),
    "no_agreement": _("the results do not agree and no further owner is left"),
    "no_third_owner": _("the results differ and no third owner is there to decide"),
    "no_other_owner": _("no other owner was there for ten minutes to check its result"),
    "assurance_fund_exhausted": _("the results differ and the assurance fund may not owe another check"),
    "attempts_exhausted": _("it was tried as often as the rules allow"),
    "disagreed": _("the result differs from the one that two owners agree on"),
    "agreed": _("agrees with another owner’s result"),
    "heard": _("it was there"),
    "not_heard": _("it was not heard of"),
    "unchecked": _("accepted without a check, as the job asked"),
    # why an attempt ended
    "ok": _("ended well"),
    "delivered": _("returned a result in time"),
    "nonzero_exit": _("the program ended with an error"),
    "oom": _("it needed more memory than the job asked for"),
    "wall": _("it took longer than the job’s limit"),
    "cpu": _("it used more processor time than allowed"),
    "disk_quota": _("it wrote more to disk than the job asked for"),
    "file_count": _("it wrote too many files"),
    "stdout_limit": _("it printed too much"),
    "cancelled": _("it was stopped"),
    "lost": _("the node lost it"),
    "sandbox_unavailable": _("the node’s sandbox is not available"),
    "bad_input": _("the input does not fit the model"),
    "bad_signature": _("a signature does not verify"),
    "bad_output": _("the output is not a valid result"),
    "deadline_passed": _("no result before the deadline"),
    "node_dark": _("the node has not been heard of for 30 seconds"),
    "node_stopped": _("the node was quarantined or retired"),
    "node_not_working": _("the node takes no work at present"),
    "lease_idle": _("nothing was left to run for 60 seconds"),
    "job_finished": _("the job has ended"),
    # why a job waits
    "waiting_for_expansion": _("It is being split into tasks"),
    "waiting_for_capacity": _("Waiting for capacity"),
    "waiting_for_claim": _("Capacity is leased; the nodes are about to take tasks"),
    "waiting_for_verdict": _("Results are being compared"),
    "nothing_offered": _("Waiting: no node offers free capacity at present"),
    "offers_above_limit": _("Waiting: every offer costs more than this job’s limit"),
    "offers_do_not_fit": _("Waiting: none of the offers within the limit can carry what is left"),
    # why a node is idle
    "leased_without_task": _("Its lots are leased, and the jobs that hold them have no task for it at this moment"),
    "nothing_offered_by_node": _("It offers nothing at present; its agent makes an offer when it has free lots"),
    "nobody_buys": _("Nobody is asking for lots at present"),
    "bids_below_ask": _("Nobody bids as much as it asks"),
    "bids_do_not_fit": _("Those who bid enough need something else, or are about to be matched"),
    # a node's life
    "joined": _("The machine has joined and measures itself"),
    "benchmark_accepted": _("Measured, and the sandbox passed its self-test"),
    "probation_began": _("On probation: another owner checks each of its results"),
    "probation_passed": _("Enough results in a row were confirmed: probation is over"),
    "no_probation_needed": _("Trusted from the start by the cooperative’s rules"),
    "result_rejected": _("A result differed from the one that two owners agree on"),
    "named_validator": _("Named as a validator by a steward"),
    "no_longer_validator": _("No validator any more"),
    "drained_by_node": _("The machine asked to finish what it runs and take no more"),
    "drained_by_owner": _("Its operator asked it to finish what it runs and take no more"),
    "resumed_by_node": _("The machine takes work again"),
    "resumed_by_owner": _("Its operator put it back to work"),
    "retired_by_node": _("The machine left for good"),
    "retired_by_owner": _("Its operator retired it"),
    "repeated_rejections": _("Too many of its last results were rejected"),
    "quarantined_by_steward": _("Quarantined by a steward"),
    "released_by_steward": _("Released by a steward to prove itself again"),
    "appeal": _("Its operator appealed"),
    "sandbox_not_passed": _("Its sandbox did not pass the self-test, so it gets no work"),
    "sandbox_not_isolated": _("Its sandbox does not shut out network and files, so it gets no work"),
    "no_runner": _("It has no runner that could execute a job"),
    "measured_below_one_lot": _("Less than one reference core was measured"),
    "limit_below_one_lot": _("Its limit leaves less than one lot to sell"),
    # orders and leases
    "traded": _("Traded"),
    "filled": _("Filled"),
    "lease_returned": _("The lots came back"),
    "cancelled_by_owner": _("Cancelled by its owner"),
    "ioc_remainder": _("What did not trade at once was dropped, as asked"),
    "fok_not_fillable": _("Not all of it could trade at once, so nothing did"),
    "node_changed_owner": _("The node has another owner now"),
    "market_halted": _("The market is halted"),
    "duplicate_order": _("The order was there already"),
    "unknown_node": _("The book knows no such node"),
    "not_node_owner": _("Only the node’s operator may offer it"),
    "standing_must_rest": _("A standing offer has to rest on the book"),
    "order_not_live": _("The order had already left the book"),
    "lease_not_live": _("The lease had already ended"),
    "no_longer_needed": _("No longer needed: the job has what it wants"),
    "offer_replaced": _("Replaced by a newer offer"),
    "offer_withdrawn": _("The offer was withdrawn"),
}
"""Reason code -> sentence. Parameters are those of the event, see `_readable`."""

STEPS: dict[str, Words] = {
    "result_rejected": _("Task %(task)s: the result of %(node)s differs from the agreed one; it is not paid"),
    "node_quarantined": _("%(node)s was quarantined: too many of its last results were rejected"),
}
"""What reads otherwise in a job's timeline."""

JOB_STATES: dict[str, Words] = {
    "SUBMITTED": _("Being split into tasks"),
    "QUEUED": _("Waiting for capacity"),
    "RUNNING": _("Running"),
    "DONE": _("Done"),
    "FAILED": _("Failed"),
    "CANCELLED": _("Cancelled"),
}
TASK_STATES: dict[str, Words] = {
    "WAITING": _("waiting"),
    "RUNNING": _("running"),
    "CHECKING": _("waiting for a second result"),
    "ACCEPTED": _("accepted"),
    "FAILED": _("failed"),
    "CANCELLED": _("cancelled"),
}
ATTEMPT_STATES: dict[str, Words] = {
    "RUNNING": _("Running"),
    "SUBMITTED": _("Being checked"),
    "ACCEPTED": _("Accepted"),
    "REJECTED": _("Rejected"),
    "FAILED": _("Failed"),
    "LOST": _("Lost"),
    "CANCELLED": _("Cancelled"),
}
PURPOSES: dict[str, Words] = {
    "BOUGHT": _("bought"),
    "PROBATION": _("probation check"),
    "TIE_BREAK": _("tie-break"),
    "OWN": _("on the own node, free"),
}
NODE_STATES: dict[str, Words] = {
    "JOINED": _("Measuring itself"),
    "BENCHMARKED": _("Measured"),
    "PROBATION": _("On probation"),
    "ACTIVE": _("Active"),
    "DRAINING": _("Draining"),
    "QUARANTINED": _("Quarantined"),
    "RETIRED": _("Retired"),
}
ORDER_STATES: dict[str, Words] = {
    "ACCEPTED": _("Being placed"),
    "OPEN": _("On the book"),
    "PARTIALLY_FILLED": _("Partly filled"),
    "FILLED": _("Filled"),
    "CANCELLED": _("Cancelled"),
    "REJECTED": _("Refused"),
}
DIMENSIONS: dict[str, Words] = {
    "correctness": _("Correctness"),
    "delivery": _("Delivery"),
    "uptime": _("Uptime"),
}
DIMENSION_HELP: dict[str, Words] = {
    "correctness": _("how often its results agree with those of other owners"),
    "delivery": _("how often it returns what it claimed, in time"),
    "uptime": _("how often it is there when it says it is"),
}
STEWARD_ACTS: dict[str, Words] = {
    "QUARANTINE_NODE": _("quarantined a node"),
    "RELEASE_NODE": _("released a node"),
    "NAME_VALIDATOR": _("named a validator"),
    "END_VALIDATOR": _("took a validator’s office back"),
    "INVITE": _("made an invitation"),
    "REVOKE_INVITATION": _("took an invitation back"),
    "ACCEPT_JOIN_REQUEST": _("accepted a request to join"),
    "DECLINE_JOIN_REQUEST": _("declined a request to join"),
    "SET_ROLES": _("changed roles"),
    "END_MEMBERSHIP": _("ended a membership"),
    "PROPOSE_POLICY": _("proposed rules"),
    "ADOPT_POLICY": _("adopted rules"),
    "PROPOSE_CREDIT": _("proposed credit"),
    "ISSUE_CREDIT": _("issued credit"),
    "REFUSE_CREDIT": _("refused credit"),
    "WITHDRAW_VERSION": _("withdrew a model version"),
}

TRANSFERS: dict[str, Words] = {
    "send": _("From one member to another"),
    "issue": _("Credit issued"),
    "hold": _("Held"),
    "release": _("Hold given back"),
    "settlement": _("Settlement of a task"),
    "reversal": _("Correction"),
}
FUNDS: dict[str, Words] = {
    "issuance": _("Issuance of credit"),
    "treasury": _("Treasury"),
    "reserve": _("Reserve"),
    "assurance": _("Assurance fund"),
    "order": _("Hold of an order"),
    "lease": _("Hold of a lease"),
    "task": _("Hold of a task"),
}
TONES: dict[str, str] = {
    "ACTIVE": "good",
    "DONE": "good",
    "ACCEPTED": "good",
    "FILLED": "good",
    "RUNNING": "busy",
    "SUBMITTED": "busy",
    "PARTIALLY_FILLED": "busy",
    "OPEN": "busy",
    "PROBATION": "warn",
    "DRAINING": "warn",
    "JOINED": "warn",
    "BENCHMARKED": "warn",
    "LOST": "warn",
    "QUEUED": "warn",
    "QUARANTINED": "bad",
    "REJECTED": "bad",
    "FAILED": "bad",
}
"""State -> tone of its badge; a state without a tone is plain. The words always say it too."""

_MICRO_SUFFIX = "_micro"


def sentence(code: str, params: Mapping[str, Any] | None = None) -> str:
    """The words for a reason code. A code without words, or without its parameters, reads as its own name."""
    words = REASONS.get(code)
    if words is None:
        return code.replace("_", " ").capitalize()
    try:
        return str(words) % _readable(params or {})
    except KeyError:
        return code.replace("_", " ").capitalize()


def step(code: str, params: Mapping[str, Any]) -> str:
    """The words for a step in a job's timeline."""
    return str(STEPS[code]) % _readable(params) if code in STEPS else sentence(code, params)


def clause(code: str) -> str:
    """The words for a reason inside a sentence; empty for no reason."""
    return sentence(code) if code else ""


def of_state(table: Mapping[str, Words], state: str) -> str:
    """The words for a state. Raises: KeyError for a state that has none."""
    return str(table[state])


def _readable(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as people read them: `held_micro` becomes `held` in credits, `why` becomes its clause."""
    readable = {"task": "?", "node": str(_("a node"))}
    for name, value in params.items():
        if name.endswith(_MICRO_SUFFIX):
            readable[name.removesuffix(_MICRO_SUFFIX)] = figures.localised(quantities.price(int(value)))
        elif name == "why":
            readable[name] = clause(str(value))
        else:
            readable[name] = str(value)
    return readable
