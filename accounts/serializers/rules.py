"""The rule book of a cooperative and the credit it issues. Amounts are micro-credits, shares basis points."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from accounts.core import policy
from accounts.models import CreditIssue, PolicyVersion
from common.paging import PageQuery
from opengrid.messages import Message, Natural, Positive, timestamp

Reason = Annotated[str, StringConstraints(min_length=1, max_length=500)]
RuleName = Literal[
    "operator_bp",
    "treasury_bp",
    "reserve_bp",
    "assurance_bp",
    "royalty_fee_bp",
    "issuance_limit_micro",
    "issuance_second_steward_above_micro",
    "probation_validations",
    "quarantine_rejections",
    "quarantine_window",
    "spare_claims",
    "assurance_overdraft_micro",
    "join_requests_open",
]
"""The fields of `accounts.core.policy.Rules`."""
RuleValue = Annotated[int, Field(ge=0, le=policy.MOST_MICRO)]


class ChangeView(Message):
    """One rule that a version changes."""

    rule: str
    before: int
    after: int


class PolicyView(Message):
    """One version of the rules. `state` is PROPOSED, IN_FORCE, REPLACED or SUPERSEDED."""

    number: Positive
    replaces: Natural
    state: str
    reason: str
    proposed_by: str
    proposed_at: str
    adopted_by: str | None
    adopted_at: str | None


class PolicyListReply(Message):
    """All versions, newest first."""

    policies: list[PolicyView]
    next: str | None


class PolicyReply(Message):
    """A version with its rules, and what it changes in the one it replaces. `version` goes into If-Match."""

    policy: PolicyView
    rules: dict[str, int]
    changes: list[ChangeView]
    version: str


class PolicyRequest(Message):
    """Rules that shall change; those left out stay as they are in force."""

    rules: Annotated[dict[RuleName, RuleValue], Field(min_length=1)]
    reason: Reason


class CreditIssuesQuery(PageQuery):
    """Which wishes."""

    state: Literal["PROPOSED", "ISSUED", "REFUSED"] | None = Field(None, description="Only those in this state.")


class CreditIssueRequest(Message):
    """Credit for the treasury, the assurance fund, or the member with this id."""

    to: Literal["treasury", "assurance"] | Positive
    amount_micro: Annotated[int, Field(ge=1, le=policy.MOST_MICRO)]
    reason: Reason


class CreditIssueView(Message):
    """A wish to issue credit and what became of it: PROPOSED waits for a second steward."""

    id: Positive
    to_address: str
    amount_micro: Positive
    reason: str
    state: str
    needs_second_steward: bool
    proposed_by: str
    proposed_at: str
    decided_by: str | None
    decided_at: str | None


class CreditIssueListReply(Message):
    """Wishes, newest first."""

    credit_issues: list[CreditIssueView]
    next: str | None


class RefusalRequest(Message):
    """Why a wish is turned down or withdrawn."""

    reason: Annotated[str, StringConstraints(max_length=500)] = ""


def policy_view(version: PolicyVersion, in_force: int) -> PolicyView:
    """One version of `queries.policy_history`."""
    adoption = getattr(version, "adoption", None)
    return PolicyView(
        number=version.number,
        replaces=version.replaces,
        state=_state(version, is_adopted=adoption is not None, in_force=in_force),
        reason=version.reason,
        proposed_by=str(version.proposed_by.user),
        proposed_at=timestamp(version.proposed_at),
        adopted_by=str(adoption.adopted_by.user) if adoption else None,
        adopted_at=timestamp(adoption.adopted_at) if adoption else None,
    )


def policy_reply(version: PolicyVersion, in_force: int, replaced: policy.Rules | None) -> PolicyReply:
    """A version beside the rules it replaces; None for the first."""
    rules = policy.stored(version.rules)
    changes = policy.diff(replaced, rules) if replaced else []
    return PolicyReply(
        policy=policy_view(version, in_force),
        rules=policy.as_dict(rules),
        changes=[ChangeView(rule=change.rule, before=change.before, after=change.after) for change in changes],
        version=policy.version_of(in_force),
    )


def credit_issue_view(issue: CreditIssue) -> CreditIssueView:
    """One wish of `queries.credit_issues`."""
    return CreditIssueView(
        id=issue.pk,
        to_address=issue.to_address,
        amount_micro=issue.amount_micro,
        reason=issue.reason,
        state=issue.state,
        needs_second_steward=issue.needs_second_steward,
        proposed_by=str(issue.proposed_by.user),
        proposed_at=timestamp(issue.proposed_at),
        decided_by=str(issue.decided_by.user) if issue.decided_by else None,
        decided_at=timestamp(issue.decided_at) if issue.decided_at else None,
    )


def _state(version: PolicyVersion, *, is_adopted: bool, in_force: int) -> str:
    if is_adopted:
        return "IN_FORCE" if version.number == in_force else "REPLACED"
    return "PROPOSED" if version.replaces == in_force else "SUPERSEDED"
