"""What members' programs call about credits: the wallet, its statement, postings, sending, the trial balance."""

import pytest

from accounts import services as accounts
from common.clock import database_now
from ledger import queries as ledger
from ledger import services as ledger_services
from tests.dashboard import scenes

API = "/api/v1"
SEND = f"{API}/wallet/transfers"


def refusal(answer):
    return answer.status_code, answer.json()["code"]


def send(client, to, micro=1_500_000, key="one", **changes):
    document = {"to_member_id": to.pk, "amount_micro": micro, "reason": "for the heating"} | changes
    return client.post(SEND, document, "application/json", headers={"Idempotency-Key": key} if key else {})


@pytest.fixture
def rich(alice, bob, now):
    """Alice with 100 credits."""
    scenes.credit(bob, alice, 100, now)
    return alice


def test_a_wallet_says_what_is_available_and_what_lies_aside_for_which_job(program, alice, grid):
    found = program(alice).get(f"{API}/wallet").json()

    own, held = ledger.balance(alice.wallet), ledger.balance(grid.job.hold_address)
    assert (found["address"], found["available_micro"], found["held_micro"]) == (alice.wallet, own, held)
    assert found["held"] == [{"address": grid.job.hold_address, "amount_micro": held, "job_id": grid.job.pk}]


def test_a_statement_comes_in_pages_with_the_running_balance(program, rich, bob, now):
    for credits in (1, 2, 3):
        scenes.credit(bob, rich, credits, now)
    hers, lines, cursor = program(rich), [], None
    for _ in range(2):
        page = hers.get(f"{API}/wallet/statement", {"limit": "2"} | ({"cursor": cursor} if cursor else {})).json()
        lines += [(line["amount_micro"], line["balance_micro"], line["kind"]) for line in page["lines"]]
        cursor = page["next"]

    assert lines == [
        (3_000_000, 106_000_000, "ISSUE"),
        (2_000_000, 103_000_000, "ISSUE"),
        (1_000_000, 101_000_000, "ISSUE"),
        (100_000_000, 100_000_000, "ISSUE"),
    ]
    assert cursor is None


def test_a_statement_is_narrowed_by_month_and_kind(program, alice, grid, now):
    hers, address = program(alice), f"{API}/wallet/statement"

    def kinds(**wish):
        return [line["kind"] for line in hers.get(address, wish).json()["lines"]]

    assert kinds() == kinds(month=f"{now:%Y-%m}") == ["HOLD", "ISSUE"]
    assert kinds(kind="hold") == kinds(kind="hold", month=f"{now:%Y-%m}") == ["HOLD"]
    assert kinds(month="2020-01") == []
    for wish in ({"month": "2026-13"}, {"month": "now"}, {"kind": "HOLD"}, {"kind": ""}):
        assert refusal(hers.get(address, wish)) == (422, "invalid_query")


def test_every_line_leads_to_postings_that_sum_to_zero(program, alice, grid):
    hers = program(alice)

    for line in hers.get(f"{API}/wallet/statement").json()["lines"]:
        postings = hers.get(SEND, {"key": line["key"]}).json()["postings"]
        assert sum(posting["amount_micro"] for posting in postings) == 0
        assert line["amount_micro"] in [each["amount_micro"] for each in postings if each["is_own_wallet"]]


def test_credits_go_to_another_member_once(program, rich, olga):
    answers = [send(program(rich), olga)] + [send(hers, olga) for hers in [program(rich)] for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201] * 3
    assert answers[1].content == answers[2].content
    assert ledger.balances([rich.wallet, olga.wallet]) == {rich.wallet: 98_500_000, olga.wallet: 1_500_000}
    assert ledger_services.check_ledger() == []


