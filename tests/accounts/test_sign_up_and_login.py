"""django-allauth with our user: sign up, verify, log in, second step, recovery, new password, limits."""

import re
import secrets
import time
from http import HTTPStatus

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.urls import reverse

from accounts import services as accounts
from accounts.models import User

PASSWORD = "correct horse battery"
NEW_PASSWORD = "a staple of another kind"


@pytest.fixture
def address():
    """An address of this test alone: limits count per address in Redis, which outlives a test."""
    return f"nina-{secrets.token_hex(6)}@example.org"


@pytest.fixture
def sign_up(address):
    return {"email": address, "password1": PASSWORD, "password2": PASSWORD}


def _is_signed_in(client):
    return "_auth_user_id" in client.session


def _login(client, address, password=PASSWORD):
    return client.post(reverse("account_login"), {"login": address, "password": password})


def _link(mail, pattern):
    return re.search(rf"https?://[^/\s]+({pattern}\S+)", mail.body)[1]


def _code(secret, steps=0):
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


@pytest.fixture
def nina(cooperative, address):
    return accounts.create_person(email=address, password=PASSWORD, display_name="Nina")


@pytest.fixture
def secret(client, nina, address):
    """Nina's TOTP secret, activated through the page."""
    _login(client, address)
    page = client.get(reverse("mfa_activate_totp"))
    if page.status_code == HTTPStatus.FOUND:
        client.post(page["Location"], {"password": PASSWORD})
        page = client.get(reverse("mfa_activate_totp"))
    secret = page.context["form"].secret
    assert secret in page.content.decode()
    assert client.post(reverse("mfa_activate_totp"), {"code": _code(secret)}).status_code == HTTPStatus.FOUND
    return secret


def test_from_sign_up_over_mail_to_login(client, cooperative, mailoutbox, address, sign_up):
    response = client.post(reverse("account_signup"), sign_up)

    assert response["Location"] == reverse("account_email_verification_sent")
    assert not _is_signed_in(client)
    assert _login(client, address)["Location"] == reverse("account_email_verification_sent")
    assert not _is_signed_in(client)
    assert mailoutbox[0].to == [address]

    page = _link(mailoutbox[0], "/account/confirm-email/")
    assert address in client.get(page).content.decode()
    assert not EmailAddress.objects.get().verified
    client.post(page)
    assert EmailAddress.objects.get().verified
    if not _is_signed_in(client):
        _login(client, address)

    assert _is_signed_in(client)
    assert client.get(reverse("tokens")).status_code == HTTPStatus.FORBIDDEN
    user = User.objects.get(email=address)
    assert (user.is_staff, user.is_superuser) == (False, False)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"email": "no address"}, "email"),
        ({"password1": "short", "password2": "short"}, "password1"),
        ({"password1": "password123", "password2": "password123"}, "password1"),
        ({"password2": "another"}, "password2"),
    ],
)
def test_mistakes_stand_at_their_field_and_no_account_is_made(client, cooperative, changed, field, address, sign_up):
    response = client.post(reverse("account_signup"), sign_up | changed)

    assert field in response.context["form"].errors
    assert f'id="id_{field}_error"' in response.content.decode()
    assert not User.objects.filter(email=address).exists()


def test_signing_up_with_a_taken_address_tells_nobody_but_its_owner(client, nina, mailoutbox, address, sign_up):
    response = client.post(reverse("account_signup"), sign_up | {"email": address.capitalize()})

    assert response["Location"] == reverse("account_email_verification_sent")
    assert User.objects.filter(email__iexact=address).count() == 1
    assert [mail.to for mail in mailoutbox] == [[address]]
    assert "confirm-email" not in mailoutbox[0].body


def test_sign_up_is_closed_until_there_is_a_cooperative(client, db, sign_up):
    response = client.post(reverse("account_signup"), sign_up)

    assert "first_steward_link" in response.content.decode()
    assert not User.objects.exists()


def test_a_wrong_password_does_not_log_in(client, nina, address):
    response = _login(client, address, "wrong")

    assert response.context["form"].non_field_errors()
    assert not _is_signed_in(client)


def test_many_wrong_passwords_lock_the_door_for_a_while(client, nina, address):
    for _ in range(5):
        _login(client, address, "wrong")

    response = _login(client, address)

    errors = response.context["form"].non_field_errors().as_data()
    assert [error.code for error in errors] == ["too_many_login_attempts"]
    assert not _is_signed_in(client)


def test_many_accounts_from_one_place_are_too_many(client, cooperative):
    answers = [
        client.post(reverse("account_signup"), {"email": f"{secrets.token_hex(8)}@example.org"}).status_code
        for _ in range(21)
    ]

    assert answers == [HTTPStatus.OK] * 20 + [HTTPStatus.TOO_MANY_REQUESTS]


def test_signing_out_takes_a_click(client, nina, address):
    _login(client, address)
    client.get(reverse("account_logout"))
    assert _is_signed_in(client)

    client.post(reverse("account_logout"))

    assert not _is_signed_in(client)


def test_the_second_step_asks_for_a_code(client, nina, secret, address):
    client.post(reverse("account_logout"))

    assert _login(client, address)["Location"] == reverse("mfa_authenticate")
    assert not _is_signed_in(client)
    refused = client.post(reverse("mfa_authenticate"), {"code": "000000"})
    assert refused.context["form"].errors
    assert not _is_signed_in(client)

    client.post(reverse("mfa_authenticate"), {"code": _code(secret)})

    assert _is_signed_in(client)


