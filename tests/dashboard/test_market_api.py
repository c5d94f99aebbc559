"""What members' programs call about the market: books, depth, trades, own orders, leases, placing and cancelling."""

import pytest

from marketplace.models import Book, BookInput, Order, ResourceClass
from tests.dashboard import scenes

API = "/api/v1/market"


def refusal(answer):
    return answer.status_code, answer.json()["code"]


def place(client, grid, **changes):
    document = {
        "book_id": grid.book.pk,
        "side": "SELL",
        "node_id": grid.shed.pk,
        "lots": 1,
        "price_micro": 900_000,
    }
    return client.post(f"{API}/orders", document | changes, "application/json")


def own(client, **query):
    return client.get(f"{API}/orders", query).json()["orders"]


def test_books_come_with_their_best_prices(program, alice, grid):
    [book] = program(alice).get(f"{API}/books").json()["books"]

    assert (book["resource_class"], book["best_sell_micro"], book["best_buy_micro"]) == ("cpu", 800_000, None)
    assert program(alice).get(f"{API}/books/{book['id']}").json() == book


def test_books_come_in_pages_and_by_class(program, alice, grid, django_assert_num_queries):
    other = Book.objects.create(
        pool=grid.book.pool, resource_class=ResourceClass.objects.create(code="gpu.a", lot_milli=1000)
    )
    hers = program(alice)

    def listed(**wanted):
        answer = hers.get(f"{API}/books", wanted).json()
        return [book["id"] for book in answer["books"]], answer["next"]

    first, more = listed(limit="1")
    # time twice, token within a savepoint of two, books, best prices
    with django_assert_num_queries(7):
        rest = listed(limit="1", cursor=more)

    assert (first, rest) == ([grid.book.pk], ([other.pk], None))
    assert listed(resource_class="gpu.a")[0] == [other.pk]
    assert refusal(hers.get(f"{API}/books", {"class": "cpu"})) == (422, "invalid_query")


def test_depth_says_which_lots_are_ones_own(program, olga, grid):
    found = program(olga).get(f"{API}/books/{grid.book.pk}/depth").json()

    [level] = found["sells"]
    assert (level["price_micro"], level["lots"] - level["own_lots"]) == (800_000, grid.attic.sellable_lots - 1)
    assert level["own_lots"] == grid.shed.sellable_lots - 1
    assert found["buys"] == []


def test_trades_come_in_pages_newest_first(program, alice, grid):
    hers, path = program(alice), f"{API}/books/{grid.book.pk}/trades"

    first = hers.get(path, {"limit": "1"}).json()
    second = hers.get(path, {"limit": "1", "cursor": first["next"]}).json()

    assert [trade["node_name"] for page in (first, second) for trade in page["trades"]] == ["attic", "shed"]
    assert second["next"] is None


def test_a_preview_places_nothing(program, alice, grid):
    found = program(alice).get(
        f"{API}/books/{grid.book.pk}/preview", {"side": "BUY", "lots": "2", "price_micro": "900000"}
    )

    assert found.json() == {
        "lots": 2,
        "average_micro": 800_000,
        "worst_micro": 800_000,
        "cost_micro": 1_600_000,
        "most_micro": 1_800_000,
    }
    assert not Order.objects.filter(state="ACCEPTED").exists()


@pytest.mark.parametrize(
    "query", ["", "side=BUY&lots=1", "side=HOLD&lots=1&price_micro=1", "side=BUY&lots=0&price_micro=1"]
)
def test_a_preview_of_nonsense_is_refused(program, alice, grid, query):
    assert refusal(program(alice).get(f"{API}/books/{grid.book.pk}/preview?{query}")) == (422, "invalid_query")


def test_an_offer_is_taken_in_and_seen_among_ones_orders(program, olga, grid):
    hers = program(olga)

    answer = place(hers, grid, time_in_force="IOC")

    assert (answer.status_code, answer.json()["state"]) == (202, "ACCEPTED")
    assert own(hers, state="ACCEPTED") == [answer.json()]
    assert hers.get(f"{API}/orders/{answer.json()['id']}").json() == answer.json()
    assert answer.json()["time_in_force"] == "IOC"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"side": "BUY", "node_id": None}, (422, "bought_by_jobs")),
        ({"node_id": None}, (422, "invalid")),
        ({"price_micro": 499_999}, (422, "price_below_floor")),
        ({"price_micro": 0}, (422, "invalid_message")),
        ({"price_micro": 10**12 + 1}, (422, "invalid_message")),
        ({"lots": 0}, (422, "invalid_message")),
        ({"lots": 2**40}, (422, "invalid_message")),
        ({"time_in_force": "GTD"}, (422, "invalid_message")),
        ({"book_id": 10**12}, (404, "not_found")),
        ({"node_id": 10**12}, (404, "not_found")),
        ({"hold_address": "coop:1:treasury"}, (422, "invalid_message")),
        ({"placed_by": 1}, (422, "invalid_message")),
    ],
)
def test_an_offer_that_cannot_be_is_refused_and_leaves_nothing(program, olga, grid, changes, expected):
    before = Order.objects.count()

    assert refusal(place(program(olga), grid, **changes)) == expected
    assert Order.objects.count() == before


