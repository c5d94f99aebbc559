"""The API's description: valid, without a warning, and the copy in docs/api is the one that is served."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import call_command
from django.urls import get_resolver

SNAPSHOT = Path(__file__).parents[2] / "docs" / "api" / "openapi.json"
REFRESH = "manage.py spectacular --format openapi-json --file docs/api/openapi.json"


@pytest.fixture(scope="module")
def served():
    out = io.StringIO()
    call_command("spectacular", "--format", "openapi-json", "--validate", "--fail-on-warn", stdout=out)
    return json.loads(out.getvalue())


def test_the_snapshot_is_the_document_that_is_served(served):
    assert json.loads(SNAPSHOT.read_text(encoding="utf-8")) == served, f"run {REFRESH}"


def test_every_address_below_api_v1_is_described(served):
    described = {path.replace("{", "").replace("}", "") for path in served["paths"]}
    (api,) = [entry for entry in get_resolver().url_patterns if str(entry.pattern) == "api/v1/"]
    served_here = {f"/{_plain(route)}" for route in _routes(api)}

    assert served_here - described == {"/api/v1/openapi.json", "/api/v1/docs/"}


def test_every_refusal_of_the_scheduler_is_a_problem(served):
    for path, methods in served["paths"].items():
        if path.startswith(("/api/v1/jobs", "/api/v1/node/")):
            for method, operation in methods.items():
                for status, answer in operation["responses"].items():
                    if status.startswith("4"):
                        assert set(answer["content"]) == {"application/problem+json"}, (path, method, status)


def test_every_operation_may_say_that_it_was_called_too_often(served):
    for path, methods in served["paths"].items():
        for method, operation in methods.items():
            answer = operation["responses"]["429"]
            assert answer["headers"]["Retry-After"]["required"], (path, method)
            assert set(answer["content"]) == {"application/problem+json"}


def test_queries_are_described_with_their_bounds_and_what_they_need(served):
    parameters = {
        parameter["name"]: parameter
        for parameter in served["paths"]["/api/v1/market/books/{book_id}/preview"]["get"]["parameters"]
    }
    [limit] = [
        parameter["schema"]
        for parameter in served["paths"]["/api/v1/jobs"]["get"]["parameters"]
        if parameter["name"] == "limit"
    ]

    assert (limit["minimum"], limit["maximum"]) == (1, 200)
    assert [parameters[name]["required"] for name in ("side", "lots", "price_micro")] == [True, True, True]


def _routes(entry, prefix=""):
    for pattern in entry.url_patterns:
        route = f"{prefix or entry.pattern}{pattern.pattern}"
        if hasattr(pattern, "url_patterns"):
            yield from _routes(pattern, route)
        else:
            yield route


def _plain(pattern):
    return "/".join(part[1:-1].rpartition(":")[2] if part.startswith("<") else part for part in pattern.split("/"))
