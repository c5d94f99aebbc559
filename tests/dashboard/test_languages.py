"""Pages in German: no English left, figures and dates as German writes them, and a switch that is remembered."""

import re
from html.parser import HTMLParser

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from accounts import services as accounts
from common import figures
from dashboard.forms.nodes import TermsForm
from dashboard.templatetags import dashboard as words
from nodes import services as nodes
from tests.dashboard import catalogue

LEAST = 13
"""Shorter pieces of English are names, units, or words that German shares."""
GERMAN = {"Accept-Language": "de"}


class Visible(HTMLParser):
    """What a person can read or hear of a page, but for passages that say that they are English."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[tuple[str, bool]] = []
        self.feed(page)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.found))

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        hidden = tag in ("script", "style", "code", "pre") or (tag != "html" and known.get("lang") == "en")
        if tag not in ("input", "meta", "link", "br", "img", "use", "path", "rect", "hr", "wbr", "line", "circle"):
            self._open.append((tag, hidden))
        if not self._is_hidden:
            spoken = (name for name in known if name in ("title", "placeholder", "alt") or name.startswith("aria-"))
            self.found += [known[name] or "" for name in spoken]
            self.found += [known[name] or "" for name in known if name.startswith("data-")]

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if not self._is_hidden:
            self.found.append(data)

    @property
    def _is_hidden(self) -> bool:
        return any(hidden for _, hidden in self._open)


@pytest.fixture(autouse=True)
def english_afterwards():
    """The last request's language stays active in its thread; here that thread goes on to other tests."""
    yield
    translation.activate("en")


@pytest.fixture(scope="module")
def english():
    """Pieces of English that no German message contains."""
    known = catalogue.pairs()
    german = "\n".join(said for _, said in known)
    pieces = {piece.strip() for said, _ in known for piece in catalogue.PLACEHOLDER.split(said)}
    return sorted(piece for piece in pieces if len(piece) >= LEAST and piece not in german)


@pytest.fixture
def pages(grid, bob, now):
    """name -> address of the pages of a cooperative at work, as its first steward sees them."""
    _, secret = accounts.invite(by=bob, roles=["MEMBER"], now=now)
    token, _ = nodes.create_join_token(membership=bob, floor_price_micro=1, now=now)
    named = (
        "home", "jobs", "new-job", "nodes", "add-node", "models", "publish-model", "market", "wallet",
        "cooperative", "policy", "propose-policy", "tokens", "mfa_index", "account_email", "account_change_password",
        "account_logout",
    )  # fmt: skip
    return {name: reverse(name) for name in named} | {
        "job": reverse("job", args=[grid.job.pk]),
        "task": reverse("job-task", args=[grid.job.pk, 0]),
        "receipt": reverse("verify-receipt", args=[grid.job.pk, grid.accepted[0].pk]),
        "node": reverse("node", args=[grid.shed.pk]),
        "own node": reverse("node", args=[grid.attic.pk]),
        "evidence": reverse("node-evidence", args=[grid.shed.pk]),
        "joining": reverse("joining", args=[token.pk]),
        "version": reverse("model-version", args=[grid.version.pk]),
        "transfer": f"{reverse('transfer')}?key=job:{grid.job.pk}:hold",
        "roles": reverse("member-roles", args=[bob.pk]),
        "invitation": reverse("invite", args=[secret]),
        "nowhere": "/no/such/page",
    }


def test_no_page_says_in_english_what_the_catalogue_says_in_german(client_of, pages, bob, english):
    client = client_of(bob)
    left = {}
    for name, address in pages.items():
        answer = client.get(address, headers=GERMAN)
        assert answer.status_code == (404 if name == "nowhere" else 200), name
        assert '<html lang="de">' in answer.text or name in ("task", "receipt"), name
        text = Visible(answer.text).text
        left |= {(name, piece): text for piece in english if piece in text}

    assert not left.keys()


