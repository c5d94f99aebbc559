"""A slice of `python -m tests.contract`: a few requests as each role, to operations drawn with a seed."""

import copy
import json
import random

import pytest

from tests.contract import campaign, generated, roles

pytestmark = pytest.mark.timeout(600)
ROLES = ("stranger", "member", "operator", "steward")
SEED = 1
REQUESTS = 50
OPERATIONS = 9
DOCUMENT = json.loads(generated.DOCUMENT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def facts(act):
    return act("crowd", "hillside", "2")


@pytest.fixture(scope="module")
def callers(grid, facts):
    return {role.name: role for role in roles.all_of(grid.platform.url, facts)}


def some_operations(role):
    """Of all and, for the operator, of those that nodes sign."""
    draw, every = random.Random(f"{SEED}:{role}"), sorted(name for name, _ in generated.operations())
    signed = sorted(name for name, tag in generated.operations() if tag == "node" and name != "node_capabilities")
    return sorted({*draw.sample(every, OPERATIONS), *(draw.sample(signed, 4) if role == "operator" else ())})


@pytest.mark.parametrize("name", ROLES)
def test_the_api_is_as_its_document_says(grid, facts, callers, name):
    caller = callers[name]
    outcome = campaign.run(
        caller,
        url=grid.platform.url,
        known=facts["known"] | caller.known(facts["cooperative_id"]),
        sound=facts["sound"].get(name),
        requests=REQUESTS,
        seed=SEED,
        operations=some_operations(name),
    )

    assert outcome.is_clean, json.dumps(outcome.as_dict(), indent=1)
    assert outcome.requests >= REQUESTS
    assert len(outcome.operations) >= OPERATIONS
    assert outcome.served or not caller.is_known


def test_a_document_that_hides_an_answer_is_found_out(grid, callers):
    document = copy.deepcopy(DOCUMENT)
    del document["paths"]["/api/v1/me"]["get"]["responses"]["401"]

    outcome = campaign.run(
        callers["stranger"],
        url=grid.platform.url,
        known={},
        requests=2,
        seed=SEED,
        operations=["me"],
        document=document,
    )

    assert {(found.operation, found.check, found.status) for found in outcome.breaks.values()} == {
        ("GET /api/v1/me", "status_code_conformance", 401)
    }
