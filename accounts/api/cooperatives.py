"""Cooperatives and their members."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import authentication, queries, services
from accounts.models import ApiToken, Membership
from accounts.serializers import people
from common import bodies, clock, paging, versions
from common.openapi import ETAG, IF_MATCH, problems, query, reply


class CooperativesView(APIView):
    """Where the asker belongs."""

    @extend_schema(
        operation_id="cooperatives_list",
        parameters=query(paging.PageQuery),
        responses={200: people.CooperativeListReply, **problems(401, 403, 422)},
        tags=["cooperatives"],
    )
    def get(self, request: Request) -> Response:
        """Your cooperatives, first joined first; a token knows its own alone."""
        acting = authentication.require(request, "cooperative.view")
        wanted = bodies.parse_query(request, paging.PageQuery)
        own = queries.memberships_of(acting.user)
        if isinstance(request.auth, ApiToken):
            own = own.filter(pk=acting.pk)
        page, more = paging.oldest_first(own, wanted)
        found = [people.cooperative_line(membership.cooperative) for membership in page]
        return reply(people.CooperativeListReply(cooperatives=found, next=more))


class CooperativeView(APIView):
    """One cooperative."""

    @extend_schema(
        operation_id="cooperative_retrieve",
        responses={200: people.CooperativeReply, **problems(401, 403, 404)},
        tags=["cooperatives"],
    )
    def get(self, request: Request, cooperative_id: int) -> Response:
        """A cooperative of yours."""
        membership = authentication.require(request, "cooperative.view", cooperative_id)
        number, _ = queries.current_policy(membership.cooperative_id)
        return reply(people.cooperative_reply(membership, number))


class MembersView(APIView):
    """Who belongs to a cooperative."""

    @extend_schema(
        operation_id="members_list",
        parameters=query(people.MembersQuery),
        responses={200: people.MemberListReply, **problems(401, 403, 404, 422)},
        tags=["cooperatives"],
    )
    def get(self, request: Request, cooperative_id: int) -> Response:
        """Current members."""
        membership = authentication.require(request, "cooperative.view", cooperative_id)
        wanted = bodies.parse_query(request, people.MembersQuery)
        found = queries.members_matching(membership.cooperative_id, search=wanted.search, role=wanted.role)
        page, more = paging.oldest_first(found, wanted)
        views = [people.member_view(member, viewer=membership) for member in page]
        return reply(people.MemberListReply(members=views, next=more))


class MemberView(APIView):
    """One member."""

    @extend_schema(
        operation_id="member_retrieve",
        parameters=[ETAG],
        responses={200: people.MemberView, **problems(401, 403, 404)},
        tags=["cooperatives"],
    )
    def get(self, request: Request, cooperative_id: int, member_id: int) -> Response:
        """A current member; the answer's ETag is the version of the roles."""
        membership = authentication.require(request, "cooperative.view", cooperative_id)
        return _answer(queries.get_member(membership, member_id), membership)

    @extend_schema(
        operation_id="member_end",
        responses={
            204: OpenApiResponse(None, "The membership has ended."),
            **problems(400, 401, 403, 404, 409, 413, 422),
        },
        tags=["cooperatives"],
    )
    @authentication.once()
    def delete(self, request: Request, cooperative_id: int, member_id: int) -> Response:
        """Leave, or as a steward end somebody's membership; needs a session. The wallet stays as it is."""
        membership = authentication.require(request, "cooperative.leave", cooperative_id)
        member = queries.get_member(membership, member_id)
        services.leave(membership=member, by=membership, now=clock.database_now())
        return Response(status=204)


class MemberRolesView(APIView):
    """What a member is."""

    @extend_schema(
        operation_id="member_roles_set",
        request=people.RolesRequest,
        parameters=[IF_MATCH, ETAG],
        responses={200: people.MemberView, **problems(400, 401, 403, 404, 409, 412, 413, 415, 422, 428)},
        tags=["cooperatives"],
    )
    @authentication.once()
    def put(self, request: Request, cooperative_id: int, member_id: int) -> Response:
        """Give a member exactly these roles; for stewards in a session."""
        membership = authentication.require(request, "members.roles", cooperative_id)
        member = queries.get_member(membership, member_id)
        version = versions.wanted(request.headers)
        wanted = bodies.parse(request, people.RolesRequest)
        changed = services.set_roles(
            by=membership, membership=member, roles=wanted.roles, reason=wanted.reason, version=version
        )
        return _answer(changed, membership)


def _answer(member: Membership, viewer: Membership) -> Response:
    answer = reply(people.member_view(member, viewer=viewer))
    answer["ETag"] = member.version
    return answer
