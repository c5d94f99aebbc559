"""A security key as second step, with a real browser and an authenticator that the browser plays."""

import pytest

from accounts import services as accounts
from accounts.models import Membership

PASSWORD = "correct horse battery"


@pytest.fixture
def vera(cooperative):
    """A member who signs in with a password, as people do."""
    user = accounts.create_person(email="vera@example.org", password=PASSWORD, display_name="Vera")
    return Membership.objects.create(cooperative=cooperative, user=user, roles=["MEMBER"])


def sign_in(page, address):
    page.goto(f"{address}/account/login/")
    page.fill("[name=login]", "vera@example.org")
    page.fill("[name=password]", PASSWORD)
    page.click("main form button[type=submit]")


def test_a_key_is_added_and_asked_for_at_the_next_sign_in(transactional_db, chromium, web, vera):
    address = web.address.replace("127.0.0.1", "localhost")  # browsers make keys over plain HTTP for this name alone
    context = chromium.new_context()
    try:
        page = context.new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        debugger = context.new_cdp_session(page)
        debugger.send("WebAuthn.enable")
        options = {"protocol": "ctap2", "transport": "usb", "hasUserVerification": True, "isUserVerified": True}
        debugger.send("WebAuthn.addVirtualAuthenticator", {"options": options | {"automaticPresenceSimulation": True}})

        sign_in(page, address)
        page.wait_for_url(f"{address}/")
        page.goto(f"{address}/account/2fa/webauthn/add/")
        page.fill("[name=password]", PASSWORD)  # changing how one signs in asks for it once more
        page.click("main form button[type=submit]")
        page.fill("[name=name]", "my key ring")
        page.click("#mfa_webauthn_add")
        page.wait_for_url(lambda url: "/webauthn/add/" not in url)
        page.goto(f"{address}/account/2fa/webauthn/")
        assert "my key ring" in page.inner_text("main")

        context.clear_cookies()
        sign_in(page, address)
        page.wait_for_url(f"{address}/account/2fa/authenticate/")
        page.click("#mfa_webauthn_authenticate")
        page.wait_for_url(f"{address}/")
        assert "Vera" in page.inner_text("header.top")
        assert complaints == []

        page.goto(f"{address}/account/sessions/")
        assert page.locator("table tbody tr").count() == 2
        page.click("table tbody button.danger")
        page.wait_for_selector(".message.success")
        assert page.locator("table tbody tr").count() == 1
    finally:
        context.close()
