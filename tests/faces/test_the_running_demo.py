"""The faces of a running grid as people meet them: every page, whoever looks, at both widths, in both themes."""

import json
import os
import re
import time
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from config.embedded import CHECKOUT
from demo import digits, job
from tests import browsing
from tests.faces import acts, running_demo, walk
from tests.permissions import table

pytestmark = pytest.mark.timeout(600)
SCREENS = Path(os.environ.get("COMMONGRID_SCREENS", CHECKOUT / "run" / "screens"))
PEOPLE = sorted({person for page in walk.PAGES for person in page.who})
OTHERS = ["ben@example.org", "pavel@example.org", "zoe@example.org"]
LOOKS = [(width, theme) for width in (1280, 390) for theme in ("light", "dark")]
SOON = 20_000
FAILED = "Failed to load resource: the server responded with a status of %d"
SEEN = """window.seenAt = null;
new MutationObserver(() => { if (!window.seenAt && (%s)) window.seenAt = Date.now(); })
  .observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true})"""
TRADES = "[data-panel=market-trades] tr[data-row]"
NEWEST = f"Math.max(...[...document.querySelectorAll('{TRADES}')].map((row) => +row.dataset.row))"


@pytest.fixture(scope="module")
def demo():
    with running_demo.serving() as served:
        yield served


@pytest.fixture(scope="module")
def signed_in(demo, chromium):
    """Everybody's session, from the sign-in form; the steward's with a second factor, as the console asks for."""

    def sign_in(person):
        context = chromium.new_context()
        page = context.new_page()
        if person == walk.STRANGER:
            page.goto(f"{demo.url}/account/signup/")
            acts.sign_up(page, demo, person)
        else:
            page.goto(f"{demo.url}/account/login/")
            page.fill("input[name=login]", person)
            page.fill("input[name=password]", running_demo.PASSWORD)
            page.click("main form button[type=submit]")
            page.wait_for_selector("nav.rail")
        if person == walk.STEWARD:
            acts.open_the_console(page, demo)
        state = context.storage_state()
        context.close()
        return state

    return {person: browsing.in_its_thread(sign_in, person) if person else None for person in [*PEOPLE, *OTHERS]}


@pytest.fixture(scope="module")
def furnished(demo, chromium, signed_in):
    """What the walk wants to see and the story does not leave: somebody who waits, credit that waits, a token."""

    def furnish():
        for person, path, act in (
            (walk.STRANGER, "/", lambda page: acts.ask_to_join(page, demo, "I have two workstations and time")),
            (walk.STEWARD, "/cooperative/", lambda page: acts.propose_credit(page, "a battery")),
            (walk.OPERATOR, "/nodes/add/", lambda page: acts.prepare_a_machine(page, "olgas-laptop")),
        ):
            context = chromium.new_context(storage_state=signed_in[person])
            page = context.new_page()
            page.goto(f"{demo.url}{path}")
            act(page)
            context.close()

    browsing.in_its_thread(furnish)


