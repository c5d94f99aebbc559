"""Keys of members' programs. Only digests are stored; the secret is seen once."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from accounts import queries
from accounts.core import roles, tokens
from accounts.models import ApiToken, Membership
from accounts.services import permissions
from common.errors import Invalid, NotFound
from common.words import said as _

USE_NOTED_EVERY = timedelta(minutes=1)


class TokenRefused(Invalid):
    """No token can be made from this name, these scopes or this time."""

    code = "token_refused"
    title = _("This token cannot be made")


@transaction.atomic
def issue_api_token(
    *,
    membership: Membership,
    name: str,
    scopes: Iterable[str],
    now: datetime,
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """A token of this membership and its secret, which is never seen again.

    Raises: NotFound (membership has ended), TokenRefused.
    """
    membership = permissions.require(membership, "cooperative.view")
    wanted, name = set(scopes), name.strip()
    if not name or len(name) > 100:
        raise TokenRefused(_("a name of 1 to 100 characters tells tokens apart"), extra={"field": "name"})
    if not wanted or not wanted.issubset(roles.SCOPES):
        found = ", ".join(sorted(wanted)) or "no scope"
        raise TokenRefused(
            _("found %(found)s; accepted are one or more of %(scopes)s", found=found, scopes=", ".join(roles.SCOPES)),
            extra={"field": "scopes"},
        )
    if expires_at is not None and expires_at <= now:
        raise TokenRefused(_("the token would have expired already"), extra={"field": "expires_at"})
    secret = tokens.BEGINNING + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        membership=membership,
        name=name,
        prefix=tokens.prefix(secret),
        digest=tokens.digest(secret),
        scopes=[scope for scope in roles.SCOPES if scope in wanted],
        created_at=now,
        expires_at=expires_at,
    )
    return token, secret


@transaction.atomic
def revoke_api_token(*, by: Membership, token: ApiToken, now: datetime) -> None:
    """End one of the member's own tokens. Raises: NotFound for others' tokens and ended ones."""
    if not queries.api_tokens(by).filter(pk=token.pk).update(revoked_at=now):
        raise NotFound(_("there is no such token of yours"))


@transaction.atomic
def find_api_token(secret: str, now: datetime) -> ApiToken | None:
    """The valid token with this secret, with its membership; notes its use at most once a minute."""
    if not tokens.may_be_api_token(secret):
        return None
    token = (
        ApiToken.objects.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=now),
            digest=tokens.digest(secret),
            revoked_at__isnull=True,
            membership__left_at__isnull=True,
            membership__user__is_active=True,
        )
        .select_related("membership__user", "membership__cooperative")
        .first()
    )
    if token and (token.last_used_at is None or token.last_used_at <= now - USE_NOTED_EVERY):
        _note_use(token, now)
    return token


def _note_use(token: ApiToken, now: datetime) -> None:
    """Unless a request beside this one has noted it."""
    ApiToken.objects.filter(
        Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - USE_NOTED_EVERY), pk=token.pk
    ).update(last_used_at=now)
    token.last_used_at = now
