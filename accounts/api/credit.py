"""Issuing credit: one steward wishes, a second one decides where the rules ask for it. Only in a session."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import authentication, queries, services
from accounts.models import CreditIssue, Membership
from accounts.serializers import rules
from common import bodies, clock, paging
from common.openapi import problems, query, reply


class CreditIssuesView(APIView):
    """Wishes to issue credit."""

    @extend_schema(
        operation_id="credit_issues_list",
        parameters=query(rules.CreditIssuesQuery),
        responses={200: rules.CreditIssueListReply, **problems(401, 403, 404, 422)},
        tags=["credit"],
    )
    def get(self, request: Request, cooperative_id: int) -> Response:
        """Wishes and what became of them, newest first."""
        membership = authentication.require(request, "cooperative.view", cooperative_id)
        wanted = bodies.parse_query(request, rules.CreditIssuesQuery)
        found = queries.credit_issues(membership.cooperative)
        if wanted.state is not None:
            found = found.filter(state=wanted.state)
        page, more = paging.newest_first(found, wanted)
        views = [rules.credit_issue_view(issue) for issue in page]
        return reply(rules.CreditIssueListReply(credit_issues=views, next=more))

    @extend_schema(
        operation_id="credit_issue_propose",
        request=rules.CreditIssueRequest,
        responses={
            201: OpenApiResponse(rules.CreditIssueView, "Issued, or waiting for a second steward; `state` says which."),
            **problems(400, 401, 403, 404, 409, 413, 415, 422),
        },
        tags=["credit"],
    )
    @authentication.once()
    def post(self, request: Request, cooperative_id: int) -> Response:
        """Issue credit, at once where one steward suffices."""
        membership = authentication.require(request, "credit.issue", cooperative_id)
        wanted = bodies.parse(request, rules.CreditIssueRequest)
        issue = services.propose_credit_issue(
            by=membership,
            to_address=_address(membership, wanted.to),
            amount_micro=wanted.amount_micro,
            reason=wanted.reason,
            now=clock.database_now(),
        )
        return _answer(membership, issue.pk, status=201)


class ApproveView(APIView):
    """A second steward agrees."""

    @extend_schema(
        operation_id="credit_issue_approve",
        request=None,
        responses={200: rules.CreditIssueView, **problems(400, 401, 403, 404, 409, 413, 422)},
        tags=["credit"],
    )
    @authentication.once()
    def post(self, request: Request, cooperative_id: int, issue_id: int) -> Response:
        """Issue what another steward proposed."""
        membership = authentication.require(request, "credit.issue", cooperative_id)
        issue = _issue(membership, issue_id)
        services.approve_credit_issue(by=membership, issue=issue, now=clock.database_now())
        return _answer(membership, issue_id)


class RefuseView(APIView):
    """A steward turns it down."""

    @extend_schema(
        operation_id="credit_issue_refuse",
        request=rules.RefusalRequest,
        responses={200: rules.CreditIssueView, **problems(400, 401, 403, 404, 409, 413, 415, 422)},
        tags=["credit"],
    )
    @authentication.once()
    def post(self, request: Request, cooperative_id: int, issue_id: int) -> Response:
        """Turn a wish down, or withdraw your own."""
        membership = authentication.require(request, "credit.issue", cooperative_id)
        wanted = bodies.parse(request, rules.RefusalRequest)
        services.refuse_credit_issue(
            by=membership, issue=_issue(membership, issue_id), now=clock.database_now(), reason=wanted.reason
        )
        return _answer(membership, issue_id)


def _address(membership: Membership, to: str | int) -> str:
    if isinstance(to, str):
        return queries.funds(membership.cooperative_id)[to]
    return queries.get_member(membership, to).wallet


def _issue(membership: Membership, issue_id: int) -> CreditIssue:
    return queries.get_scoped(queries.credit_issues(membership.cooperative), membership, pk=issue_id)


def _answer(membership: Membership, issue_id: int, *, status: int = 200) -> Response:
    return reply(rules.credit_issue_view(_issue(membership, issue_id)), status=status)
