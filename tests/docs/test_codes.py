"""Every typed code has its words in docs/errors.md or docs/reasons.md, and no page names a code that is gone."""

import importlib
import pkgutil
import re

import pytest
from rest_framework import exceptions

from accounts.core import policy
from common.errors import AppError
from dashboard import reasons
from ledger.queries import differences
from marketplace.core.fit import Constraint
from marketplace.core.orders import Reason
from nodes.core import reasons as node_reasons
from opengrid.http_signatures import Refusal
from opengrid.messages import ExitReason
from tests.docs import pages

STATUS = re.compile(r"^Status (\d{3}(?:, \d{3})*)\. .*\bAccepted:\s.+\.$", re.DOTALL)
ERRORS = pages.read("docs/errors.md")
REASONS = pages.read("docs/reasons.md")
OPERATING = pages.read("docs/operating.md")
GIVEN = re.compile(r'(?:reason\s*=\s*|timeline\.note\([^,]+,\s*|yield\s*\(?\s*)"([a-z]+(?:_[a-z]+)+)"')


def source(folder):
    return "\n".join(
        path.read_text("utf-8")
        for path in sorted((pages.ROOT / folder).rglob("*.py"))
        if "migrations" not in path.parts and "tests" not in path.parts
    )


def app_errors():
    for app in pages.APPS:
        package = importlib.import_module(app)
        for module in pkgutil.walk_packages(package.__path__, f"{app}."):
            if ".migrations" not in module.name and ".management" not in module.name:
                importlib.import_module(module.name)
    waiting = [AppError]
    while waiting:
        found = waiting.pop()
        waiting += found.__subclasses__()
        if found.__module__.partition(".")[0] in pages.APPS:
            yield found


def framework_errors(kind=exceptions.APIException):
    for found in kind.__subclasses__():
        if found.__module__ == "rest_framework.exceptions":
            yield found
            yield from framework_errors(found)


def statuses():
    """Code -> the statuses that it is answered with, as far as classes and texts of the code say."""
    found: dict[str, set[int]] = {}

    def add(code, status):
        found.setdefault(code, set()).add(status)

    for error in app_errors():
        if "code" in vars(error) and error is not AppError:
            add(error.code, error.status)
    for error in framework_errors():
        code = "too_many_requests" if error is exceptions.Throttled else error.default_code  # as config.api says it
        add(code, error.status_code)
    for refusal in Refusal:
        add(str(refusal), 401)
    for code in re.findall(r'NodeRefused\("(\w+)"', source("nodes")):
        add(code, 401)
    for code in re.findall(r'ManifestRefused\(\s*"(\w+)"', source("packages/opengrid/src")):
        add(code, 422)
    for code in ("bad_key", "bad_signature"):  # of opengrid.keys, passed on by publishing
        add(code, 422)
    for code in re.findall(r'code="(\w+)"', source("accounts/authentication")):
        add(code, 401)
    for status, code in re.findall(r'problem\(\s*(\d{3}), "(\w+)"', source("config")):
        add(code, int(status))
    return found


def test_every_error_code_has_a_section_with_its_status_and_no_section_is_left_over():
    documented = pages.sections(ERRORS)
    known = statuses()

    assert len(known) > 80
    assert sorted(documented) == sorted(known)
    for code, text in documented.items():
        said = STATUS.match(text)
        assert said, f"{code}: {text}"
        assert {int(status) for status in said[1].split(", ")} == known[code], code


def test_an_error_without_a_code_of_its_own_takes_it_from_what_it_passes_on():
    inherited = {error.__name__ for error in app_errors() if error is not AppError and "code" not in vars(error)}

    assert inherited == {"NodeRefused", "ManifestRefused"}


def test_the_type_of_a_problem_leads_to_its_section():
    from config.api import problem

    answer = problem(402, "insufficient_funds", "There are not enough credits")
    page, _, anchor = answer.data["type"].partition("#")

    assert (pages.ROOT / f"{page.removeprefix('/')}.md").exists()
    assert anchor in pages.anchors(ERRORS)


def test_problems_of_a_policy_are_listed():
    made = set(re.findall(r'Problem\(\s*"(\w+)"', (pages.ROOT / "accounts/core/policy.py").read_text("utf-8")))

    assert policy.Problem.__doc__
    assert set(rows(ERRORS)) == made


def rows(text):
    return re.findall(r"^\| `([a-z][a-z0-9_]*)` \|", text, re.MULTILINE)


def reason_codes():
    """Everything that the code gives as a reason, or has words for."""
    nodes = {value for name, value in vars(node_reasons).items() if name.isupper() and isinstance(value, str)}
    given = {code for app in ("scheduler", "marketplace", "nodes", "reputation") for code in GIVEN.findall(source(app))}
    evidence = set(re.findall(r'reason="(\w+)"|"(\w+)" if \w+ else "(\w+)"', source("reputation")))
    return (
        nodes
        | given
        | {code for found in evidence for code in found if code}
        | {str(code) for code in ExitReason}
        | {str(code) for code in Reason}
        | set(reasons.REASONS)
        | set(reasons.STEPS)
    )


def test_every_reason_has_a_line():
    missing = reason_codes() - set(rows(REASONS))

    assert not missing


def test_no_line_is_about_a_reason_that_is_gone():
    text = "".join(source(app) for app in (*pages.APPS, "packages/opengrid/src"))
    gone = {code for code in rows(REASONS) if f'"{code}"' not in text}

    assert not gone


def test_a_reason_stands_in_one_place():
    listed = rows(REASONS)

    assert sorted(listed) == sorted(set(listed))


def test_constraints_are_named_in_their_order():
    words = ", ".join(f"`{constraint}`" for constraint in Constraint)

    assert words in " ".join(REASONS.split())


@pytest.mark.parametrize("code", sorted(set(re.findall(r"SELECT '([a-z_]+)'", differences.AUDIT))))
def test_every_difference_of_the_books_is_explained(code):
    assert code in rows(OPERATING)
