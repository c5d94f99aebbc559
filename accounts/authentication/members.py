"""The membership a request acts for, and the check of its permission.

Pages act for the cooperative chosen in the session; an API token acts for its own membership alone.
Whoever is not a member gets 404, so that nobody learns what exists elsewhere.
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from rest_framework.request import Request

from accounts import queries, services
from accounts.core import roles
from accounts.models import ApiToken, Cooperative, Membership, User
from common import refusals
from common.errors import Forbidden, NotFound
from common.words import said as _

COOPERATIVE_KEY = "cooperative_id"
INVITATION_COOKIE = "invitation"
"""Remembers, in the browser alone, the link that somebody followed before logging in."""

P = ParamSpec("P")


class NoMembership(Forbidden):
    """The person is known and belongs to no cooperative."""

    code = "no_membership"
    title = _("You belong to no cooperative yet")


class ScopeNotGranted(Forbidden):
    """The API token was made without the scope that this needs."""

    code = "scope_not_granted"
    title = _("This token's scopes do not allow this")


def person_of(request: HttpRequest | Request) -> User:
    """Who is signed in, or whose token it is. Raises: NotFound (signed out)."""
    if not (request.user and request.user.is_authenticated):
        raise NotFound(_("log in first"))
    return request.user


def current_membership(request: HttpRequest | Request) -> Membership:
    """The membership chosen in the session, or the first one. Raises: NotFound (signed out), NoMembership."""
    own = queries.memberships_of(person_of(request))
    chosen = request.session.get(COOPERATIVE_KEY)
    membership = (own.filter(cooperative_id=chosen).first() if chosen else None) or own.first()
    if membership is None:
        raise NoMembership(_("ask a steward of a cooperative for an invitation link, then open it"))
    return membership


def membership_of(request: HttpRequest | Request, cooperative: Cooperative | int | None = None) -> Membership:
    """Whom the request acts for, in `cooperative` where one is named.

    Raises: NotFound (not a member there, or a token of another cooperative), NoMembership.
    """
    token = getattr(request, "auth", None)
    if cooperative is None:
        return token.membership if isinstance(token, ApiToken) else current_membership(request)
    wanted = cooperative.pk if isinstance(cooperative, Cooperative) else cooperative
    if isinstance(token, ApiToken):
        found = token.membership if token.membership.cooperative_id == wanted else None
    elif request.user and request.user.is_authenticated:
        found = queries.memberships_of(request.user).filter(cooperative_id=wanted).first()
    else:
        found = None
    if found is None:
        raise NotFound(_("there is no such cooperative of yours"))
    return found


def require(
    asker: HttpRequest | Request | Membership,
    permission: str,
    cooperative: Cooperative | int | None = None,
) -> Membership:
    """The membership that may, by its roles and by the scopes of the API token if it came by one.

    Raises: NotFound, NoMembership, services.NotAllowed, ScopeNotGranted.
    """
    if isinstance(asker, Membership):
        return services.require(asker, permission)
    membership = services.require(membership_of(asker, cooperative), permission)
    token = getattr(asker, "auth", None)
    if isinstance(token, ApiToken) and not roles.token_may(membership.roles, token.scopes, permission):
        accepted = [scope for scope in roles.SCOPES if permission in roles.SCOPE_PERMISSIONS[scope]]
        raise ScopeNotGranted(
            _(
                "this token has the scopes %(scopes)s; %(permission)s needs %(accepted)s",
                scopes=", ".join(token.scopes),
                permission=permission,
                accepted=" or ".join(accepted) or "a session, no token can do this",
            ),
            extra={"permission": permission, "accepted_scopes": accepted},
        )
    return membership


def allows(request: Request, permission: str) -> bool:
    """Whether the asker has the permission besides the one they came by. Raises: as `require`."""
    try:
        require(request, permission)
    except Forbidden:
        return False
    return True


def choose_cooperative(request: HttpRequest, membership: Membership) -> None:
    """Make the membership's cooperative the one that pages of this session act for."""
    request.session[COOPERATIVE_KEY] = membership.cooperative_id


def member_page(
    permission: str,
) -> Callable[
    [Callable[Concatenate[HttpRequest, Membership, P], HttpResponseBase]],
    Callable[Concatenate[HttpRequest, P], HttpResponseBase],
]:
    """A page for members with `permission`: the view is called with the request and the membership.

    Signed out: to the login and back. No cooperative: told how to get into one. Not found: 404. Not allowed: 403.
    """

    def decorate(
        view: Callable[Concatenate[HttpRequest, Membership, P], HttpResponseBase],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
        @wraps(view)
        def page(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            try:
                return view(request, require(request, permission), *args, **kwargs)
            except NoMembership as error:
                context = {"error": error, "cooperatives": queries.open_cooperatives(person_of(request))}
                return render(request, "accounts/no_membership.html", context, status=error.status)
            except NotFound as error:
                raise Http404(refusals.translated(error.detail)) from error
            except Forbidden as error:
                raise PermissionDenied(refusals.translated(error.detail)) from error

        return login_required(page)

    return decorate
