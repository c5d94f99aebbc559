"""Pages in a real browser: they change without being loaded again, over the socket and without it."""

import re

import pytest
from playwright.sync_api import expect

from common import live
from nodes.models import Node
from tests.dashboard import scenes
from tests.dashboard.test_job_page import sign

SOON = 10_000
NOTICE_GLOW = """new MutationObserver((changes) => changes.forEach(({target}) => {
  if (target.classList.contains("changed")) document.documentElement.dataset.glowed = "1";
})).observe(document.body, {subtree: true, attributes: true, attributeFilter: ["class"]})"""
NOTICE_SHIFT = """window.shift = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => { window.shift += entry.value; }))
  .observe({type: "layout-shift", buffered: false})"""
BLOCKABLE_SOCKET = """window.realSocket = WebSocket;
window.WebSocket = class extends realSocket {
  constructor(url) {
    super(window.blocked ? `${url.origin}/ws/nothing` : url);
    window.lastSocket = this;
  }
};"""


ONE_SQUARE = re.compile(r"^M[^M]+z$")
TWO_SQUARES = re.compile(r"^M[^M]+zM[^M]+z$")


def publish(topic):
    live.publish(topic)


def mark(page):
    """Leave a mark that does not survive loading the page again."""
    page.evaluate("window.unbroken = true")


def is_same_page(page):
    return page.evaluate("window.unbroken === true")


def test_a_job_page_follows_its_job_without_a_reload(visit, grid, alice, elsewhere):
    window = visit(alice)
    page = window.goto(f"/jobs/{grid.job.pk}/")
    window.is_live()
    mark(page)
    expect(page.locator(".strip .is-accepted")).to_have_attribute("d", ONE_SQUARE)

    def another_task_is_accepted():
        task = grid.job.tasks.get(index=2)
        pair = [
            scenes.an_attempt(task, node, lease, grid.job.submitted_at, state="SUBMITTED", labels=[7, 7])
            for node, lease in zip((grid.shed, grid.attic), grid.leases, strict=True)
        ]
        scenes.accept(task, pair, [], grid.job.submitted_at)
        publish(f"job.{grid.job.pk}")

    elsewhere(another_task_is_accepted)

    expect(page.locator(".strip .is-accepted")).to_have_attribute("d", TWO_SQUARES, timeout=SOON)
    expect(page.locator("[data-panel=job-progress] .figure")).to_have_text(re.compile(r"2\s+of 4 tasks"))
    expect(page.locator("[data-panel=job-outputs]")).to_contain_text("7 7")
    assert is_same_page(page)
    assert window.complaints == []


def test_the_strip_tells_by_slider_who_ran_a_task_and_keeps_telling_it(visit, grid, alice, elsewhere):
    window = visit(alice)
    page = window.goto(f"/jobs/{grid.job.pk}/")
    slider, detail = page.get_by_label("Task", exact=True), page.locator("#strip-detail")

    slider.press("ArrowRight")

    expect(detail).to_contain_text("Task 1", timeout=SOON)
    expect(detail).to_contain_text("shed: running")

    def the_job_goes_on():
        scenes.note(grid.job, "job_started")
        publish(f"job.{grid.job.pk}")

    window.is_live()
    elsewhere(the_job_goes_on)
    expect(page.locator("[data-panel=job-timeline]")).to_contain_text("First task handed out", timeout=SOON)
    expect(detail).to_contain_text("shed: running")


def test_the_browser_checks_a_receipt_again_by_itself(visit, grid, alice, elsewhere):
    attempt = grid.accepted[0]
    receipt = elsewhere(lambda: sign(attempt))
    window = visit(alice)
    page = window.goto(f"/jobs/{grid.job.pk}/")
    verify = page.get_by_role("link", name="Verify the receipt of shed for task 0")

    verify.click()
    expect(page.locator("[data-verify]")).to_have_attribute("data-verdict", "good", timeout=SOON)
    expect(page.locator(".checks")).to_contain_text("The signature is that of the node’s key")

    tampered = receipt | {"finished_at": "2026-11-21T13:00:00.000000Z"}
    elsewhere(lambda: type(attempt).objects.filter(pk=attempt.pk).update(receipt=tampered))
    verify.click()
    expect(page.locator("[data-verify]")).to_have_attribute("data-verdict", "bad", timeout=SOON)
    expect(page.locator(".checks")).to_contain_text("The signature does not match")
    assert window.complaints == []


def test_without_the_socket_the_page_says_so_polls_and_comes_back(visit, grid, alice, elsewhere, web):
    window = visit(alice)
    page = window.page
    page.add_init_script(BLOCKABLE_SOCKET)
    window.goto(f"/nodes/{grid.shed.pk}/")
    window.is_live()
    mark(page)

    page.evaluate("window.blocked = true; window.lastSocket.close()")
    expect(page.locator("#live-state")).to_have_text("Live link is down: refreshing every 3 s")
    elsewhere(lambda: Node.objects.filter(pk=grid.shed.pk).update(reported_load_permille=870))
    expect(page.locator("[data-panel=node-state]")).to_contain_text("87", timeout=SOON)
    page.evaluate("window.blocked = false")

    page.wait_for_selector("html[data-link=live]", timeout=40_000)
    expect(page.locator("#live-state")).to_have_text("Live")
    assert is_same_page(page)