@pytest.mark.parametrize("name", ["home", "account_login", "account_signup", "account_reset_password"])
def test_strangers_are_spoken_to_in_german(client_of, bob, english, name):
    text = Visible(client_of().get(reverse(name), headers=GERMAN).text).text

    assert "Anmelden" in text
    assert not [piece for piece in english if piece in text]


def test_a_language_that_is_chosen_is_remembered(client_of, grid, alice):
    client = client_of(alice)

    answer = client.post(reverse("set-language"), {"language": "de", "next": reverse("wallet")})

    assert answer.url == reverse("wallet")
    assert int(answer.cookies["django_language"]["max-age"]) >= 364 * 24 * 3600
    page = client.get(reverse("wallet"), headers={"Accept-Language": "en"}).text
    assert '<html lang="de">' in page
    assert re.search(r'value="de" lang="de" aria-current="true"', page)
    client.post(reverse("set-language"), {"language": "en"})
    assert '<html lang="en">' in client.get(reverse("wallet"), headers=GERMAN).text


def test_the_switch_stands_on_every_page_and_leads_back(client_of, grid, alice):
    for client, address in (
        (client_of(), reverse("account_login")),
        (client_of(alice), f"{reverse('jobs')}?state=done"),
    ):
        page = client.get(address).text

        assert f'action="{reverse("set-language")}"' in page
        assert f'name="next" value="{address}"' in page


@pytest.mark.parametrize("language", ["fr", "", "de'"])
def test_a_language_that_is_not_there_changes_nothing(client_of, db, language):
    client = client_of()

    client.post(reverse("set-language"), {"language": language})

    assert '<html lang="en">' in client.get(reverse("account_login")).text


def test_the_switch_sends_nobody_away_and_takes_no_foreign_form_from_a_member(alice):
    assert Client().post(reverse("set-language"), {"language": "de", "next": "https://evil.example/"}).url == "/"
    wary = Client(enforce_csrf_checks=True)
    assert wary.post(reverse("set-language"), {"language": "de"}).status_code == 302
    wary.force_login(alice.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert wary.post(reverse("set-language"), {"language": "de"}).status_code == 403
    assert Client().get(reverse("set-language")).status_code == 405


def test_figures_and_dates_follow_the_language(now):
    moment = now.replace(year=2026, month=3, day=9, hour=14, minute=5, second=7)
    with translation.override("de"):
        assert words.price(1_234_500_000) == "1.234,50"
        assert words.amount(-1_234_500_000) == '<span class="amount">−1.234,50<small>0000</small></span>'
        assert words.percent(50_000) == "5,0\N{NARROW NO-BREAK SPACE}%"
        assert words.duration(1_250) == "1,25 s"
        assert words.filesize(1_572_864) == "1,5 MiB"
        assert words.exact(moment) == "9. März 2026, 14:05:07 UTC"
    with translation.override("en"):
        assert words.price(1_234_500_000) == "1,234.50"
        assert words.exact(moment) == "9 Mar 2026, 14:05:07 UTC"
    assert figures.localised("no figure at all") == "no figure at all"


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("written", ["0.85", "0,85"])
def test_a_price_may_be_written_with_point_or_comma(language, written):
    with translation.override(language):
        form = TermsForm({"floor_price": written})

        assert form.is_valid()
        assert form.terms()["floor_price_micro"] == 850_000


def test_files_and_programs_get_the_same_figures_in_every_language(client_of, program, grid, alice):
    statement = client_of(alice).get(reverse("statement-csv")).getvalue()
    api = program(alice).get("/api/v1/wallet").json()

    assert client_of(alice).get(reverse("statement-csv"), headers=GERMAN).getvalue() == statement
    assert program(alice).get("/api/v1/wallet", headers=GERMAN).json() == api


def test_no_drawing_breaks_on_a_decimal_comma(client_of, pages, bob):
    for name in ("home", "node", "market", "job", "version"):
        page = client_of(bob).get(pages[name], headers=GERMAN).text
        drawn = re.sub(r'<input type="text"[^>]*>', "", page)

        assert not re.search(r'\b(?:x|y|width|height|cx|cy|r|value|max)="\d+,\d+"', drawn), name
