"""Issuing credit: from `coop:N:issuance`, whose negative balance is what is outstanding.

A steward alone may issue, within any 24 hours, as much as the policy says; beyond that a second steward
approves. Nobody can issue more than the policy's limit.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Sum

from accounts import queries
from accounts.core import policy
from accounts.models import CreditIssue, Membership, StewardAct
from accounts.services import acts, permissions
from common import live, money
from common.errors import Conflict, Invalid
from common.words import said as _
from ledger import queries as ledger_queries
from ledger import services as ledger
from ledger.core.postings import Entry

ALONE_WITHIN = timedelta(hours=24)


class IssueRefused(Invalid):
    """The amount, the address or the reason cannot be accepted; `extra["field"]` names which."""

    code = "credit_issue_refused"
    title = _("This credit cannot be issued")


class IssuanceLimitReached(Conflict):
    """More credit would be outstanding than the policy allows."""

    code = "issuance_limit_reached"
    title = _("The limit of outstanding credit is reached")


class AlreadyDecided(Conflict):
    """The wish has been issued or refused."""

    code = "credit_issue_already_decided"
    title = _("This has been decided")


@transaction.atomic
def propose_credit_issue(
    *, by: Membership, to_address: str, amount_micro: int, reason: str, now: datetime
) -> CreditIssue:
    """Wish for credit; it is issued at once where one steward suffices, and waits for a second otherwise.

    Raises: NotAllowed, IssueRefused, IssuanceLimitReached.
    """
    by = permissions.acting(by, "credit.issue")
    reason = reason.strip()
    if not 0 < len(reason) <= 500:
        raise IssueRefused(_("a reason of 1 to 500 characters is needed"), extra={"field": "reason"})
    if amount_micro <= 0:
        raise IssueRefused(
            _("found %(amount_micro)s; accepted is more than zero", amount_micro=money.format_credits(amount_micro)),
            extra={"field": "amount_micro"},
        )
    _number, rules = queries.current_policy(by.cooperative_id)
    _check_target(by, to_address)
    _check_limit(by.cooperative_id, amount_micro, rules)
    alone = _issued_alone(by.cooperative_id, since=now - ALONE_WITHIN) + amount_micro
    issue = CreditIssue.objects.create(
        cooperative=by.cooperative,
        to_address=to_address,
        amount_micro=amount_micro,
        reason=reason,
        needs_second_steward=alone > rules.issuance_second_steward_above_micro,
        proposed_by=by,
        proposed_at=now,
    )
    acts.record_act(
        by=by,
        act=StewardAct.Act.PROPOSE_CREDIT,
        subject=issue,
        before={},
        after={"to_address": to_address, "amount_micro": amount_micro, "state": issue.state},
        reason=reason,
    )
    return issue if issue.needs_second_steward else _decide(issue, by, CreditIssue.State.ISSUED, now)


@transaction.atomic
def approve_credit_issue(*, by: Membership, issue: CreditIssue, now: datetime) -> CreditIssue:
    """A second steward issues what the first one proposed.

    Raises: NotAllowed, NotFound, AlreadyDecided, SecondStewardNeeded, IssueRefused, IssuanceLimitReached.
    """
    by = permissions.acting(by, "credit.issue")
    issue = _pending(by, issue)
    permissions.check_second(by, issue.proposed_by)
    _number, rules = queries.current_policy(by.cooperative_id)
    _check_target(by, issue.to_address)
    _check_limit(by.cooperative_id, issue.amount_micro, rules)
    return _decide(issue, by, CreditIssue.State.ISSUED, now)


@transaction.atomic
def refuse_credit_issue(*, by: Membership, issue: CreditIssue, now: datetime, reason: str = "") -> CreditIssue:
    """Turn a wish down, or withdraw one's own. Raises: NotAllowed, NotFound, AlreadyDecided."""
    by = permissions.acting(by, "credit.issue")
    return _decide(_pending(by, issue), by, CreditIssue.State.REFUSED, now, reason)


def _pending(by: Membership, issue: CreditIssue) -> CreditIssue:
    found = queries.get_scoped(CreditIssue.objects.select_related("proposed_by__user", "cooperative"), by, pk=issue.pk)
    if found.state != CreditIssue.State.PROPOSED:
        raise AlreadyDecided(
            _(
                "it was %(found)s at %(decided_at)s UTC",
                found=found.get_state_display().lower(),
                decided_at=f"{found.decided_at:%Y-%m-%d %H:%M}",
            )
        )
    return found


def _decide(issue: CreditIssue, by: Membership, state: str, now: datetime, reason: str = "") -> CreditIssue:
    """Only the transaction that moves the row out of PROPOSED moves the credit."""
    decided = CreditIssue.objects.filter(pk=issue.pk, state=CreditIssue.State.PROPOSED).update(
        state=state, decided_by=by, decided_at=now
    )
    issue.refresh_from_db()
    if not decided:
        raise AlreadyDecided(_("it is %(state)s already", state=issue.state))
    issued = state == CreditIssue.State.ISSUED
    acts.record_act(
        by=by,
        act=StewardAct.Act.ISSUE_CREDIT if issued else StewardAct.Act.REFUSE_CREDIT,
        subject=issue,
        before={"state": CreditIssue.State.PROPOSED},
        after={"state": state},
        reason=reason or issue.reason if issued else reason,
    )
    if state == CreditIssue.State.ISSUED:
        source = queries.funds(issue.cooperative_id)["issuance"]
        ledger.transfer(
            key=f"issue:{issue.pk}",
            kind="ISSUE",
            entries=[Entry(source, -issue.amount_micro), Entry(issue.to_address, issue.amount_micro)],
            reason=issue.reason,
        )
        receiver = queries.issue_targets(issue.cooperative)[issue.to_address]
        if receiver is not None:
            live.publish(f"wallet.{receiver.pk}")
    return issue


def _check_target(by: Membership, address: str) -> None:
    if address not in queries.issue_targets(by.cooperative):
        raise IssueRefused(
            _(
                "found %(address)s; accepted are the treasury, the assurance fund and the wallets of "
                "members of %(cooperative)s",
                address=address,
                cooperative=by.cooperative,
            ),
            extra={"field": "to_address"},
        )


def _check_limit(cooperative_id: int, amount_micro: int, rules: policy.Rules) -> None:
    outstanding = -ledger_queries.balance(queries.funds(cooperative_id)["issuance"])
    left = max(rules.issuance_limit_micro - outstanding, 0)
    if amount_micro > left:
        raise IssuanceLimitReached(
            _(
                "%(outstanding)s credits are outstanding of at most %(issuance_limit_micro)s; accepted "
                "are up to %(left)s",
                outstanding=money.format_credits(outstanding),
                issuance_limit_micro=money.format_credits(rules.issuance_limit_micro),
                left=money.format_credits(left),
            ),
            extra={"field": "amount_micro", "available_micro": left},
        )


def _issued_alone(cooperative_id: int, *, since: datetime) -> int:
    """What single stewards have issued since then, so that many small issues are not a way around."""
    total = CreditIssue.objects.filter(
        cooperative_id=cooperative_id,
        state=CreditIssue.State.ISSUED,
        needs_second_steward=False,
        decided_at__gt=since,
    ).aggregate(total=Sum("amount_micro"))["total"]
    return int(total or 0)