@pytest.fixture
def visit(demo, chromium, signed_in):
    """Opens a window in which a person of the demo is signed in."""
    contexts = []

    def open_window(person, *, width=1280, theme="light"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, storage_state=signed_in[person]
        )
        contexts.append(context)
        return browsing.Visit(context.new_page(), demo.url)

    yield open_window
    for context in contexts:
        browsing.in_its_thread(context.close)


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.partition("@")[0] or "anybody")
def test_every_page_is_quiet_fits_and_satisfies_axe(visit, furnished, person):
    """Each page is loaded once and looked at in every size and theme; without motion, since a glow keeps its theme."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    window = visit(person)
    found = {}
    for entry, path in walk.addresses(window.goto, person):
        window.complaints.clear()
        page = window.goto(path)
        if "/reauthenticate/" in page.url and "/reauthenticate/" not in path:
            page.fill("main form [name=password]", running_demo.PASSWORD)
            page.click("main form button.primary")
        assert page.url.removeprefix(window.address) == path, f"{entry.name} led to {page.url}"
        if page.locator("body[data-live]").count():
            window.is_live()
        for width, theme in LOOKS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            name = f"{entry.name}-{person.partition('@')[0] or 'anybody'}-{width}-{theme}.png"
            page.screenshot(path=SCREENS / name, full_page=True)
            objections = browsing.objections(page)
            if (too_wide := browsing.overflow(page)) > 0:
                objections.append(f"{too_wide} px too wide")
            if objections:
                found[name] = objections
        page.set_viewport_size({"width": 1280, "height": 900})
        told = (f"{entry.status} {page.url}", FAILED % entry.status) if entry.status != 200 else ()
        if complaints := [each for each in window.complaints if not told or not each.startswith(told)]:
            found[f"{entry.name} {path}"] = complaints
    assert found == {}


def test_every_page_there_is_is_in_the_walk():
    pages = table.rows()
    answering = {address for address in table.addresses() if table.row_of(address, "GET", pages)}
    walked = {_kind(page.address) for page in walk.PAGES}
    missing = {
        address
        for address in answering - walk.NOT_WALKED.keys()
        if not address.endswith((".csv", ".zip", "/download/"))
        and (not address.startswith("/api/") or address.endswith("/docs/"))
        and _kind(address) not in walked
    }
    assert missing == set()
    assert walk.NOT_WALKED.keys() <= answering


def _kind(address):
    """The sections of the console share their kinds of pages; an act of one stands for all."""
    address = re.sub(r"^(/console/)(?!ledger/)\w+/\w+/", r"\1*/", address)
    return re.sub(r"^(/console/\*/(?:act|<object_id>)/)[\w<>]+/", r"\1<slug>/", address)


@pytest.mark.parametrize("act", acts.ACTS, ids=lambda act: act.__name__)
def test_the_primary_action_of_each_page_has_its_effect(visit, demo, act):
    act(visit, demo)


def test_a_trade_a_job_and_a_quarantine_are_seen_at_once_by_all_whom_they_concern(visit, demo):
    """Nothing is loaded again. How long it took goes to the screenshots' folder; a page may be as late as it polls."""
    mia, olga, ada = (visit(person) for person in (walk.MEMBER, walk.OPERATOR, walk.STEWARD))
    mias_token = _token(mia, "jobs:read", "jobs:write")
    grid = httpx.Client(base_url=demo.url, headers={"Authorization": f"Bearer {mias_token}"}, timeout=30)
    took = {}

    for window in (mia, olga, ada):
        _watch(window, "/market/", f"document.querySelector('{TRADES}') && {NEWEST} > {_known(window)}")
    began = time.time() * 1000
    job_id = job.submit(grid, digits.load().scans[:50], _version(grid), "none")
    took["trade"] = [_seen(window) - began for window in (mia, olga, ada)]

    for window in (mia, ada):
        _watch(window, f"/jobs/{job_id}/", "document.querySelector('[data-panel=job-state] .good')")
        if window.page.locator("[data-panel=job-state] .good").count():
            window.page.evaluate("window.seenAt = Date.now()")
    done = job.follow(grid, job_id, lambda _: None)
    took["job"] = [_seen(window) - _ms(done["finished_at"]) for window in (mia, ada)]

    node = ada.goto("/nodes/").locator("main a", has_text="olgas-workstation").first.get_attribute("href")
    row = f"[data-panel=nodes-list] tr[data-row='{node.split('/')[2]}']"
    _watch(mia, "/nodes/", f'document.querySelector("{row} .bad")')
    _watch(olga, node, "document.querySelector('[data-panel=node-state] .banner.bad')")
    page = ada.goto(node)
    page.fill("form[action$='/quarantine/'] [name=text]", "seen sending strange results")
    began = time.time() * 1000
    page.click("form[action$='/quarantine/'] button")
    took["quarantine"] = [_seen(window) - began for window in (mia, olga)]
    expect(olga.page.locator("[data-panel=node-state]")).to_contain_text("Quarantined")
    page.fill("form[action$='/release/'] [name=text]", "it was a test")
    page.click("form[action$='/release/'] button")
    expect(olga.page.locator("[data-panel=node-state] .banner.bad")).to_have_count(0, timeout=SOON)

    SCREENS.mkdir(parents=True, exist_ok=True)
    (SCREENS / "seen-live-ms.json").write_text(json.dumps(took))
    assert [*mia.complaints, *olga.complaints, *ada.complaints] == []


def _token(window, *scopes):
    """An API token, made as people make it."""
    page = window.goto("/tokens/")
    page.fill("form [name=name]", "a program")
    for scope in scopes:
        page.check(f"form [name=scopes][value='{scope}']")
    page.click("main form.panel button[type=submit]")
    return page.locator("#secret").inner_text()


def _version(grid):
    return grid.get("/api/v1/models").raise_for_status().json()["models"][0]["versions"][0]["id"]


def _known(window):
    window.goto("/market/")
    return window.page.evaluate(f"document.querySelector('{TRADES}') ? {NEWEST} : 0")


def _watch(window, path, condition):
    """Open a page and note the moment at which `condition` comes true on it."""
    window.goto(path)
    window.is_live()
    window.page.evaluate(SEEN % condition)


def _seen(window):
    """When it came true, in milliseconds since 1970."""
    end = time.monotonic() + SOON / 1000
    while (at := window.page.evaluate("window.seenAt")) is None:
        assert time.monotonic() < end, f"{window.page.url} did not show it"
        window.page.wait_for_timeout(20)
    return at


def _ms(moment):
    return datetime.fromisoformat(moment).timestamp() * 1000
