"""Every page at both widths and in both themes: quiet console, no sideways scrolling, nothing that axe objects to.

axe.min.js is axe-core 4.14.1 (MPL-2.0, see axe.LICENSE), a test tool that is never served. It is run through
the debugger, because the pages' policy rightly refuses scripts from elsewhere.
"""

import json
from pathlib import Path

import pytest

from nodes.models import JoinToken

AXE = Path(__file__).with_name("axe.min.js").read_text(encoding="utf-8")
RUN = """axe.run(document, {resultTypes: ["violations"]}).then((found) => JSON.stringify(found.violations.map(
  ({id, nodes}) => `${id}: ${nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`)))"""


def objections(page):
    """What axe objects to on the page."""
    debugger = page.context.new_cdp_session(page)
    debugger.send("Runtime.evaluate", {"expression": AXE})
    answer = debugger.send("Runtime.evaluate", {"expression": RUN, "awaitPromise": True, "returnByValue": True})
    return json.loads(answer["result"]["value"])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_quiet_fits_and_satisfies_axe(visit, grid, alice, olga, elsewhere, width, theme):
    token = elsewhere(lambda: JoinToken.objects.filter(membership=olga).first().pk)
    pages = {
        alice: [
            "/",
            "/jobs/",
            "/jobs/?state=failed",
            f"/jobs/{grid.job.pk}/",
            "/jobs/new/",
            "/market/",
            "/wallet/",
            f"/wallet/transfer/?key=job:{grid.job.pk}:hold",
        ],
        olga: ["/nodes/", f"/nodes/{grid.shed.pk}/", "/nodes/add/", f"/nodes/joining/{token}/"],
    }
    for member, paths in pages.items():
        window = visit(member, width=width, theme=theme)
        for path in paths:
            page = window.goto(path)
            window.is_live()
            too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert too_wide <= 0, path
            assert objections(page) == [], path
            assert window.complaints == [], path
