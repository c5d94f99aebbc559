"""The faces of a running grid as people meet them: every page, whoever looks, at both widths, in both themes."""

import os
from pathlib import Path

import pytest

from config.embedded import CHECKOUT
from tests import browsing
from tests.faces import running_demo, walk

pytestmark = pytest.mark.timeout(600)
SCREENS = Path(os.environ.get("COMMONGRID_SCREENS", CHECKOUT / "run" / "screens"))
PEOPLE = sorted({person for page in walk.PAGES for person in page.who})


@pytest.fixture(scope="module")
def demo():
    with running_demo.serving() as served:
        yield served


@pytest.fixture(scope="module")
def signed_in(demo, chromium):
    """Everybody's session, from the sign-in form."""

    def sign_in(person):
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"{demo.url}/account/login/")
        page.fill("input[name=login]", person)
        page.fill("input[name=password]", running_demo.PASSWORD)
        page.click("main form button[type=submit]")
        page.wait_for_selector("nav.rail")
        state = context.storage_state()
        context.close()
        return state

    return {person: browsing.in_its_thread(sign_in, person) if person else None for person in PEOPLE}


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


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_quiet_fits_and_satisfies_axe(visit, width, theme):
    SCREENS.mkdir(parents=True, exist_ok=True)
    found = {}
    for person in PEOPLE:
        window = visit(person, width=width, theme=theme)
        for name, path in list(walk.addresses(window.goto, person)):
            window.complaints.clear()
            page = window.goto(path)
            if person:
                window.is_live()
            page.screenshot(
                path=SCREENS / f"{name}-{person.partition('@')[0] or 'anybody'}-{width}-{theme}.png", full_page=True
            )
            objections = [*browsing.objections(page), *window.complaints]
            if (too_wide := browsing.overflow(page)) > 0:
                objections.append(f"{too_wide} px too wide")
            if objections:
                found[f"{name} {path} as {person or 'anybody'}"] = objections
    assert found == {}
