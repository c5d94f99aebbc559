"""The console in a real browser: quiet under the strict policy, fits, nothing serious for axe, acts have effect."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.sessions.backends.db import SessionStore

from nodes import services as nodes
from nodes.models import Node
from tests.dashboard import scenes

AXE = Path(__file__).with_name("axe.min.js").read_text(encoding="utf-8")
RUN = """axe.run(document, {resultTypes: ["violations"]}).then((found) => JSON.stringify(found.violations.filter(
  ({impact}) => impact === "serious" || impact === "critical").map(
  ({id, nodes}) => `${id}: ${nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`)))"""


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


def serious(page):
    debugger = page.context.new_cdp_session(page)
    debugger.send("Runtime.evaluate", {"expression": AXE})
    answer = debugger.send("Runtime.evaluate", {"expression": RUN, "awaitPromise": True, "returnByValue": True})
    return json.loads(answer["result"]["value"])


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_the_console_is_quiet_fits_and_satisfies_axe(steward, busy, alice, width, theme):
    window = steward(width=width, theme=theme)
    node = busy.shed.pk
    pages = {
        "index": "/console/",
        "members": "/console/accounts/membership/",
        "member": f"/console/accounts/membership/{alice.pk}/",
        "roles": f"/console/accounts/membership/{alice.pk}/roles/",
        "nodes": "/console/nodes/node/",
        "node": f"/console/nodes/node/{node}/",
        "release": f"/console/nodes/node/{node}/release/",
        "propose": "/console/accounts/policyversion/act/propose/",
        "credit": "/console/accounts/creditissue/",
        "job": f"/console/scheduler/job/{busy.job.pk}/",
        "ledger": "/console/ledger/",
        "account": f"/console/ledger/account/?address={alice.wallet}",
        "transfer": f"/console/ledger/transfer/?key=job:{busy.job.pk}:hold",
        "trail": "/console/accounts/stewardact/",
    }
    for name, path in pages.items():
        page = window.goto(path)
        assert page.url.endswith(path), page.url
        if shots := os.environ.get("CONSOLE_SHOTS"):
            page.screenshot(path=f"{shots}/{name}-{width}-{theme}.png", full_page=True)
        too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert too_wide <= 0, path
        assert serious(page) == [], path
        assert window.complaints == [], path


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
