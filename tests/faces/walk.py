"""The pages of the platform: who looks at which, and where it is found in the running demo."""

import re
from dataclasses import dataclass

ANYBODY = ""
MEMBER, OPERATOR, STEWARD = "mia@example.org", "olga@example.org", "ada@example.org"
PUBLISHER, STRANGER = "zoe@example.org", "theo@example.org"
SECTIONS = {
    "accounts/membership": ("roles", "end"),
    "accounts/invitation": (),
    "accounts/joinrequest": (),
    "nodes/node": ("quarantine",),
    "registry/modelversion": (),
    "accounts/policyversion": (),
    "accounts/creditissue": (),
    "scheduler/job": (),
    "reputation/evidence": (),
    "accounts/stewardact": (),
}
"""Of the console: section -> the acts on one of its rows that are looked at. The newest node is quarantined already."""


@dataclass(frozen=True)
class Page:
    """A page by the name of its screenshot.

    `address` is written as in docs/permissions.md. Where it has a `<name>`, the first (or `last`) link that fits
    it is followed on the page `found_on`, or `path` says where one is. `status` is what it answers with.
    """

    name: str
    address: str
    who: tuple[str, ...] = (MEMBER,)
    found_on: str = ""
    path: str = ""
    status: int = 200
    last: bool = False


def _console():
    yield Page("console", "/console/", (STEWARD,))
    yield Page("console-ledger", "/console/ledger/", (STEWARD,))
    yield Page("console-account", "/console/ledger/account/", (STEWARD,), found_on="/console/ledger/", last=True)
    yield Page("console-transfer", "/console/ledger/transfer/", (STEWARD,), found_on="/console/ledger/account/")
    yield Page("console-propose-rules", "/console/accounts/policyversion/act/propose/", (STEWARD,))
    for section, acts in SECTIONS.items():
        name, top = f"console-{section.partition('/')[2]}", f"/console/{section}/"
        yield Page(f"{name}-list", top, (STEWARD,))
        yield Page(name, f"{top}<object_id>/", (STEWARD,), found_on=top, last=section == "nodes/node")
        for act in acts:
            yield Page(f"{name}-{act}", f"{top}<object_id>/{act}/", (STEWARD,), found_on=f"{top}<object_id>/")


PAGES = (
    Page("front", "/", (ANYBODY,)),
    Page("sign-up", "/account/signup/", (ANYBODY,)),
    Page("sign-in", "/account/login/", (ANYBODY,)),
    Page("forgotten-password", "/account/password/reset/", (ANYBODY,)),
    Page("password-mail-sent", "/account/password/reset/done/", (ANYBODY,)),
    Page("password-link-refused", "/account/password/reset/key/<uidb36>-<key>/", (ANYBODY,), path="0-x/"),
    Page("password-is-new", "/account/password/reset/key/done/", (ANYBODY,)),
    Page("mail-to-confirm", "/account/confirm-email/", (ANYBODY,)),
    Page("mail-link-refused", "/account/confirm-email/<key>/", (ANYBODY,), path="none/"),
    Page("inactive", "/account/inactive/", (ANYBODY,)),
    Page("setup-refused", "/setup/<token>/", (ANYBODY,), path="none/", status=404),
    Page("invitation-refused", "/invite/<token>/", (ANYBODY,), path="none/", status=404),
    Page("home-of-a-stranger", "/", (STRANGER,), status=403),
    Page("ask-to-join", "/join/<slug>/", (STRANGER,), path="riverside/"),
    Page("home", "/", (MEMBER, OPERATOR, STEWARD)),
    Page("jobs", "/jobs/", (MEMBER, STEWARD)),
    Page("job", "/jobs/<job_id>/", (MEMBER, STEWARD), found_on="/jobs/"),
    Page("preview", "/jobs/<job_id>/outputs/<output_id>/preview/", found_on="/jobs/<job_id>/"),
    Page("receipt", "/jobs/<job_id>/receipts/<attempt_id>/verify/", found_on="/jobs/<job_id>/"),
    Page("new-job", "/jobs/new/"),
    Page("market", "/market/", (MEMBER, OPERATOR)),
    Page("market-simple", "/market/simple/"),
    Page("nodes", "/nodes/", (MEMBER, OPERATOR, STEWARD)),
    Page("node", "/nodes/<node_id>/", (MEMBER, OPERATOR, STEWARD), found_on="/nodes/"),
    Page("evidence", "/nodes/<node_id>/evidence/", (OPERATOR,), found_on="/nodes/<node_id>/"),
    Page("add-node", "/nodes/add/", (OPERATOR,)),
    Page("joining", "/nodes/joining/<token_id>/", (OPERATOR,), found_on="/nodes/add/"),
    Page("models", "/models/", (MEMBER, PUBLISHER)),
    Page("model", "/models/<version_id>/", (MEMBER, PUBLISHER), found_on="/models/"),
    Page("publish-model", "/models/publish/", (PUBLISHER,)),
    Page("wallet", "/wallet/", (MEMBER, STEWARD)),
    Page("transfer", "/wallet/transfer/", found_on="/wallet/"),
    Page("cooperative", "/cooperative/", (MEMBER, STEWARD)),
    Page("member-roles", "/cooperative/members/<membership_id>/", (STEWARD,), found_on="/cooperative/"),
    Page("policy", "/cooperative/policy/", (MEMBER, STEWARD)),
    Page("policy-version", "/cooperative/policy/<number>/", found_on="/cooperative/policy/"),
    Page("propose-policy", "/cooperative/policy/propose/", (STEWARD,)),
    Page("tokens", "/tokens/"),
    Page("sign-out", "/account/logout/"),
    Page("email", "/account/email/"),
    Page("password", "/account/password/change/"),
    Page("confirm-it-is-you", "/account/reauthenticate/"),
    Page("second-factor", "/account/2fa/", (MEMBER, STEWARD)),
    Page("authenticator-app", "/account/2fa/totp/activate/"),
    Page("authenticator-app-away", "/account/2fa/totp/deactivate/", (STEWARD,)),
    Page("confirm-by-code", "/account/2fa/reauthenticate/", (STEWARD,)),
    Page("recovery-codes", "/account/2fa/recovery-codes/", (STEWARD,)),
    Page("new-recovery-codes", "/account/2fa/recovery-codes/generate/", (STEWARD,)),
    Page("security-keys", "/account/2fa/webauthn/"),
    Page("add-security-key", "/account/2fa/webauthn/add/"),
    Page("sessions", "/account/sessions/"),
    Page("docs", "/docs/<name>", (ANYBODY, MEMBER), path="errors"),
    Page("docs-reasons", "/docs/<name>", path="reasons"),
    Page("docs-glossary", "/docs/<name>", path="glossary"),
    Page("not-there", "/docs/<name>", path="nothing", status=404),
    *_console(),
)

