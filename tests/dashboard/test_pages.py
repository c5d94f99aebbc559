"""Who sees which page, what it says, and how many queries it takes."""

import csv
import io

import pytest
from django.urls import reverse

from dashboard.panels import PANELS
from ledger import queries as ledger
from marketplace.models import BookInput, Order
from nodes.models import JoinToken, Node
from scheduler.models import Job
from tests.dashboard import scenes

pytestmark = pytest.mark.django_db


def pages_of(grid):
    """name -> address of every page that is about something of Alice's cooperative."""
    return {
        "job": reverse("job", args=[grid.job.pk]),
        "output": reverse("job-output", args=[grid.job.pk, grid.accepted[0].outputs.get().pk]),
        "receipt": reverse("job-receipt", args=[grid.job.pk, grid.accepted[0].pk]),
        "node": reverse("node", args=[grid.shed.pk]),
        "transfer": f"{reverse('transfer')}?key=job:{grid.job.pk}:hold",
    }


LISTS = ("home", "jobs", "new-job", "nodes", "market", "wallet", "statement-csv")


@pytest.mark.parametrize("name", LISTS)
def test_a_member_opens_every_page(client_of, grid, alice, name):
    answer = client_of(alice).get(reverse(name))

    assert answer.status_code == 200


@pytest.mark.parametrize("name", LISTS)
def test_strangers_are_sent_to_the_login_and_back(client_of, db, name):
    answer = client_of().get(reverse(name))

    if name == "home":
        assert answer.status_code == 200
        assert "Sign in" in answer.text
    else:
        assert answer.url == f"{reverse('account_login')}?next={reverse(name)}"


@pytest.mark.parametrize("name", ["job", "output", "receipt", "node", "transfer"])
def test_what_belongs_to_others_is_not_found(client_of, grid, alice, charlie, sam, name):
    address = pages_of(grid)[name]

    assert client_of(alice).get(address).status_code == 200
    assert client_of(sam).get(address).status_code == 200
    assert client_of(charlie).get(address).status_code == 404


def test_a_member_does_not_see_another_members_job_or_money(client_of, grid, olga):
    pages = pages_of(grid)

    assert [client_of(olga).get(pages[name]).status_code for name in ("job", "output", "receipt", "transfer")] == [
        404
    ] * 4
    assert client_of(olga).get(pages["node"]).status_code == 200


def test_a_node_page_hides_the_names_of_jobs_from_other_members(client_of, grid, alice, olga, cooperative):
    mia = scenes_member(cooperative)

    assert "classify scans" in client_of(olga).get(pages_of(grid)["node"]).text
    assert "classify scans" not in client_of(mia).get(pages_of(grid)["node"]).text


def scenes_member(cooperative):
    from accounts.models import Membership, User

    user = User.objects.create_user("mia@example.org", "correct horse battery", display_name="Mia")
    return Membership.objects.create(cooperative=cooperative, user=user, roles=["MEMBER"])


def test_the_job_page_tells_state_bill_results_and_reasons(client_of, grid, alice):
    text = client_of(alice).get(pages_of(grid)["job"]).text

    for words in (
        "Tasks are on 1 node.",
        "3 1 4 1 5",
        "shed",
        "attic",
        "Royalty for digits 1.0.0",
        "Split into 4 tasks",
    ):
        assert words in text, words


def test_a_job_that_waits_says_for_what(client_of, bob, alice, grid, now):
    job = scenes.a_job(alice, now, version=grid.version, state="QUEUED", name="waiting")
    scenes.an_order(alice, side="BUY", price_micro=600_000, lots=4, reference=job.reference)
    Job.objects.filter(pk=job.pk).update(limit_price_micro=600_000)

    text = client_of(alice).get(reverse("job", args=[job.pk])).text

    assert "Waiting: the cheapest lots on offer cost 0.80 per core-hour; this job’s limit is 0.60." in text