def test_an_update_keeps_focus_selection_and_opened_details(visit, grid, alice, elsewhere):
    window = visit(alice)
    page = window.goto("/market/")
    window.is_live()
    page.fill("[name=price]", "0.77")
    page.locator("[data-panel=market-orders] a").first.focus()
    focused = page.evaluate("document.activeElement.textContent")

    def another_order():
        scenes.an_order(alice, side="BUY", price_micro=123_000, lots=3)
        publish(f"market.{grid.book.pk}")

    elsewhere(another_order)

    expect(page.locator("[data-panel=market-depth]")).to_contain_text("0.123", timeout=SOON)
    assert page.evaluate("document.activeElement.textContent") == focused
    assert page.input_value("[name=price]") == "0.77"


def test_what_changed_glows_and_then_stops(visit, grid, alice, elsewhere):
    window = visit(alice)
    page = window.goto("/market/")
    window.is_live()

    def another_order():
        scenes.an_order(alice, side="BUY", price_micro=123_000, lots=3)
        publish(f"market.{grid.book.pk}")

    page.evaluate(NOTICE_GLOW)
    elsewhere(another_order)

    page.wait_for_selector("html[data-glowed]", timeout=SOON)
    expect(page.locator(".changed")).to_have_count(0, timeout=SOON)


def test_the_page_does_not_move_when_numbers_change(visit, grid, alice, elsewhere):
    window = visit(alice)
    page = window.goto("/")
    window.is_live()
    page.evaluate(NOTICE_SHIFT)

    def credit():
        scenes.credit(grid.version.model.publisher, alice, 1_234, grid.job.submitted_at)
        publish(f"wallet.{alice.pk}")

    elsewhere(credit)

    expect(page.locator("[data-panel=home-wallet] .figure")).to_contain_text("1,333.", timeout=SOON)
    assert page.evaluate("window.shift") < 0.01


def test_signing_out_elsewhere_ends_the_live_link(visit, grid, alice, elsewhere):
    from django.contrib.sessions.models import Session

    window = visit(alice)
    page = window.goto("/")
    window.is_live()

    def end():
        Session.objects.all().delete()
        publish(f"wallet.{alice.pk}")

    elsewhere(end)

    expect(page.locator("#live-state")).to_have_text("You are signed out here. Load the page again.", timeout=SOON)


def test_the_page_of_a_joining_machine_comes_alive(visit, grid, olga, elsewhere):
    from tests.nodes import agents

    window = visit(olga)
    page = window.goto("/nodes/add/")
    page.fill("[name=floor_price]", "0.70")
    page.fill("[name=node_name]", "kitchen")
    page.get_by_role("button", name="Make the command").click()
    command = page.locator(".command code").inner_text()
    expect(page.locator(".steps .is-now")).to_contain_text("Waiting for the machine to join")
    window.is_live()

    def join():
        from common.clock import database_now
        from nodes import services

        token = command.split("--token ")[1].split(" ")[0]
        private = agents.a_key()
        node = services.join(request=agents.join_request(token, private), now=database_now())
        services.record_capabilities(node=node, signed=agents.signed(private, agents.record(node)), now=database_now())

    elsewhere(join)

    expect(page.locator(".steps .is-done")).to_have_count(3, timeout=SOON)
    page.get_by_role("link", name="Go to kitchen").click()
    expect(page.locator("h1")).to_have_text("kitchen")
    assert window.complaints == []


@pytest.fixture
def array_file(tmp_path):
    import numpy as np

    path = tmp_path / "scans.npy"
    np.save(path, np.zeros((450, 4), dtype=np.float32))
    return path


def test_a_job_is_submitted_by_keyboard_alone(visit, grid, alice, array_file):
    window = visit(alice)
    page = window.goto("/jobs/new/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("[name=name]")).to_be_focused()
    page.keyboard.type("by keyboard")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator("[name=input]")).to_be_focused()
    page.set_input_files("[name=input]", array_file)
    expect(page.locator("#array-shape")).to_have_text("450 × 4.")
    page.keyboard.press("Tab")
    expect(page.locator("[name=rows_per_task]")).to_be_focused()
    page.keyboard.type("90")
    page.keyboard.press("Tab")
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("0.95")
    expect(page.locator("#estimate")).to_contain_text(re.compile(r"Tasks\s*5"))
    page.keyboard.press("Enter")

    expect(page.locator("h1")).to_have_text("by keyboard", timeout=SOON)
    expect(page.locator("[data-panel=job-bill]")).to_contain_text("at most 0.95 cr per core-hour")
    assert window.complaints == []


def test_an_order_is_placed_and_cancelled_by_keyboard_alone(visit, grid, olga):
    window = visit(olga)
    page = window.goto("/market/")
    page.locator("[name=side][value=BUY]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("2")
    page.keyboard.press("Tab")
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("1.25")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    button = page.get_by_role("button", name=re.compile(r"Offer 2 lots of shed at 1\.25"))
    expect(button).to_be_visible()
    button.focus()
    page.keyboard.press("Enter")

    expect(page.locator(".messages")).to_contain_text("on its way to the book", timeout=SOON)
    cancel = page.get_by_role("button", name=re.compile("Cancel order"))
    cancel.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".messages")).to_contain_text("leaves the book", timeout=SOON)
    assert window.complaints == []
