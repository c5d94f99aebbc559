"""Letting people in, and getting in."""

from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import authentication, queries, services
from accounts.models import ApiToken
from accounts.serializers import people
from common import bodies, clock, paging
from common.openapi import problems, query, reply


class InvitationsView(APIView):
    """Invitations of a cooperative."""

    @extend_schema(
        operation_id="invitations_list",
        parameters=query(people.InvitationsQuery),
        responses={200: people.InvitationListReply, **problems(401, 403, 404, 422)},
        tags=["cooperatives"],
    )
    def get(self, request: Request, cooperative_id: int) -> Response:
        """Invitations, newest first, without their secrets."""
        membership = authentication.require(request, "members.invite", cooperative_id)
        wanted, now = bodies.parse_query(request, people.InvitationsQuery), clock.database_now()
        found = queries.invitations_in_state(membership.cooperative_id, wanted.state, now)
        page, more = paging.newest_first(found, wanted)
        views = [people.invitation_view(invitation, now) for invitation in page]
        return reply(people.InvitationListReply(invitations=views, next=more))

    @extend_schema(
        operation_id="invitation_create",
        request=people.InvitationRequest,
        responses={201: people.InvitationReply, **problems(400, 401, 403, 404, 409, 413, 415, 422)},
        tags=["cooperatives"],
    )
    @authentication.once()
    def post(self, request: Request, cooperative_id: int) -> Response:
        """Invite somebody; needs a session."""
        membership = authentication.require(request, "members.invite", cooperative_id)
        wanted = bodies.parse(request, people.InvitationRequest)
        now = clock.database_now()
        invitation, token = services.invite(by=membership, roles=wanted.roles, email=wanted.email or "", now=now)
        link = request.build_absolute_uri(reverse("invite", args=[token]))
        answer = people.InvitationReply(invitation=people.invitation_view(invitation, now), token=token, link=link)
        return reply(answer, status=201)


class InvitationView(APIView):
    """One invitation."""

    @extend_schema(
        operation_id="invitation_revoke",
        responses={200: people.InvitationView, **problems(400, 401, 403, 404, 409, 413, 422)},
        tags=["cooperatives"],
    )
    @authentication.once()
    def delete(self, request: Request, cooperative_id: int, invitation_id: int) -> Response:
        """Take an unused invitation back."""
        membership = authentication.require(request, "members.invite", cooperative_id)
        invitation = queries.get_scoped(queries.invitations(membership.cooperative_id), membership, pk=invitation_id)
        now = clock.database_now()
        revoked = services.revoke_invitation(by=membership, invitation=invitation, now=now)
        return reply(people.invitation_view(revoked, now))


class AcceptView(APIView):
    """A person who has an account joins another cooperative."""

    @extend_schema(
        operation_id="invitation_accept",
        request=people.AcceptRequest,
        responses={
            201: OpenApiResponse(people.MembershipView, "You are a member."),
            **problems(400, 401, 403, 404, 409, 413, 415, 422),
        },
        tags=["people"],
    )
    @authentication.once()
    def post(self, request: Request) -> Response:
        """Accept an invitation as the person of this session or token."""
        if isinstance(request.auth, ApiToken):
            authentication.require(request, "cooperative.join")
        wanted = bodies.parse(request, people.AcceptRequest)
        membership = services.accept_invitation(
            token=wanted.token,
            user=authentication.person_of(request),
            now=clock.database_now(),
            display_name=wanted.display_name or "",
        )
        return reply(people.membership_view(membership), status=201)


class JoinView(APIView):
    """A new person joins, without a browser."""

    authentication_classes: list[type] = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="join",
        request=people.NewcomerRequest,
        responses={
            201: OpenApiResponse(people.NewcomerReply, "You have an account, a membership and a token."),
            **problems(400, 403, 404, 409, 413, 415, 422),
        },
        tags=["people"],
    )
    @authentication.once()
    def post(self, request: Request) -> Response:
        """Make an account with an invitation. Logging in on the pages asks for the e-mail address to be verified."""
        wanted = bodies.parse(request, people.NewcomerRequest)
        membership, token, secret = services.join_with_invitation(**wanted.model_dump(), now=clock.database_now())
        answer = people.NewcomerReply(
            membership=people.membership_view(membership), api_token=secret, scopes=token.scopes
        )
        return reply(answer, status=201)
