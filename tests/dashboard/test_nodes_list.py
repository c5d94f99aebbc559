"""The list of nodes: search, states, orders, pages, counts and CSV; the key of its panel asks the same."""

import csv
import io

import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from common import clock
from dashboard.core import sheets, wishes
from dashboard.panels.panel import KEY
from dashboard.queries import fleet
from dashboard.queries.viewer import Viewer
from nodes.models import Node
from reputation.models import Score
from tests.dashboard import scenes

words = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=8)


@given(st.fixed_dictionaries(dict.fromkeys(fleet.NAMES, words)))
def test_a_packed_wish_reads_back_and_is_a_key(found):
    wish = {name: found[name] for name in fleet.NAMES}
    key = wishes.pack(wish)

    assert KEY.fullmatch(key)
    assert wishes.unpack(key, fleet.NAMES) == wish


@given(st.lists(st.text(max_size=60), min_size=5, max_size=5))
def test_any_wish_packs_into_a_key_that_reads(values):
    key = wishes.pack(dict(zip(fleet.NAMES, values, strict=True)))

    assert KEY.fullmatch(key)
    assert tuple(wishes.unpack(key, fleet.NAMES)) == fleet.NAMES


@given(st.text(max_size=130))
def test_a_key_that_is_none_is_refused_or_reads_as_words(text):
    try:
        found = wishes.unpack(text, fleet.NAMES)
    except ValueError:
        return
    assert tuple(found) == fleet.NAMES


def test_text_in_sheets_is_no_formula():
    assert sheets.line(["=1+1", "-5", "plain", 3]) == "'=1+1,-5,plain,3\r\n"


@pytest.fixture
def fleet_of_six(grid, olga, now):
    """shed, attic and four more in different states."""
    for number, state in enumerate(["ACTIVE", "DRAINING", "QUARANTINED", "RETIRED"]):
        node = scenes.a_node(olga, now, name=f"more-{number}", offers=False)
        Node.objects.filter(pk=node.pk).update(state=state, reported_load_permille=100 * number)
    return grid


def names(client, **query):
    rows = client.get(reverse("nodes"), query)
    key = wishes.pack({name: query.get(name, "") for name in fleet.NAMES})
    assert f'data-key="{key}"' in rows.text
    viewer_rows = rows.text.split("<tbody>")[-1] if "<tbody>" in rows.text else ""
    return [name for name in ("attic", "shed", "more-0", "more-1", "more-2", "more-3") if f">{name}<" in viewer_rows]


def test_nodes_are_found_by_word_state_and_operator(client_of, fleet_of_six, olga):
    client = client_of(olga)

    assert names(client) == ["attic", "shed", "more-0", "more-1", "more-2"]
    assert names(client, q="MORE") == ["more-0", "more-1", "more-2"]
    assert names(client, q="bob") == ["attic"]
    assert names(client, state="working") == ["attic", "shed", "more-0"]
    assert names(client, state="quarantined") == ["more-2"]
    assert names(client, state="retired") == ["more-3"]
    assert names(client, mine="1", state="working") == ["shed", "more-0"]
    assert "No node is like that." in client.get(reverse("nodes"), {"q": "nothing"}).text


def test_nonsense_in_the_address_is_not_found(client_of, fleet_of_six, olga):
    client = client_of(olga)

    for query in ({"state": "x"}, {"sort": "x"}):
        assert client.get(reverse("nodes"), query).status_code == 404
    assert client.get(reverse("nodes"), {"q": "ß" * 500, "after": "x"}).status_code in (200, 404)
    assert client.get(reverse("panel", args=["nodes-list", "nonsense"]), {"membership": olga.pk}).status_code == 404


def test_a_node_that_is_silent_is_counted_and_found(client_of, fleet_of_six, olga):
    Node.objects.filter(name="more-0").update(last_seen_at=None)
    client = client_of(olga)

    assert names(client, state="missing") == ["more-0"]
    assert client.get(reverse("nodes")).context["counts"] == {
        "": 5,
        "working": 3,
        "missing": 1,
        "draining": 1,
        "quarantined": 1,
        "retired": 1,
    }


@pytest.mark.parametrize("sort", fleet.SORTS)
def test_every_order_shows_each_node_once_across_pages(fleet_of_six, olga, sort, monkeypatch):
    monkeypatch.setattr(fleet, "PAGE_ROWS", 2)
    Score.objects.create(
        node=fleet_of_six.shed, dimension="correctness", score_micro=900_000, computed_at=clock.database_now()
    )
    viewer = Viewer(olga, clock.database_now())
    seen, after = [], ""
    for _ in range(3):
        page = fleet.page(viewer, fleet.Wish(sort=sort, after=after))
        seen += [row.node.name for row in page.rows]
        after = page.after

    assert after == ""
    assert sorted(seen) == ["attic", "more-0", "more-1", "more-2", "shed"]
    first = {
        "name": "attic",
        "newest": "more-2",
        "load": {"attic", "shed"},
        "earned": {"attic", "shed"},
        "score": "shed",
    }[sort]
    assert seen[0] in first if isinstance(first, set) else seen[0] == first


def test_the_csv_is_the_list_as_it_is_asked_for(client_of, fleet_of_six, olga, charlie, monkeypatch):
    monkeypatch.setattr(fleet, "PAGE_ROWS", 2)
    answer = client_of(olga).get(reverse("nodes-csv"), {"state": "working"})
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

    assert [row["name"] for row in rows] == ["attic", "more-0", "shed"]
    assert rows[2]["asks_credits_per_core_hour"] == "0.800000"
    other = client_of(charlie).get(reverse("nodes-csv"))
    assert b"".join(other.streaming_content).decode().count("\n") == 1
