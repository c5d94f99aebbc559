"""Bearer tokens of members' programs: `Authorization: Bearer cgt_...`."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from accounts import services
from accounts.models import ApiToken, User
from common.clock import database_now


class TokenAuthentication(authentication.BaseAuthentication):
    """request.user is the token's member, request.auth the `ApiToken`."""

    keyword = "Bearer"

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """None where the request carries no bearer token, so that other ways are tried."""
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != self.keyword.lower():
            return None
        token = services.find_api_token(secret.strip(), database_now())
        if token is None:
            raise exceptions.AuthenticationFailed(
                "This token is unknown, expired or revoked. Accepted is an API token of yours: 'Bearer cgt_...'",
                code="token_not_valid",
            )
        return token.membership.user, token

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return f'{self.keyword} realm="api"'


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes it."""

    target_class = TokenAuthentication
    name = "apiToken"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """An HTTP bearer scheme."""
        return {"type": "http", "scheme": "bearer", "description": "An API token of a member."}
