"""pytest plugin (`-p tests.browsing`): one real Chromium for all tests, and what is asked of every page.

Playwright keeps an event loop running in its thread, where Django refuses the database: the browser has a
thread of its own, and tests that use it run there.

axe.min.js is axe-core 4.14.1 (MPL-2.0, see axe.LICENSE), a test tool that is never served. It is run through
the debugger, because the pages' policy rightly refuses scripts from elsewhere.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
AXE = Path(__file__).with_name("browser").joinpath("axe.min.js").read_text(encoding="utf-8")
RUN_AXE = """axe.run(document, {resultTypes: ["violations"]}).then((found) => JSON.stringify(found.violations.map(
  ({id, nodes}) => `${id}: ${nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`)))"""

_browser_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="browser")


def in_its_thread(act, *arguments, **named):
    """Do something to the browser from a fixture."""
    return _browser_thread.submit(act, *arguments, **named).result(timeout=60)


@pytest.hookimpl(tryfirst=True)
def call_in_browser_thread(pyfuncitem):
    """For conftests, `as pytest_pyfunc_call`: run the tests of their folder in the browser's thread."""
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    _browser_thread.submit(pyfuncitem.obj, **arguments).result()
    return True


@pytest.fixture(scope="session")
def chromium():
    """The one browser of the run."""
    playwright = in_its_thread(lambda: sync_playwright().start())
    browser = in_its_thread(playwright.chromium.launch, executable_path=CHROMIUM, args=["--no-sandbox"])
    yield browser
    in_its_thread(browser.close)
    in_its_thread(playwright.stop)


class Visit:
    """A person's browser window. `complaints` are console errors, CSP violations and failed requests."""

    def __init__(self, page, address):
        self.page, self.address, self.complaints = page, address, []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("response", self._answered)

    def _heard(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _answered(self, answer):
        if answer.status >= 400:
            self.complaints.append(f"{answer.status} {answer.url}")

    def goto(self, path):
        self.page.goto(f"{self.address}{path}")
        return self.page

    def is_live(self):
        self.page.wait_for_selector("html[data-link=live]", timeout=15_000)


def objections(page):
    """What axe objects to on the page."""
    debugger = page.context.new_cdp_session(page)
    debugger.send("Runtime.evaluate", {"expression": AXE})
    answer = debugger.send("Runtime.evaluate", {"expression": RUN_AXE, "awaitPromise": True, "returnByValue": True})
    debugger.detach()
    return json.loads(answer["result"]["value"])


def overflow(page):
    """By how many pixels the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
