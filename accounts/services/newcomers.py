"""Joining a cooperative without a browser: a new person, a membership and a first token in one act."""

from collections.abc import Iterable
from datetime import datetime

from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts import queries
from accounts.models import ApiToken, Membership, User
from accounts.services import api_tokens, invitations, people
from common.errors import Invalid
from common.words import said as _


class PasswordRefused(Invalid):
    """The password is too short, too common or too much like the rest; `problems` says what."""

    code = "password_refused"
    title = _("This password is too easy to guess")


@transaction.atomic
def join_with_invitation(
    *, token: str, email: str, password: str, display_name: str, scopes: Iterable[str], now: datetime
) -> tuple[Membership, ApiToken, str]:
    """Make a person, let them accept the invitation, and give their program a token of `scopes`.

    The invitation is what admits them; the e-mail address stays unverified until its owner proves it, which a login
    asks for. An invitation for one address needs that proof first and is refused.
    Raises: NotFound, InvitationExpired, InvitationRevoked, InvitationUsed, InvitationForAnother, EmailTaken,
    PasswordRefused, TokenRefused.
    """
    invitation = queries.invitation(token)
    invitations.check_usable(invitation=invitation, now=now)
    if invitation.email:
        raise invitations.InvitationForAnother(
            _(
                "this invitation is for one e-mail address, which has to be verified first: sign up on "
                "the page that the link leads to"
            )
        )
    user = _person(email, password, display_name)
    membership = invitations.accept_invitation(token=token, user=user, now=now)
    api_token, secret = api_tokens.issue_api_token(membership=membership, name="first program", scopes=scopes, now=now)
    return membership, api_token, secret


def _person(email: str, password: str, display_name: str) -> User:
    user = User(email=email, display_name=display_name)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise PasswordRefused(" ".join(error.messages), extra={"problems": error.messages}) from error
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, password, display_name=display_name)
    except IntegrityError as error:
        raise people.EmailTaken(
            _("%(email)s has an account; log in and accept the invitation there", email=email)
        ) from error
    EmailAddress.objects.create(user=user, email=user.email, verified=False, primary=True)
    return user