def test_nobody_offers_another_members_node(program, bob, alice, charlie, grid):
    before = Order.objects.count()

    for stranger in (bob, alice, charlie):
        assert refusal(place(program(stranger), grid)) == (404, "not_found")
    assert Order.objects.count() == before


def test_a_reading_token_places_and_cancels_nothing(program, olga, grid):
    hers = program(olga, "jobs:read")
    standing = Order.objects.get(node=grid.shed, is_standing=True)

    assert refusal(place(hers, grid)) == (403, "scope_not_granted")
    assert refusal(hers.post(f"{API}/orders/{standing.pk}/cancel")) == (403, "scope_not_granted")
    assert not BookInput.objects.filter(kind="CANCEL").exists()


def test_an_order_is_cancelled_by_its_owner_alone(program, olga, alice, bob, charlie, grid):
    standing = Order.objects.get(node=grid.shed, is_standing=True)

    for stranger in (alice, bob, charlie):
        assert refusal(program(stranger).post(f"{API}/orders/{standing.pk}/cancel")) == (404, "not_found")
        assert refusal(program(stranger).get(f"{API}/orders/{standing.pk}")) == (404, "not_found")
    assert not BookInput.objects.filter(kind="CANCEL").exists()

    answer = program(olga).post(f"{API}/orders/{standing.pk}/cancel")

    assert (answer.status_code, answer.json()["id"]) == (202, standing.pk)
    assert BookInput.objects.get(kind="CANCEL").payload["order_id"] == str(standing.pk)


def test_an_order_that_is_over_is_not_cancelled(program, olga, grid):
    over = scenes.an_order(olga, side="SELL", node=grid.shed, price_micro=900_000, lots=1, state="CANCELLED")

    assert refusal(program(olga).post(f"{API}/orders/{over.pk}/cancel")) == (409, "order_closed")


def test_orders_are_listed_by_state_side_and_book_in_pages(program, alice, grid):
    hers = program(alice)
    resting = scenes.an_order(alice, side="BUY", price_micro=700_000, lots=2)

    everything = own(hers)
    first = hers.get(f"{API}/orders", {"limit": "2"}).json()
    second = hers.get(f"{API}/orders", {"limit": "2", "cursor": first["next"]}).json()

    assert [order["id"] for order in first["orders"] + second["orders"]] == [order["id"] for order in everything]
    assert (len(everything), second["next"]) == (3, None)
    assert [order["id"] for order in own(hers, live="true")] == [resting.pk]
    assert {order["state"] for order in own(hers, live="false")} == {"FILLED"}
    assert [order["id"] for order in own(hers, state="OPEN", side="BUY", book=grid.book.pk)] == [resting.pk]
    assert own(hers, side="SELL") == own(hers, book=grid.book.pk + 1) == []


def test_leases_are_ones_own(program, alice, bob, grid):
    found = program(alice).get(f"{API}/leases").json()["leases"]

    assert [(lease["node_name"], lease["state"], lease["reference"]) for lease in found] == [
        ("attic", "LIVE", grid.job.reference),
        ("shed", "LIVE", grid.job.reference),
    ]
    assert program(alice).get(f"{API}/leases", {"state": "CLOSED"}).json()["leases"] == []
    assert program(bob).get(f"{API}/leases").json()["leases"] == []


@pytest.mark.parametrize("path", ["", "/depth", "/trades", "/preview?side=BUY&lots=1&price_micro=1"])
def test_the_market_of_another_cooperative_does_not_exist(program, charlie, grid, path):
    his = program(charlie)

    assert refusal(his.get(f"{API}/books/{grid.book.pk}{path}")) == (404, "not_found")
    assert his.get(f"{API}/books").json()["books"] == []


@pytest.mark.parametrize("query", ["state=LOST", "live=1", "book=x", "before=3"])
def test_a_filter_that_makes_no_sense_is_refused(program, alice, grid, query):
    assert refusal(program(alice).get(f"{API}/orders?{query}")) == (422, "invalid_query")


@pytest.mark.parametrize("many", [1, 4])
def test_lists_ask_as_many_questions_for_four_as_for_one(program, alice, grid, many, django_assert_num_queries):
    for _ in range(many):
        scenes.a_lease(grid.shed, alice)
    hers = program(alice)
    hers.get(f"{API}/books")

    for path, questions in (("orders", 6), ("leases", 6), (f"books/{grid.book.pk}/trades", 7), ("books", 7)):
        with django_assert_num_queries(questions):
            hers.get(f"{API}/{path}")
