"""The pages of the platform: who looks at which, and where it is found in the running demo."""

import re
from dataclasses import dataclass

ANYBODY = ""
MEMBER, OPERATOR, STEWARD = "mia@example.org", "olga@example.org", "ada@example.org"


@dataclass(frozen=True)
class Page:
    """A page by the name of its address.

    `path` is taken as it is or, with `link`, is the page on which the first link that matches is followed; `then` is
    added to it.
    """

    name: str
    path: str
    who: tuple[str, ...] = (MEMBER,)
    link: str = ""
    then: str = ""


PAGES = (
    Page("front", "/", (ANYBODY,)),
    Page("sign-up", "/account/signup/", (ANYBODY,)),
    Page("sign-in", "/account/login/", (ANYBODY,)),
    Page("forgotten-password", "/account/password/reset/", (ANYBODY,)),
    Page("home", "/", (MEMBER, OPERATOR, STEWARD)),
    Page("jobs", "/jobs/", (MEMBER, STEWARD)),
    Page("jobs-none", "/jobs/?state=failed"),
    Page("job", "/jobs/", (MEMBER, STEWARD), link=r"/jobs/\d+/$"),
    Page("new-job", "/jobs/new/"),
    Page("market", "/market/", (MEMBER, OPERATOR)),
    Page("nodes", "/nodes/", (MEMBER, OPERATOR, STEWARD)),
    Page("node", "/nodes/", (OPERATOR, STEWARD), link=r"/nodes/\d+/$"),
    Page("add-node", "/nodes/add/", (OPERATOR,)),
    Page("wallet", "/wallet/", (MEMBER, STEWARD)),
    Page("cooperative", "/cooperative/", (MEMBER, STEWARD)),
    Page("policy", "/cooperative/policy/", (MEMBER, STEWARD)),
    Page("propose-policy", "/cooperative/policy/propose/", (STEWARD,)),
    Page("tokens", "/tokens/"),
    Page("email", "/account/email/"),
    Page("password", "/account/password/change/"),
    Page("second-factor", "/account/2fa/"),
    Page("docs-errors", "/docs/errors", (ANYBODY, MEMBER)),
    Page("docs-reasons", "/docs/reasons"),
)


def addresses(open_page, person):
    """(name, path) of every page that `person` looks at; `open_page` loads a path and gives the page."""
    for page in PAGES:
        if person in page.who:
            yield page.name, _path(open_page, page)


def _path(open_page, page):
    if not page.link:
        return page.path
    links = open_page(page.path).eval_on_selector_all("main a[href]", "all => all.map(a => a.getAttribute('href'))")
    found = [link for link in links if re.search(page.link, link)]
    assert found, f"{page.path} has no link like {page.link}: {links}"
    return found[0] + page.then
