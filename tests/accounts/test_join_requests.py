"""A person asks to join, stewards answer, and the answer is mailed; where the rules say no, nobody asks."""

from dataclasses import replace

import pytest
from django.core import mail
from django.db import connections, transaction
from django.urls import reverse

from accounts import queries, services
from accounts.core import policy
from accounts.models import Invitation, JoinRequest, Membership, StewardAct
from common.errors import NotFound

pytestmark = pytest.mark.django_db


@pytest.fixture
def open_to_all(cooperative, bob, sam):
    """The rules allow asking."""
    rules = replace(policy.Rules(), join_requests_open=1)
    version = services.propose_policy(by=bob, rules=rules, reason="we want to grow")
    services.adopt_policy(by=sam, version=version)


@pytest.fixture
def dora(db):
    """Somebody with an account and no cooperative."""
    return services.create_person(email="dora@example.org", password="correct horse battery", display_name="Dora")


@pytest.fixture
def asked(cooperative, open_to_all, dora, now):
    return services.ask_to_join(user=dora, cooperative=cooperative, message=" I own two GPUs. ", now=now)


def test_nobody_asks_where_the_rules_say_no(cooperative, dora, now):
    with pytest.raises(services.JoinRequestsClosed):
        services.ask_to_join(user=dora, cooperative=cooperative, message="please", now=now)

    assert not JoinRequest.objects.exists()
    assert queries.open_cooperatives(dora) == []


def test_a_request_waits_once(cooperative, asked, dora, alice, now):
    assert (asked.state, asked.message) == ("WAITING", "I own two GPUs.")
    with pytest.raises(services.AlreadyAsked):
        services.ask_to_join(user=dora, cooperative=cooperative, message="again", now=now)
    with pytest.raises(services.AlreadyMember):
        services.ask_to_join(user=alice.user, cooperative=cooperative, message="me too", now=now)
    assert JoinRequest.objects.count() == 1
    assert queries.open_cooperatives(dora) == [cooperative]
    assert queries.open_cooperatives(alice.user) == []


@pytest.mark.parametrize("words", ["", "   ", "x" * 501])
def test_words_are_needed(cooperative, open_to_all, dora, now, words):
    with pytest.raises(services.MessageNeeded):
        services.ask_to_join(user=dora, cooperative=cooperative, message=words, now=now)


def test_a_steward_accepts(asked, dora, sam, now):
    membership = services.accept_request(by=sam, request=asked, now=now)

    asked.refresh_from_db()
    assert (membership.user, membership.roles) == (dora, ["MEMBER"])
    assert (asked.state, asked.decided_by) == ("ACCEPTED", sam)
    assert StewardAct.objects.get(act="ACCEPT_JOIN_REQUEST").by == sam
    with pytest.raises(services.RequestDecided):
        services.decline_request(by=sam, request=asked, reason="too late", now=now)
    assert Membership.objects.filter(user=dora, left_at__isnull=True).exists()


def test_declining_needs_a_reason_and_leaves_the_door_open(cooperative, asked, dora, sam, now):
    with pytest.raises(services.ReasonNeeded):
        services.decline_request(by=sam, request=asked, reason=" ", now=now)
    services.decline_request(by=sam, request=asked, reason="we do not know you", now=now)

    again = services.ask_to_join(user=dora, cooperative=cooperative, message="ask Alice", now=now)
    assert again.state == "WAITING"
    assert not Membership.objects.filter(user=dora).exists()
    assert StewardAct.objects.get(act="DECLINE_JOIN_REQUEST").reason == "we do not know you"


def test_only_stewards_of_this_cooperative_decide(asked, alice, charlie, now):
    with pytest.raises(services.NotAllowed):
        services.accept_request(by=alice, request=asked, now=now)
    with pytest.raises(NotFound):
        services.accept_request(by=charlie, request=asked, now=now)
    asked.refresh_from_db()
    assert asked.state == "WAITING"


def test_only_the_person_takes_it_back(asked, dora, alice, sam, now):
    with pytest.raises(NotFound):
        services.withdraw_request(user=alice.user, request=asked, now=now)
    services.withdraw_request(user=dora, request=asked, now=now)

    with pytest.raises(services.RequestDecided):
        services.accept_request(by=sam, request=asked, now=now)
    assert not Membership.objects.filter(user=dora).exists()


def signed_in(client, user):
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_a_stranger_finds_the_cooperative_and_asks(client, cooperative, open_to_all, dora):
    signed_in(client, dora)
    address = reverse("ask-to-join", args=[cooperative.slug])

    assert address in client.get(reverse("jobs")).text
    refused = client.post(address, {"message": ""})
    client.post(address, {"message": "I own two GPUs."})
    page = client.get(address).text
    client.post(reverse("withdraw-request", args=[cooperative.slug]))

    assert refused.status_code == 422
    assert "Your request waits for a steward" in page
    assert JoinRequest.objects.get().state == "WITHDRAWN"


def test_the_stewards_see_it_and_answer_by_mail(client, asked, sam, alice):
    signed_in(client, alice.user)
    address = reverse("decide-join-request", args=[asked.pk, "decline"])
    assert "They ask to join" not in client.get(reverse("cooperative")).text
    assert client.post(address, {"reason": "no"}).status_code == 403

    signed_in(client, sam.user)
    assert "Somebody asks to join." in client.get(reverse("home")).text
    assert "I own two GPUs." in client.get(reverse("cooperative")).text
    client.post(address, {"reason": "we <do not> know you"})

    sent = mail.outbox[-1]
    html = sent.alternatives[0][0]
    assert sent.to == ["dora@example.org"]
    assert "Riverside" in sent.subject
    assert "we <do not> know you" in sent.body
    assert "we &lt;do not&gt; know you" in html


def test_accepting_from_the_page_makes_a_member(client, asked, sam, dora):
    signed_in(client, sam.user)

    client.post(reverse("decide-join-request", args=[asked.pk, "accept"]))

    assert Membership.objects.get(user=dora).roles == ["MEMBER"]
    assert "You are a member of Riverside now." in mail.outbox[-1].body


def test_an_invitation_for_an_address_is_mailed_as_text_and_html(client, bob, settings):
    signed_in(client, bob.user)

    page = client.post(reverse("create-invitation"), {"roles": ["MEMBER"], "email": "eve@example.org"}).text

    invitation, sent = Invitation.objects.get(), mail.outbox[-1]
    link = page.split('id="invitation-link">')[1].split("<")[0]
    html = sent.alternatives[0][0]
    assert sent.to == ["eve@example.org"]
    assert "Riverside" in sent.subject
    for text in (sent.body, html):
        assert link in text
        assert f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC" in text
    assert "The link is sent to eve@example.org." in page


def test_a_mail_that_cannot_be_sent_leaves_the_link_on_the_page(client, bob, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    signed_in(client, bob.user)

    page = client.post(reverse("create-invitation"), {"roles": ["MEMBER"], "email": "eve@example.org"}).text

    assert "The mail could not be sent." in page
    assert 'id="invitation-link"' in page


@pytest.mark.django_db(transaction=True)
def test_of_two_stewards_who_decide_at_once_one_wins(asked, bob, sam, now):
    from concurrent.futures import ThreadPoolExecutor

    def decide(steward):
        try:
            services.accept_request(by=steward, request=asked, now=now)
            return "won"
        except services.RequestDecided:
            return "late"
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=2) as pool:
        assert sorted(pool.map(decide, [bob, sam])) == ["late", "won"]
    with transaction.atomic():
        assert StewardAct.objects.filter(act="ACCEPT_JOIN_REQUEST").count() == 1
