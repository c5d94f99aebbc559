"""Refusals: English for programs, the reader's language on pages, and none without its German."""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import translation

from common import refusals
from common.errors import AppError, NotFound
from common.words import Said
from common.words import said as _
from tests.dashboard import scenes

GERMAN = {"Accept-Language": "de"}
APPS = (
    "accounts",
    "common",
    "config",
    "dashboard",
    "ledger",
    "marketplace",
    "nodes",
    "registry",
    "reputation",
    "scheduler",
)
FOR_PROGRAMS = (
    "accounts/authentication/once.py",
    "common/bodies.py",
    "dashboard/api/",
    "ledger/core/",
    "ledger/services/checks.py",
    "nodes/authentication.py",
    "nodes/serializers.py",
    "nodes/services/capabilities.py",
    "registry/api.py",
    "reputation/core/",
    "scheduler/api/",
    "scheduler/services/claims.py",
    "scheduler/services/endings.py",
    "scheduler/services/results.py",
)
"""Where nodes and programs are refused and no page is: the details stay English, their titles do not."""


def every_refusal():
    """Each kind of AppError that the platform has."""
    for app in APPS:
        package = importlib.import_module(app)
        for module in pkgutil.walk_packages(package.__path__, f"{app}."):
            if ".management." not in module.name and ".migrations" not in module.name:
                importlib.import_module(module.name)
    waiting, found = [AppError], set()
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.partition(".")[0] in APPS:
            found.add(kind)
    return sorted(found, key=lambda kind: (kind.__module__, kind.__name__))


def test_every_title_has_its_german():
    kinds = every_refusal()
    with translation.override("de"):
        missing = [
            kind.__name__
            for kind in kinds
            if not isinstance(kind.title, Said) or refusals.translated(kind.title) == str(kind.title)
        ]

    assert len(kinds) > 90
    assert missing == []


def unmarked(path, names):
    """Lines of a file where a refusal is made with words that no page could translate."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            word = node.args[0]
            if name in names and (isinstance(word, ast.JoinedStr) or isinstance(getattr(word, "value", None), str)):
                yield f"{path}:{node.lineno} {name}"


def test_every_detail_that_a_page_may_show_can_be_translated():
    names = {kind.__name__ for kind in every_refusal()} - {"DraftIncomplete", "ManifestRefused", "NodeRefused"}
    base, found = Path(settings.BASE_DIR), []
    for app in APPS:
        for path in sorted((base / app).rglob("*.py")):
            if not str(path.relative_to(base)).startswith(FOR_PROGRAMS):
                found += unmarked(path, names)

    assert found == []


def test_words_are_said_in_the_language_of_the_reader_with_their_values():
    inner = _("ask a steward of %(cooperative)s for a new link", cooperative="100 % sun")
    error = NotFound(_("a steward has taken this link back; %(again)s", again=inner))

    english = (
        "There is no such thing here: a steward has taken this link back; ask a steward of 100 % sun for a new link"
    )
    assert (str(error.title), str(error)) == tuple(english.split(": "))
    with translation.override("en"):
        assert refusals.told(error) == english
    with translation.override("de"):
        assert refusals.told(error) == (
            "Das gibt es hier nicht: ein Steward hat diesen Link zurückgenommen; "
            "bitten Sie einen Steward von 100 % sun um einen neuen Link"
        )
        assert refusals.translated("as it was written") == "as it was written"


def test_a_german_page_refuses_in_german(client_of, grid, alice, now):
    done = scenes.a_job(alice, now, version=grid.version, state="DONE", pays=False)
    hers = client_of(alice)

    page = hers.post(reverse("cancel-job", args=[done.pk]), headers=GERMAN, follow=True).text

    assert "Dieser Auftrag ist schon zu Ende: der Stand des Auftrags ist DONE" in page


def test_a_german_form_refuses_in_german(client_of, grid, alice):
    wish = {
        "name": "scans",
        "model_version": grid.version.pk,
        "again": grid.job.pk,
        "rows_per_task": "1",
        "limit_price": "900000",
        "assurance": "quorum-3",
        "max_seconds": "3600",
        "max_parallel": "8",
    }

    page = client_of(alice).post(reverse("new-job"), wish, headers=GERMAN)

    assert page.status_code == 422
    assert "scans.npy: gefunden: Elemente vom Typ int64; das Modell nimmt float32" in page.text
    assert "The inputs do not fit" not in page.text


def test_a_program_is_refused_in_english_whatever_its_language(program, grid, alice, now):
    done = scenes.a_job(alice, now, version=grid.version, state="DONE", pays=False)

    answers = [
        program(alice)
        .post(f"/api/v1/jobs/{done.pk}/cancel", headers=headers | {"Idempotency-Key": f"k{number}"})
        .json()
        for number, headers in enumerate(({}, GERMAN))
    ]

    assert [(answer["title"], answer["detail"]) for answer in answers] == [
        ("This job has already ended", "the job is DONE")
    ] * 2


@pytest.mark.parametrize("language", ["en", "de"])
def test_someone_without_the_role_reads_why_in_their_language(client_of, grid, alice, language):
    page = client_of(alice).post(
        reverse("quarantine-node", args=[grid.shed.pk]), {"text": "x"}, headers={"Accept-Language": language}
    )

    assert page.status_code == 403
    assert ("Ihre Rollen hier sind MEMBER" if language == "de" else "your roles here are MEMBER") in page.text