def test_a_download_is_the_file_and_no_browser_runs_it(client_of, grid, alice):
    answer = client_of(alice).get(pages_of(grid)["output"])

    assert b"".join(answer.streaming_content)[:6] == b"\x93NUMPY"
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == f'attachment; filename="job-{grid.job.pk}-task-0-labels.npy"'


def test_the_list_of_jobs_is_filtered_by_its_address(client_of, grid, alice, now):
    scenes.a_job(alice, now, version=grid.version, state="CANCELLED", name="sketch", reason="cancelled_by_member")
    client = client_of(alice)

    assert "sketch" not in client.get(reverse("jobs"), {"state": "open"}).text
    assert "sketch" in client.get(reverse("jobs"), {"state": "failed"}).text
    assert client.get(reverse("jobs"), {"state": "nonsense"}).status_code == 404


def test_older_jobs_are_on_the_next_page(client_of, bob, alice, now):
    jobs = [scenes.a_job(alice, now, tasks=1, state="CANCELLED", pays=False, name=f"sketch {n}.") for n in range(27)]
    client = client_of(alice)

    first = client.get(reverse("jobs")).text
    second = client.get(reverse("jobs"), {"before": jobs[2].pk}).text

    assert f"before={jobs[2].pk}" in first
    assert "sketch 2." in first
    assert "sketch 1." not in first
    assert "sketch 1." in second
    assert "Older" not in second


def test_cancelling_stops_the_job_and_says_so(client_of, grid, alice):
    answer = client_of(alice).post(reverse("cancel-job", args=[grid.job.pk]), headers={"HX-Request": "true"})

    grid.job.refresh_from_db()
    assert grid.job.state == Job.State.CANCELLED
    assert answer["HX-Redirect"] == reverse("job", args=[grid.job.pk])


def test_nobody_cancels_a_job_of_another_member(client_of, grid, sam, olga):
    address = reverse("cancel-job", args=[grid.job.pk])

    assert client_of(olga).post(address).status_code == 404
    assert client_of(sam).post(address).status_code == 403
    grid.job.refresh_from_db()
    assert grid.job.state == Job.State.RUNNING


def test_an_operator_changes_the_terms_of_the_own_node_alone(client_of, grid, olga, sam, charlie):
    address = reverse("node-terms", args=[grid.shed.pk])
    terms = {"floor_price": "0.65", "limit_lots": "2"}

    refused = [client_of(person).post(address, terms).status_code for person in (sam, charlie)]
    accepted = client_of(olga).post(address, terms)

    grid.shed.refresh_from_db()
    assert refused == [403, 404]
    assert accepted.url == reverse("node", args=[grid.shed.pk])
    assert (grid.shed.floor_price_micro, grid.shed.limit_lots, grid.shed.sellable_lots) == (650_000, 2, 2)


@pytest.mark.parametrize("price", ["free", "-1", "0.0000001", "1e3", "99999999"])
def test_a_price_that_is_none_is_refused_at_its_field(client_of, grid, olga, price):
    answer = client_of(olga).post(reverse("node-terms", args=[grid.shed.pk]), {"floor_price": price})

    assert answer.status_code == 422
    assert 'id="id_floor_price_error"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    grid.shed.refresh_from_db()
    assert grid.shed.floor_price_micro == 500_000


def test_drain_resume_and_retire_take_a_node_through_its_states(client_of, grid, olga):
    states = []
    for act in ("drain-node", "resume-node", "retire-node"):
        client_of(olga).post(reverse(act, args=[grid.shed.pk]))
        grid.shed.refresh_from_db()
        states.append(grid.shed.state)

    assert states == ["DRAINING", "PROBATION", "RETIRED"]


