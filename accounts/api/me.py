"""Who asks, and the keys of the asker's programs."""

from datetime import timedelta

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import authentication, queries, services
from accounts.models import ApiToken
from accounts.serializers import people
from common import bodies, clock, paging
from common.openapi import problems, query, reply


class MeView(APIView):
    """The asker."""

    @extend_schema(operation_id="me", responses={200: people.MeReply, **problems(401, 403)}, tags=["people"])
    def get(self, request: Request) -> Response:
        """Who you are, where you belong, and what this session or token may do."""
        token = request.auth if isinstance(request.auth, ApiToken) else None
        person = authentication.person_of(request)
        try:
            acting = authentication.membership_of(request)
        except authentication.NoMembership:
            acting = None
        own = [acting] if token and acting else list(queries.memberships_of(person))
        return reply(
            people.MeReply(
                email=person.email,
                display_name=person.display_name,
                memberships=[people.membership_view(membership) for membership in own],
                acting_as=acting.pk if acting else None,
                permissions=people.permissions_of(acting, token),
                token=people.token_in_use(token) if token else None,
            )
        )


class ApiTokensView(APIView):
    """The asker's API tokens. They are made and ended in a session, never by a token."""

    @extend_schema(
        operation_id="api_tokens_list",
        parameters=query(paging.PageQuery),
        responses={200: people.ApiTokenListReply, **problems(401, 403, 422)},
        tags=["people"],
    )
    def get(self, request: Request) -> Response:
        """Your tokens that have not been revoked, newest first."""
        membership = authentication.require(request, "tokens.manage")
        wanted = bodies.parse_query(request, paging.PageQuery)
        page, more = paging.newest_first(queries.api_tokens(membership), wanted)
        return reply(people.ApiTokenListReply(tokens=[people.token_view(token) for token in page], next=more))

    @extend_schema(
        operation_id="api_token_create",
        request=people.ApiTokenRequest,
        responses={201: people.ApiTokenReply, **problems(400, 401, 403, 409, 413, 415, 422)},
        tags=["people"],
    )
    @authentication.once()
    def post(self, request: Request) -> Response:
        """Make a token; its secret is in this answer and never again."""
        membership = authentication.require(request, "tokens.manage")
        wanted = bodies.parse(request, people.ApiTokenRequest)
        now = clock.database_now()
        token, secret = services.issue_api_token(
            membership=membership,
            name=wanted.name,
            scopes=wanted.scopes,
            now=now,
            expires_at=now + timedelta(days=wanted.valid_days),
        )
        return reply(people.ApiTokenReply(token=people.token_view(token), secret=secret), status=201)


class ApiTokenView(APIView):
    """One API token of the asker's."""

    @extend_schema(
        operation_id="api_token_revoke",
        responses={204: None, **problems(400, 401, 403, 404, 409, 413, 422)},
        tags=["people"],
    )
    @authentication.once()
    def delete(self, request: Request, token_id: int) -> Response:
        """End a token at once."""
        membership = authentication.require(request, "tokens.manage")
        token = queries.get_own_token(membership, token_id)
        services.revoke_api_token(by=membership, token=token, now=clock.database_now())
        return Response(status=204)
