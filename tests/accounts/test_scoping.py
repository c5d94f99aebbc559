"""Whom a request acts for, what it may, and that nobody sees another cooperative."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.test import RequestFactory
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import authentication, queries
from accounts import services as accounts
from accounts.models import Membership, PolicyVersion, User
from common.clock import database_now
from common.errors import NotFound


def _request(user, cooperative=None):
    request = RequestFactory().get("/")
    request.user, request.session = user, SessionStore()
    if cooperative:
        request.session["cooperative_id"] = cooperative.pk
    return request


def _bearer(secret):
    return {"HTTP_AUTHORIZATION": f"Bearer {secret}"}


@pytest.fixture
def bob_in_two(bob, charlie, now):
    """Bob, who belongs to charlie's cooperative as well, there as a mere member."""
    _, token = accounts.invite(by=charlie, roles=["MEMBER"], now=now)
    accounts.accept_invitation(token=token, user=bob.user, now=now)
    return bob.user


def test_a_query_shows_the_rows_of_the_own_cooperative_alone(bob, charlie):
    assert {v.cooperative for v in queries.scoped(PolicyVersion.objects.all(), bob)} == {bob.cooperative}
    through = queries.scoped(User.objects.all(), charlie, through="memberships__cooperative")
    assert list(through) == [charlie.user]


def test_a_row_of_another_cooperative_is_not_found(bob, charlie):
    foreign = PolicyVersion.objects.get(cooperative=charlie.cooperative)

    with pytest.raises(NotFound):
        queries.get_scoped(PolicyVersion.objects.all(), bob, pk=foreign.pk)


def test_a_session_acts_for_the_first_cooperative_until_another_is_chosen(bob, charlie, bob_in_two):
    assert authentication.current_membership(_request(bob_in_two)) == bob

    elsewhere = authentication.current_membership(_request(bob_in_two, charlie.cooperative))

    assert (elsewhere.cooperative, elsewhere.roles) == (charlie.cooperative, ["MEMBER"])


def test_a_chosen_cooperative_that_was_left_is_forgotten(bob, charlie, bob_in_two, now):
    accounts.leave(membership=Membership.objects.get(user=bob_in_two, cooperative=charlie.cooperative), now=now)

    assert authentication.current_membership(_request(bob_in_two, charlie.cooperative)) == bob


def test_roles_of_one_cooperative_mean_nothing_in_another(charlie, bob_in_two):
    request = _request(bob_in_two)

    assert authentication.require(request, "members.invite").user == bob_in_two
    with pytest.raises(accounts.NotAllowed):
        authentication.require(request, "members.invite", charlie.cooperative)


def test_a_cooperative_one_does_not_belong_to_is_not_found(bob, charlie):
    with pytest.raises(NotFound):
        authentication.membership_of(_request(bob.user), charlie.cooperative)
    with pytest.raises(NotFound):
        authentication.membership_of(_request(bob.user), 999_999)


def test_without_a_cooperative_one_is_told_so(db):
    lonely = User.objects.create_user("lonely@example.org", "correct horse battery")

    with pytest.raises(authentication.NoMembership):
        authentication.current_membership(_request(lonely))


def test_signed_out_there_is_no_membership(cooperative):
    with pytest.raises(NotFound):
        authentication.current_membership(_request(AnonymousUser()))
    with pytest.raises(NotFound):
        authentication.membership_of(_request(AnonymousUser()), cooperative)


class WhoAmI(APIView):
    authentication_classes = [authentication.TokenAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request, permission="jobs.submit", cooperative=None):
        membership = authentication.require(request, permission, cooperative)
        return Response({"membership": membership.pk})

    def handle_exception(self, exc):
        raise exc


def _api(secret, **kwargs):
    return WhoAmI.as_view()(RequestFactory().get("/", **_bearer(secret)), **kwargs)


@pytest.fixture
def token(alice):
    _, secret = accounts.issue_api_token(membership=alice, name="laptop", scopes=["jobs:write"], now=database_now())
    return secret


def test_a_bearer_acts_for_the_membership_of_the_token(token, alice):
    assert _api(token).data == {"membership": alice.pk}
    assert _api(token, cooperative=alice.cooperative_id).data == {"membership": alice.pk}


def test_a_token_opens_no_other_cooperative_of_the_same_person(charlie, bob, bob_in_two):
    _, secret = accounts.issue_api_token(membership=bob, name="x", scopes=["jobs:write"], now=database_now())

    with pytest.raises(NotFound):
        _api(secret, cooperative=charlie.cooperative_id)


def test_a_token_does_not_reach_beyond_its_scopes(token):
    with pytest.raises(authentication.ScopeNotGranted) as refused:
        _api(token, permission="market.trade")

    assert refused.value.extra["accepted_scopes"] == ["market:write"]


def test_a_scope_does_not_reach_beyond_the_bearers_roles(alice):
    _, secret = accounts.issue_api_token(membership=alice, name="x", scopes=["wallet:read"], now=database_now())

    with pytest.raises(accounts.NotAllowed):
        _api(secret, permission="ledger.view_all")


@pytest.mark.parametrize("secret", ["", "cgt_wrong-but-long-enough", "x" * 5000])
def test_a_wrong_token_is_refused(db, secret):
    with pytest.raises(AuthenticationFailed):
        _api(secret)


def test_a_wrong_token_gets_a_401_that_asks_for_one(db, monkeypatch):
    monkeypatch.delattr(WhoAmI, "handle_exception")

    response = _api("cgt_wrong-but-long-enough")

    assert (response.status_code, response.data["code"]) == (401, "token_not_valid")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


@authentication.member_page("members.invite")
def a_page(request, membership):
    return HttpResponse(str(membership))


def test_a_page_gets_the_membership(bob):
    assert a_page(_request(bob.user)).content == b"Bob in Riverside"


def test_a_page_refuses_whoever_may_not(alice):
    with pytest.raises(PermissionDenied, match="STEWARD"):
        a_page(_request(alice.user))


def test_a_page_turns_what_is_not_found_into_404(bob):
    @authentication.member_page("cooperative.view")
    def lost(request, membership):
        raise NotFound("gone")

    with pytest.raises(Http404, match="gone"):
        lost(_request(bob.user))


def test_a_page_sends_the_signed_out_to_the_login(cooperative):
    response = a_page(_request(AnonymousUser()))

    assert (response.status_code, response["Location"]) == (302, "/account/login/?next=/")