def test_a_steward_quarantines_with_words_that_the_operator_reads_and_answers(client_of, grid, olga, sam):
    words = {"text": "three wrong answers in a row"}

    refused = client_of(olga).post(reverse("quarantine-node", args=[grid.shed.pk]), words)
    client_of(sam).post(reverse("quarantine-node", args=[grid.shed.pk]), words)
    page = client_of(olga).get(reverse("node", args=[grid.shed.pk])).text
    home = client_of(olga).get(reverse("home")).text
    client_of(olga).post(reverse("appeal-quarantine", args=[grid.shed.pk]), {"text": "the disk was full"})

    assert refused.status_code == 403
    assert "Quarantined: this node gets no work." in page
    assert "three wrong answers in a row" in page
    assert "shed is quarantined." in home
    assert "the disk was full" in client_of(sam).get(reverse("node", args=[grid.shed.pk])).text
    client_of(sam).post(reverse("release-node", args=[grid.shed.pk]), {"text": "fair enough"})
    grid.shed.refresh_from_db()
    assert grid.shed.state == Node.State.PROBATION


def test_adding_a_node_shows_its_command_once(client_of, grid, olga):
    client = client_of(olga)
    answer = client.post(
        reverse("add-node"), {"floor_price": "0.70", "tier": "EDGE", "zone": "north", "node_name": "kitchen"}
    )

    token = JoinToken.objects.order_by("-pk").first()
    assert answer.status_code == 200
    assert "gridnode join http://testserver --token " in answer.text
    assert (token.floor_price_micro, token.tier, token.node_name) == (700_000, "EDGE", "kitchen")
    again = client.get(reverse("joining", args=[token.pk]))
    assert "Waiting for the machine to join" in again.text
    assert "--token" not in again.text


def test_members_who_are_no_operators_add_no_nodes(client_of, grid, alice, olga):
    token = JoinToken.objects.filter(membership=olga).first()

    assert client_of(alice).get(reverse("add-node")).status_code == 403
    assert client_of(alice).post(reverse("add-node"), {"floor_price": "0.70", "tier": "EDGE"}).status_code == 403
    assert client_of(alice).get(reverse("joining", args=[token.pk])).status_code == 403


def test_a_ticket_previews_what_it_would_trade(client_of, grid, alice):
    answer = client_of(alice).get(
        reverse("order-preview"),
        {"book": grid.book.pk, "side": "BUY", "lots": 9, "price": "0.85", "time_in_force": "GTC"},
    )

    assert "6 of 9 lots" in answer.text
    assert "0.80" in answer.text
    assert "7.65<small>0000</small>" in answer.text


def test_lots_of_an_own_node_are_offered_and_taken_back(client_of, grid, olga):
    client = client_of(olga)
    wish = {"side": "SELL", "lots": 2, "price": "0.90", "time_in_force": "GTC", "node": grid.shed.pk}

    client.post(reverse("place-order", args=[grid.book.pk]), wish)
    order = Order.objects.get(placed_by=olga, is_standing=False, state="ACCEPTED")
    client.post(reverse("cancel-order", args=[order.pk]))

    assert (order.side, order.lots, order.price_micro, order.node) == ("SELL", 2, 900_000, grid.shed)
    assert BookInput.objects.get(kind="CANCEL").payload["order_id"] == str(order.pk)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"price": "0.40"}, "price"), ({"node": ""}, "node"), ({"side": "BUY"}, "side"), ({"lots": "0"}, "lots")],
)
def test_a_ticket_that_cannot_be_is_refused_with_what_would_be_accepted(client_of, grid, olga, change, field):
    before = Order.objects.count()
    wish = {"side": "SELL", "lots": 2, "price": "0.90", "time_in_force": "GTC", "node": grid.shed.pk} | change

    answer = client_of(olga).post(reverse("place-order", args=[grid.book.pk]), wish)

    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert Order.objects.count() == before


def test_nobody_offers_the_node_of_another_or_cancels_another_s_order(client_of, grid, bob, sam, charlie):
    wish = {"side": "SELL", "lots": 2, "price": "0.90", "time_in_force": "GTC", "node": grid.shed.pk}
    order = Order.objects.filter(node=grid.shed, side="SELL").first()

    assert client_of(bob).post(reverse("place-order", args=[grid.book.pk]), wish).status_code == 422
    assert client_of(charlie).post(reverse("place-order", args=[grid.book.pk]), wish).status_code == 404
    assert client_of(sam).post(reverse("cancel-order", args=[order.pk])).status_code == 404


