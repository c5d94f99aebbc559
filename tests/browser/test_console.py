"""Acts of the console in a real browser. How its pages look and fit is seen in tests/faces."""

from types import SimpleNamespace

import pytest
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.sessions.backends.db import SessionStore

from nodes import services as nodes
from nodes.models import Node
from tests.dashboard import scenes


@pytest.fixture
def steward(visit, elsewhere, sam):
    """Opens Sam's window, signed in with the second factor."""

    def open_window(**options):
        window = visit(sam, **options)
        key = window.page.context.cookies()[0]["value"]
        elsewhere(lambda: _confirm(key, sam))
        return window

    return open_window


def _confirm(key, membership):
    session = SessionStore(key)
    if not membership.user.authenticator_set.exists():
        TOTP.activate(membership.user, generate_totp_secret())
    record_authentication(SimpleNamespace(session=session), membership.user, method="mfa", type="totp")
    session.save()


@pytest.fixture
def busy(grid, elsewhere, bob, sam, alice, olga, now):
    """A quarantine with an appeal, and credit that waits for a second steward."""

    def happen():
        nodes.quarantine(node=grid.shed, reason="quarantined_by_steward", by=bob, now=now, detail="odd sums")
        nodes.appeal(node=grid.shed, by=olga, text="the fan was broken, it is new now", now=now)
        scenes.credit(bob, alice, 20_000, now)

    happen()
    return grid


def test_from_the_queue_to_the_release(steward, busy, elsewhere):
    window = steward()
    page = window.goto("/console/")

    page.click("tr[data-kind=appeal] a.button")
    page.fill("textarea[name=reason]", "the new fan convinced us")
    page.click("button.primary")

    page.wait_for_selector(".message.success")
    assert elsewhere(lambda: Node.objects.get(pk=busy.shed.pk).state) == "PROBATION"
    assert "the new fan convinced us" in page.content()
    assert window.complaints == []


def test_several_nodes_are_chosen_with_one_click_and_previewed(steward, busy):
    window = steward()
    page = window.goto("/console/nodes/node/")

    page.check("#action-toggle")
    page.select_option("select[name=action]", "quarantine")
    page.click(".console-bulk button")

    page.wait_for_selector(".lines li")
    assert page.locator(".lines li").count() == 2
    assert window.complaints == []