def test_a_code_works_once(client, nina, secret, address):
    client.post(reverse("account_logout"))
    code = _code(secret)
    _login(client, address)
    client.post(reverse("mfa_authenticate"), {"code": code})
    client.post(reverse("account_logout"))

    _login(client, address)
    client.post(reverse("mfa_authenticate"), {"code": code})

    assert not _is_signed_in(client)


def test_secrets_of_the_second_step_are_encrypted_at_rest(nina, secret):
    stored = {a.type: a.data for a in Authenticator.objects.filter(user=nina)}

    assert secret not in str(stored)
    assert Authenticator.objects.get(user=nina, type="totp").wrap().validate_code(_code(secret))
    seed = Authenticator.objects.get(user=nina, type="recovery_codes").wrap()
    assert not any(code in str(stored) for code in seed.generate_codes())


def test_a_recovery_code_lets_in_once(client, nina, secret, address):
    codes = re.search(r'<pre id="recovery_codes">(.*?)</pre>', _recovery_page(client), re.DOTALL)[1].split()
    assert len(codes) == 10
    client.post(reverse("account_logout"))

    _login(client, address)
    client.post(reverse("mfa_authenticate"), {"code": codes[0]})
    assert _is_signed_in(client)
    client.post(reverse("account_logout"))
    _login(client, address)
    client.post(reverse("mfa_authenticate"), {"code": codes[0]})

    assert not _is_signed_in(client)


def _recovery_page(client):
    return client.get(reverse("mfa_view_recovery_codes")).content.decode()


def test_new_recovery_codes_end_the_old_ones(client, nina, secret):
    before = _recovery_page(client)

    client.post(reverse("mfa_generate_recovery_codes"))

    after = _recovery_page(client)
    assert not set(re.findall(r"^[0-9A-Za-z]{8}$", before, re.MULTILINE)) & set(
        re.findall(r"^[0-9A-Za-z]{8}$", after, re.MULTILINE)
    )
    assert "10" in after


def test_without_the_app_the_password_is_enough_again(client, nina, secret, address):
    client.post(reverse("mfa_deactivate_totp"))
    client.post(reverse("account_logout"))

    _login(client, address)

    assert _is_signed_in(client)
    assert not Authenticator.objects.filter(user=nina).exists()


def test_a_forgotten_password_is_replaced_by_mail(client, nina, mailoutbox, address):
    client.post(reverse("account_reset_password"), {"email": address})
    page = client.get(_link(mailoutbox[0], "/account/password/reset/key/"), follow=True)

    done = client.post(page.request["PATH_INFO"], {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}, follow=True)

    assert done.status_code == HTTPStatus.OK
    nina.refresh_from_db()
    assert nina.check_password(NEW_PASSWORD)
    again = client.get(_link(mailoutbox[0], "/account/password/reset/key/"), follow=True)
    assert again.context["token_fail"]


def test_nobody_learns_whether_an_address_has_an_account(client, cooperative, mailoutbox):
    response = client.post(reverse("account_reset_password"), {"email": "nobody@example.org"})

    assert response["Location"] == reverse("account_reset_password_done")
    assert all("/password/reset/key/" not in mail.body for mail in mailoutbox)


def test_the_password_is_changed_with_the_old_one(client, nina, address):
    _login(client, address)
    wanted = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}

    client.post(reverse("account_change_password"), {"oldpassword": "wrong", **wanted})
    nina.refresh_from_db()
    assert nina.check_password(PASSWORD)
    client.post(reverse("account_change_password"), {"oldpassword": PASSWORD, **wanted})

    nina.refresh_from_db()
    assert nina.check_password(NEW_PASSWORD)


def test_a_second_address_counts_once_it_is_verified(client, nina, mailoutbox, address):
    _login(client, address)
    client.post(reverse("account_email"), {"action_add": "", "email": f"work-{address}"})
    assert "not confirmed" in client.get(reverse("account_email")).content.decode()

    client.post(_link(mailoutbox[-1], "/account/confirm-email/"))
    client.post(reverse("account_email"), {"action_primary": "", "email": f"work-{address}"})

    nina.refresh_from_db()
    assert nina.email == f"work-{address}"


PAGES = [
    "account_login",
    "account_signup",
    "account_reset_password",
    "account_reset_password_done",
    "account_email_verification_sent",
    "account_inactive",
    "account_reset_password_from_key_done",
]
OWN_PAGES = [
    "account_logout",
    "account_email",
    "account_change_password",
    "account_reauthenticate",
    "mfa_index",
    "mfa_view_recovery_codes",
    "mfa_generate_recovery_codes",
    "mfa_deactivate_totp",
    "mfa_reauthenticate",
]


@pytest.mark.parametrize("name", PAGES)
def test_pages_for_the_signed_out_stand_in_our_frame(client, cooperative, name):
    _assert_in_frame(client.get(reverse(name)))


@pytest.mark.parametrize("name", OWN_PAGES)
def test_pages_of_the_account_stand_in_our_frame(client, secret, name):
    _assert_in_frame(client.get(reverse(name)))


def _assert_in_frame(response):
    text = response.content.decode()
    assert response.status_code == HTTPStatus.OK
    assert "base.html" in {template.name for template in response.templates}
    assert re.search(r"<h1>\s*\S", text)
    assert not re.search(r"\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text)