def test_the_wallet_adds_up(client_of, grid, alice):
    text = client_of(alice).get(reverse("wallet")).text

    available = ledger.balance(alice.wallet)
    held = ledger.balance(grid.job.hold_address)
    assert f"{available // 10_000 / 100:.2f}<small>{available % 10_000:04d}</small>" in text
    assert f"{held // 10_000 / 100:.2f}<small>{held % 10_000:04d}</small>" in text


def test_the_statement_as_csv_is_whole_and_safe_for_spreadsheets(client_of, bob, alice, now):
    scenes.credit(bob, alice, 10, now)
    from ledger import services

    services.hold(
        payer=alice.wallet, hold_address="hold:job:99", amount_micro=1_500_000, key="job:99:hold", reason="=cmd()"
    )

    answer = client_of(alice).get(reverse("statement-csv"))
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

    assert [(row["amount_credits"], row["balance_credits"]) for row in rows] == [
        ("-1.500000", "8.500000"),
        ("10.000000", "10.000000"),
    ]
    assert rows[0]["reason"] == "'=cmd()"


def test_a_transfer_shows_every_posting(client_of, grid, olga):
    text = (
        client_of(olga)
        .get(reverse("transfer"), {"key": f"task:{grid.accepted[0].task_id}:settle:{grid.accepted[0].pk}"})
        .text
    )

    assert "Your wallet" in text
    assert f"hold:job:{grid.job.pk}" in text
    assert "Treasury" in text


QUERIES = {"home": 21, "jobs": 10, "nodes": 12, "market": 23, "wallet": 15}
"""Every page: session, user, memberships (who acts, and for the frame how many), the database's clock,
the purse. The rest is what the page's panels read; `dashboard/queries` says how many each takes."""


@pytest.mark.parametrize("name", QUERIES)
def test_pages_take_as_many_queries_as_they_did_however_many_rows_there_are(
    client_of, grid, alice, olga, now, name, django_assert_num_queries
):
    client = client_of(alice)
    client.get(reverse(name))  # the first page of a session also stores its CSRF secret
    with django_assert_num_queries(QUERIES[name]):
        client.get(reverse(name))
    for number in range(4):
        scenes.a_node(olga, now, name=f"more {number}")
        scenes.an_order(alice, side="BUY", price_micro=100_000 + number, lots=1)
        job = scenes.a_job(alice, now, version=grid.version, name=f"more {number}")
        scenes.a_lease(grid.attic, alice, reference=job.reference)

    with django_assert_num_queries(QUERIES[name]):
        client.get(reverse(name))


def test_the_frame_costs_a_stranger_no_query(client_of, db, django_assert_num_queries):
    with django_assert_num_queries(0):
        client_of().get(reverse("docs", args=["glossary"]))


def test_no_page_carries_inline_script_or_style(client_of, grid, alice, olga):
    pages = [reverse(name) for name in LISTS[:-1]] + [pages_of(grid)["job"], pages_of(grid)["node"]]
    for address in pages:
        text = client_of(alice).get(address).text
        assert " style=" not in text, address
        assert "<style" not in text, address
        assert "<script>" not in text, address
        assert " onclick" not in text, address


def test_every_panel_is_on_some_page(client_of, grid, alice, olga):
    token = JoinToken.objects.filter(membership=olga).first()
    pages = [
        client_of(alice).get(address).text
        for address in (
            reverse("home"),
            reverse("jobs"),
            reverse("market"),
            reverse("wallet"),
            reverse("cooperative"),
            *pages_of(grid).values(),
        )
        if "outputs" not in address and "receipts" not in address
    ]
    pages += [client_of(olga).get(reverse("nodes")).text, client_of(olga).get(reverse("joining", args=[token.pk])).text]

    shown = "".join(pages)

    assert [name for name in PANELS if f'data-panel="{name}"' not in shown] == []
