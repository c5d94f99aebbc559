"""What owners' programs and stewards' sessions do with nodes."""

import pytest

from marketplace.models import BookInput
from nodes.models import NodeShare


def refusal(answer):
    return answer.status_code, answer.json()["code"]


def path(node, rest=""):
    return f"/api/v1/nodes/{node.pk}{rest}"


def put(client, node, rest, document, **headers):
    return client.put(path(node, rest), document, "application/json", headers=headers)


def post(client, node, rest, document=None):
    return client.post(path(node, rest), document or {}, "application/json")


def state(node):
    node.refresh_from_db()
    return node.state, node.state_reason


def test_the_owner_changes_the_terms_that_were_seen(program, olga, grid):
    hers = program(olga)
    tag = hers.get(path(grid.shed))["ETag"]

    answer = put(hers, grid.shed, "/terms", {"floor_price_micro": 600_000, "limit_lots": 2}, **{"If-Match": tag})
    late = put(hers, grid.shed, "/terms", {"floor_price_micro": 1, "limit_lots": None}, **{"If-Match": tag})
    blind = put(hers, grid.shed, "/terms", {"floor_price_micro": 1, "limit_lots": None})

    assert (answer.status_code, answer.json()["floor_price_micro"], answer.json()["limit_lots"]) == (200, 600_000, 2)
    assert answer["ETag"] == answer.json()["version"] != tag
    assert refusal(late) == (412, "changed_meanwhile")
    assert refusal(blind) == (428, "version_required")
    grid.shed.refresh_from_db()
    assert (grid.shed.floor_price_micro, grid.shed.limit_lots) == (600_000, 2)


@pytest.mark.parametrize(
    "document",
    [
        {"floor_price_micro": -1, "limit_lots": None},
        {"floor_price_micro": 1, "limit_lots": 0},
        {"floor_price_micro": 1.5, "limit_lots": None},
        {"floor_price_micro": 1},
        {"floor_price_micro": 1, "limit_lots": None, "operator_id": 1},
    ],
)
def test_terms_that_make_no_sense_change_nothing(program, olga, grid, document):
    assert refusal(put(program(olga), grid.shed, "/terms", document, **{"If-Match": "*"})) == (422, "invalid_message")
    assert grid.shed.floor_price_micro == type(grid.shed).objects.get(pk=grid.shed.pk).floor_price_micro


def test_the_owner_drains_resumes_and_retires(program, olga, grid):
    hers = program(olga, "nodes:write")

    found = [post(hers, grid.shed, rest).json() for rest in ("/drain", "/resume", "/retire")]

    assert [(each["state"], each["reason"]) for each in found] == [
        ("DRAINING", "drained_by_owner"),
        ("PROBATION", "resumed_by_owner"),
        ("RETIRED", "retired_by_owner"),
    ]
    assert refusal(post(hers, grid.shed, "/drain")) == (409, "node_state")


OWNERS_ACTS = [
    ("put", "/terms", {"floor_price_micro": 1, "limit_lots": None}),
    ("put", "/shares", {"shares": [{"member_id": 1, "share_bp": 10_000}]}),
    ("post", "/drain", {}),
    ("post", "/resume", {}),
    ("post", "/retire", {}),
    ("post", "/appeal", {"text": "it was the power"}),
]


def act(client, node, method, rest, document):
    return getattr(client, method)(path(node, rest), document, "application/json", headers={"If-Match": "*"})


@pytest.mark.parametrize(("method", "rest", "document"), OWNERS_ACTS)
def test_nobody_else_does_the_owners_acts(program, grid, alice, bob, charlie, method, rest, document):
    before = state(grid.shed)

    for stranger, expected in ((alice, "not_your_node"), (bob, "not_your_node"), (charlie, "not_found")):
        assert refusal(act(program(stranger), grid.shed, method, rest, document))[1] == expected
    assert state(grid.shed) == before


@pytest.mark.parametrize(("method", "rest", "document"), OWNERS_ACTS)
def test_a_token_without_the_scope_does_nothing_to_a_node(program, grid, olga, method, rest, document):
    hers = program(olga, "jobs:read", "jobs:write", "market:write", "wallet:write", "cooperative:write")
    before = state(grid.shed)

    assert refusal(act(hers, grid.shed, method, rest, document)) == (403, "scope_not_granted")
    assert state(grid.shed) == before


