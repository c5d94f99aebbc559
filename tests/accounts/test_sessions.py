"""Sessions are listed and ended by their person alone; every mail has an HTML part beside its text."""

import pytest
from allauth.usersessions.models import UserSession
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts import services
from accounts.models import Membership

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture
def vera(cooperative):
    user = services.create_person(email="vera@example.org", password=PASSWORD, display_name="Vera")
    Membership.objects.create(cooperative=cooperative, user=user, roles=["MEMBER"])
    return user


def signed_in(browser):
    client = Client(headers={"User-Agent": browser})
    client.post(reverse("account_login"), {"login": "vera@example.org", "password": PASSWORD})
    return client


def test_a_session_ended_elsewhere_opens_nothing_any_more(vera):
    laptop, phone = signed_in("laptop"), signed_in("phone")
    page = laptop.get(reverse("usersessions_list")).text
    ended = UserSession.objects.get(user_agent="phone")

    laptop.post(reverse("end-session", args=[ended.pk]))

    assert "laptop" in page
    assert "phone" in page
    assert phone.get(reverse("jobs")).url.startswith(reverse("account_login"))
    assert laptop.get(reverse("jobs")).status_code == 200


def test_nobody_ends_the_session_of_another(vera, alice, client):
    signed_in("laptop")
    client.force_login(alice.user, backend="allauth.account.auth_backends.AuthenticationBackend")

    answer = client.post(reverse("end-session", args=[UserSession.objects.get().pk]))

    assert answer.status_code == 404
    assert UserSession.objects.count() == 1


def test_the_mail_for_a_forgotten_password_has_text_and_html(vera, client):
    client.post(reverse("account_reset_password"), {"email": "vera@example.org"})

    sent = mail.outbox[-1]
    html, kind = sent.alternatives[0]
    link = next(word for word in sent.body.split() if "/password/reset/key/" in word)
    assert kind == "text/html"
    assert f'<a href="{link}"' in html