NOT_WALKED = {
    "/healthz": "plain text",
    "/readyz": "plain text",
    "/metrics": "plain text",
    "/api/v1/docs/": "Swagger UI's own markup, buttons within buttons: opened in tests/browser/test_api_description",
    "/account/password/set/": "for people without a password, whom nothing here makes: leads to the change",
    "/account/login/code/confirm/": "sign-in by mailed code is off: leads to the sign-in",
    "/account/2fa/authenticate/": "in the middle of a sign-in: tests/browser/test_security_key",
    "/account/2fa/webauthn/reauthenticate/": "with a key in hand: tests/browser/test_security_key",
    "/account/2fa/webauthn/keys/<pk>/remove/": "with a key in hand: tests/browser/test_security_key",
    "/account/2fa/webauthn/keys/<pk>/edit/": "with a key in hand: tests/browser/test_security_key",
    "/cooperative/invitations/": "answers a form; GET leads to the cooperative",
    "/cooperative/credit/": "answers a form; GET leads to the cooperative",
    "/panels/<name>/<key>/": "a part of pages",
    "/jobs/new/estimate/": "a part of a page",
    "/jobs/<job_id>/tasks/<index>/": "a part of a page",
    "/jobs/<job_id>/receipts/<attempt_id>/": "a document",
    "/models/<version_id>/try/price/": "a part of a page",
    "/market/preview/": "a part of a page",
    "/jobs/<job_id>/outputs/<output_id>/": "a file",
    "/jobs/<job_id>/outputs/<output_id>/image/": "a picture",
}
"""Addresses that answer GET and are no page, or are looked at elsewhere. Files by their ending need no entry."""


def addresses(open_page, person):
    """(page, path) of every page that `person` looks at; `open_page` loads a path and gives the page."""
    where = {}
    for page in PAGES:
        if person in page.who:
            where[page.address] = path = _path(open_page, page, where)
            yield page, path


def _path(open_page, page, where):
    if page.path:
        return page.address[: page.address.index("<")] + page.path
    if not page.found_on:
        return page.address
    start = where.get(page.found_on, page.found_on)
    links = open_page(start).eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))")
    form = re.compile(re.sub(r"<\w+>", "[0-9]+", page.address) + r"(\?.*)?")
    found = [link for link in links if form.fullmatch(link)]
    assert found, f"{start} has no link like {page.address}: {links}"
    return found[-1] if page.last else found[0]