def test_earnings_are_divided_among_members(program, olga, alice, grid):
    hers = program(olga)
    shares = [{"member_id": alice.pk, "share_bp": 4_000}, {"member_id": olga.pk, "share_bp": 6_000}]

    answer = put(hers, grid.shed, "/shares", {"shares": shares})

    assert answer.json() == {"shares": sorted(shares, key=lambda share: share["member_id"])}
    assert program(alice).get(path(grid.shed, "/shares")).json() == answer.json()


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([("alice", 9_999)], "node_shares_refused"),
        ([("charlie", 10_000)], "node_shares_refused"),
        ([("alice", 5_000), ("alice", 5_000)], "invalid"),
        ([("alice", 0)], "invalid_message"),
        ([], "invalid_message"),
    ],
)
def test_shares_that_are_not_whole_are_refused(request, program, olga, alice, charlie, grid, parts, code):
    shares = [{"member_id": request.getfixturevalue(name).pk, "share_bp": part} for name, part in parts]

    assert refusal(put(program(olga), grid.shed, "/shares", {"shares": shares})) == (422, code)
    assert not NodeShare.objects.filter(node=grid.shed, owner=alice).exists()


def test_a_steward_quarantines_the_owner_appeals_and_the_steward_releases(client_of, program, bob, olga, grid):
    his, hers = client_of(bob), program(olga)

    first = post(his, grid.shed, "/quarantine", {"text": "wrong labels"})
    appeal = post(hers, grid.shed, "/appeal", {"text": "it was the power"})
    told = [(event["reason"], event["detail"]) for event in hers.get(path(grid.shed)).json()["events"][:2]]
    released = post(his, grid.shed, "/release", {"text": "mended"})

    assert (first.status_code, first.json()["reason"]) == (200, "quarantined_by_steward")
    assert appeal.status_code == 200
    assert told == [("appeal", "it was the power"), ("quarantined_by_steward", "wrong labels")]
    assert (released.json()["state"], released.json()["reason"]) == ("PROBATION", "released_by_steward")
    assert refusal(post(hers, grid.shed, "/appeal", {"text": "again"})) == (409, "node_state")


def test_a_steward_names_a_validator(client_of, bob, grid):
    his = client_of(bob)

    named = put(his, grid.shed, "/validator", {"is_validator": True, "text": "I know it"}).json()
    ended = put(his, grid.shed, "/validator", {"is_validator": False}).json()

    assert (named["is_validator"], named["state"], ended["is_validator"]) == (True, "ACTIVE", False)


STEWARDS_ACTS = [
    ("post", "/quarantine", {"text": "x"}),
    ("post", "/release", {"text": "x"}),
    ("put", "/validator", {"is_validator": True}),
]


@pytest.mark.parametrize(("method", "rest", "document"), STEWARDS_ACTS)
def test_no_token_and_no_mere_member_judges_a_node(
    client_of, program, grid, bob, olga, charlie, method, rest, document
):
    before = state(grid.shed)

    assert refusal(act(program(bob), grid.shed, method, rest, document)) == (403, "scope_not_granted")
    assert refusal(act(client_of(olga), grid.shed, method, rest, document)) == (403, "role_required")
    assert refusal(act(client_of(charlie), grid.shed, method, rest, document)) == (404, "not_found")
    assert state(grid.shed) == before


@pytest.mark.parametrize("text", ["", " \n", "x" * 501, 7, None])
def test_a_judgement_needs_words(client_of, bob, grid, text):
    answer = post(client_of(bob), grid.shed, "/quarantine", {"text": text})

    assert refusal(answer) == (422, "invalid_message")
    assert state(grid.shed)[0] == "PROBATION"


def test_an_offer_follows_the_terms_once_however_often_they_are_sent(program, olga, grid):
    hers, document = program(olga), {"floor_price_micro": 900_000, "limit_lots": None}

    for _ in range(2):
        put(hers, grid.shed, "/terms", document, **{"If-Match": "*", "Idempotency-Key": "one"})

    assert BookInput.objects.filter(kind="CANCEL").count() == 1
