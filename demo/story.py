"""What happened, told and written down: accuracy, who ran what, what was caught, the bill, the split, the scores."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from accounts.models import Membership
from common.money import format_credits
from demo.digits import Digits
from ledger import queries as ledger
from nodes.models import Node
from reputation import queries as reputation


@dataclass(frozen=True)
class Truth:
    """What the published file says when it is run directly, and what the scans really show."""

    labels: NDArray[np.int64]
    digits: Digits


def direct_run(model: bytes, digits: Digits) -> Truth:
    """Run the published file on all scans, here, without the grid."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    label, _ = session.run(None, {"scans": digits.scans})
    return Truth(label, digits)


def scores(nodes: list[Node]) -> dict[str, dict[str, str]]:
    """Scores of the machines by dimension, as text with six decimals."""
    found = reputation.scores_of([node.pk for node in nodes])
    return {
        node.name: {dimension: f"{micro / 1_000_000:.6f}" for dimension, micro in found[node.pk].items()}
        for node in nodes
    }


def facts(
    *,
    job: dict[str, Any],
    attempts: list[dict[str, Any]],
    labels: NDArray[np.int64],
    truth: Truth,
    before: dict[str, dict[str, str]],
    nodes: list[Node],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Everything that happened as plain values, for run/demo.json."""
    unseen = truth.digits.unseen
    wrong = int((labels != truth.labels).sum())
    by_node: dict[str, Counter[str]] = {}
    for attempt in attempts:
        by_node.setdefault(attempt["node_name"], Counter())[attempt["state"]] += 1
    rejected = [attempt for attempt in attempts if attempt["state"] == "REJECTED"]
    return {
        "job_id": job["id"],
        "state": job["state"],
        "assurance": job["assurance"],
        "accuracy_unseen": round(float((labels[unseen] == truth.digits.labels[unseen]).mean()), 6),
        "unseen_scans": len(unseen),
        "labels": len(labels),
        "labels_equal_direct_run": int((labels == truth.labels).sum()),
        "labels_sha256": hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest(),
        "wrong_answers_accepted": wrong,
        "wrong_results_caught": len(rejected),
        "paid_for_rejected_micro": sum(attempt["billed_micro"] or 0 for attempt in rejected),
        "tasks": job["tasks"],
        "attempts": len(attempts),
        "attempts_by_node": {name: dict(counts) for name, counts in sorted(by_node.items())},
        "nodes": {node.name: {"state": node.state, "reason": node.state_reason} for node in nodes},
        "bill": job["bill"],
        "split": split(nodes[0].cooperative_id),
        "scores_before": before,
        "scores_after": scores(nodes),
        "seconds": {phase: round(taken, 3) for phase, taken in seconds.items()},
    }


def split(cooperative_id: int) -> dict[str, int]:
    """Balances of everybody after the job, in micro-credits."""
    members = Membership.objects.filter(cooperative_id=cooperative_id).select_related("user").order_by("pk")
    named = {membership.wallet: str(membership.user) for membership in members}
    funds = {f"coop:{cooperative_id}:{fund}": fund for fund in ("treasury", "reserve", "assurance", "issuance")}
    names = named | funds
    return {names[address]: amount for address, amount in ledger.balances(list(names)).items()}


def tell(found: dict[str, Any]) -> str:
    """The story in words."""
    bill = found["bill"]
    lines = [
        "",
        f"  {found['labels']:,} scans classified in {found['tasks']['accepted']} tasks, {found['attempts']} executions "
        f"({found['seconds']['job']:.1f} s).",
        f"  Accuracy on the {found['unseen_scans']} scans the model had never seen: {found['accuracy_unseen']:.1%}.",
        f"  Labels equal to a direct run of the published file: {found['labels_equal_direct_run']:,} of "
        f"{found['labels']:,}; wrong answers accepted: {found['wrong_answers_accepted']}.",
        "",
        "  Who ran what",
    ]
    for name, counts in found["attempts_by_node"].items():
        state = found["nodes"][name]
        words = ", ".join(f"{number} {word.lower()}" for word, number in sorted(counts.items()))
        lines.append(
            f"    {name:<20} {words:<44} now {state['state']}{' (' + state['reason'] + ')' if state['reason'] else ''}"
        )
    lines += [
        f"    Caught: {found['wrong_results_caught']} wrong results, paid for them: "
        f"{format_credits(found['paid_for_rejected_micro'])} credits.",
        "",
        "  The bill (credits)",
        f"    held for the worst case {format_credits(bill['held_micro']):>16}",
        f"    compute                 {format_credits(bill['compute_micro']):>16}",
        f"    royalty                 {format_credits(bill['royalty_micro']):>16}",
        f"    Mia pays                {format_credits(bill['total_micro']):>16}",
        f"    given back              {format_credits(bill['released_micro']):>16}",
        f"    checks, paid by the cooperative's assurance fund {format_credits(bill['assurance_paid_micro'])}",
        "",
        "  Balances after it",
    ]
    lines += [f"    {name:<24}{format_credits(amount):>16}" for name, amount in found["split"].items()]
    lines += ["", "  Scores (5 % quantile), before -> after"]
    for name, after in found["scores_after"].items():
        before = found["scores_before"][name]
        words = "   ".join(f"{dimension} {before[dimension]} -> {value}" for dimension, value in after.items())
        lines.append(f"    {name:<20} {words}")
    return "\n".join(lines)