def test_the_receiver_reads_who_it_is_from_and_why(program, rich, olga):
    send(program(rich), olga)

    hers = program(olga)
    [line] = hers.get(f"{API}/wallet/statement").json()["lines"]
    postings = hers.get(SEND, {"key": line["key"]}).json()["postings"]

    assert (line["kind"], line["reason"], line["amount_micro"]) == ("SEND", "for the heating", 1_500_000)
    assert {(each["address"], each["amount_micro"]) for each in postings} == {
        (rich.wallet, -1_500_000),
        (olga.wallet, 1_500_000),
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"micro": 100_000_001}, (402, "insufficient_funds")),
        ({"micro": 0}, (422, "invalid_message")),
        ({"micro": -1}, (422, "invalid_message")),
        ({"micro": 1.5}, (422, "invalid_message")),
        ({"micro": 2**53}, (422, "sending_refused")),
        ({"reason": " "}, (422, "sending_refused")),
        ({"key": None}, (422, "idempotency_key_invalid")),
        ({"to_member_id": 10**12}, (404, "not_found")),
        ({"from_member_id": 1}, (422, "invalid_message")),
    ],
)
def test_what_cannot_be_sent_moves_nothing(program, rich, olga, changes, expected):
    assert refusal(send(program(rich), olga, **changes)) == expected
    assert ledger.balances([rich.wallet, olga.wallet]) == {rich.wallet: 100_000_000, olga.wallet: 0}


def test_nobody_sends_to_themselves_to_outsiders_or_to_who_has_left(program, rich, olga, charlie, now):
    hers = program(rich)
    accounts.leave(membership=olga, now=now)

    assert refusal(send(hers, rich)) == (422, "sending_refused")
    assert refusal(send(hers, charlie)) == (404, "not_found")
    assert refusal(send(hers, olga)) == (404, "not_found")
    assert ledger.balance(rich.wallet) == 100_000_000


def test_money_moves_by_token_only_with_the_scope_for_it(program, rich, olga):
    wide = program(rich, "jobs:write", "market:write", "wallet:read", "nodes:write", "cooperative:write")

    assert refusal(send(wide, olga)) == (403, "scope_not_granted")
    assert ledger.balance(olga.wallet) == 0


def test_an_auditor_looks_and_does_not_send(program, rich, olga, bob, now):
    accounts.set_roles(by=bob, membership=rich, roles=["AUDITOR"])

    assert refusal(send(program(rich), olga)) == (403, "role_required")
    assert ledger.balance(olga.wallet) == 0


def test_somebody_elses_transfer_does_not_exist(program, rich, olga, sam, charlie):
    key = send(program(rich), olga).json()["key"]

    assert refusal(program(charlie).get(SEND, {"key": key})) == (404, "not_found")
    assert program(sam).get(SEND, {"key": key}).status_code == 200


@pytest.mark.parametrize("query", ["", "key=", "key=a&key=b", "key=a&x=1", "key=" + "a" * 201, "key=%00"])
def test_a_transfer_is_asked_for_by_its_key_alone(program, alice, query):
    assert refusal(program(alice).get(f"{SEND}?{query}")) == (422, "invalid_query")


def test_stewards_see_the_accounts_of_their_cooperative_in_pages(program, rich, olga, bob, charlie, now):
    scenes.credit(charlie, charlie, 7, now)
    send(program(rich), olga)
    path, found, cursor = f"{API}/cooperatives/{bob.cooperative_id}/trial-balance", {}, None
    for _ in range(2):
        page = program(bob).get(path, {"limit": "2"} | ({"cursor": cursor} if cursor else {})).json()
        found |= {line["address"]: line["balance_micro"] for line in page["accounts"]}
        cursor = page["next"]

    assert found == {
        f"coop:{bob.cooperative_id}:issuance": -100_000_000,
        rich.wallet: 98_500_000,
        olga.wallet: 1_500_000,
    }
    assert cursor is None


def test_members_and_outsiders_see_no_trial_balance(program, alice, charlie, bob):
    path = f"{API}/cooperatives/{bob.cooperative_id}/trial-balance"

    assert refusal(program(alice).get(path)) == (403, "role_required")
    assert refusal(program(charlie).get(path)) == (404, "not_found")


@pytest.mark.parametrize("many", [1, 4])
def test_a_statement_asks_as_many_questions_for_four_lines_as_for_one(
    program, alice, bob, many, django_assert_num_queries
):
    for _ in range(many):
        scenes.credit(bob, alice, 1, database_now())
    hers = program(alice)
    hers.get(f"{API}/wallet/statement")

    with django_assert_num_queries(6):
        hers.get(f"{API}/wallet/statement")
