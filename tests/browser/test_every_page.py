"""Every page at both widths and in both themes: quiet console, no sideways scrolling, nothing that axe objects to."""

import pytest

from nodes.models import JoinToken
from tests import browsing


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
            "/market/simple/",
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
            assert browsing.overflow(page) <= 0, path
            assert browsing.objections(page) == [], path
            assert window.complaints == [], path


def test_the_description_of_the_api_opens_under_our_content_policy(visit, alice):
    window = visit(alice)
    page = window.goto("/api/v1/docs/")

    page.wait_for_selector("#operations-jobs-job_submit", timeout=60_000)

    assert window.complaints == []
