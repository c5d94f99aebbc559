"""The rule book: what is in force, what was, and what somebody proposes."""

import dataclasses

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import authentication, queries, services
from accounts.core import policy
from accounts.models import PolicyVersion
from accounts.serializers import rules
from common import bodies, paging, versions
from common.openapi import ETAG, IF_MATCH, problems, query, reply


class PoliciesView(APIView):
    """Versions of a cooperative's rules."""

    @extend_schema(
        operation_id="policies_list",
        parameters=query(paging.PageQuery),
        responses={200: rules.PolicyListReply, **problems(401, 403, 404, 422)},
        tags=["policies"],
    )
    def get(self, request: Request, cooperative_id: int) -> Response:
        """All versions, newest first."""
        membership = authentication.require(request, "cooperative.view", cooperative_id)
        wanted = bodies.parse_query(request, paging.PageQuery)
        in_force, _ = queries.current_policy(membership.cooperative_id)
        page, more = paging.newest_first(queries.policy_history(membership.cooperative_id), wanted)
        views = [rules.policy_view(version, in_force) for version in page]
        return reply(rules.PolicyListReply(policies=views, next=more))

    @extend_schema(
        operation_id="policy_propose",
        request=rules.PolicyRequest,
        parameters=[IF_MATCH, ETAG],
        responses={
            201: OpenApiResponse(rules.PolicyReply, "Proposed; a second steward adopts it."),
            **problems(400, 401, 403, 404, 409, 412, 413, 415, 422, 428),
        },
        tags=["policies"],
    )
    @authentication.once()
    def post(self, request: Request, cooperative_id: int) -> Response:
        """Propose the next rules, against those in force that you saw; for stewards in a session."""
        membership = authentication.require(request, "policy.propose", cooperative_id)
        version = versions.wanted(request.headers)
        wanted = bodies.parse(request, rules.PolicyRequest)
        _, current = queries.current_policy(membership.cooperative_id)
        changed = dataclasses.replace(current, **{str(name): value for name, value in wanted.rules.items()})
        proposed = services.propose_policy(by=membership, rules=changed, reason=wanted.reason, version=version)
        return _answer(membership.cooperative_id, proposed.number, status=201)


class CurrentPolicyView(APIView):
    """The rules in force."""

    @extend_schema(
        operation_id="policy_current",
        parameters=[ETAG],
        responses={200: rules.PolicyReply, **problems(401, 403, 404)},
        tags=["policies"],
    )
    def get(self, request: Request, cooperative_id: int) -> Response:
        """The rules in force and what they changed; the ETag goes into a proposal's If-Match."""
        membership = authentication.require(request, "cooperative.view", cooperative_id)
        in_force, _ = queries.current_policy(membership.cooperative_id)
        return _answer(membership.cooperative_id, in_force)


class PolicyView(APIView):
    """One version."""

    @extend_schema(
        operation_id="policy_retrieve",
        parameters=[ETAG],
        responses={200: rules.PolicyReply, **problems(401, 403, 404)},
        tags=["policies"],
    )
    def get(self, request: Request, cooperative_id: int, number: int) -> Response:
        """A version, adopted or not, and what it changes."""
        membership = authentication.require(request, "cooperative.view", cooperative_id)
        return _answer(membership.cooperative_id, number)


class AdoptView(APIView):
    """A second steward decides."""

    @extend_schema(
        operation_id="policy_adopt",
        request=None,
        parameters=[ETAG],
        responses={200: rules.PolicyReply, **problems(400, 401, 403, 404, 409, 413, 422)},
        tags=["policies"],
    )
    @authentication.once()
    def post(self, request: Request, cooperative_id: int, number: int) -> Response:
        """Make a proposed version the rule; for a steward who did not propose it, in a session."""
        membership = authentication.require(request, "policy.adopt", cooperative_id)
        services.adopt_policy(by=membership, version=queries.policy_version(membership.cooperative_id, number))
        return _answer(membership.cooperative_id, number)


def _answer(cooperative_id: int, number: int, *, status: int = 200) -> Response:
    in_force, _ = queries.current_policy(cooperative_id)
    version = queries.policy_version(cooperative_id, number)
    answer = reply(rules.policy_reply(version, in_force, _replaced(version)), status=status)
    answer["ETag"] = policy.version_of(in_force)
    return answer


def _replaced(version: PolicyVersion) -> policy.Rules | None:
    return queries.policy(version.cooperative_id, version.replaces) if version.replaces else None
