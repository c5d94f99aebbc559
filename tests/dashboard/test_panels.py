"""A panel reads the same in the page, by polling and over the socket, and tells outsiders nothing."""

import re

import pytest
from django.urls import reverse

from common import clock, errors
from dashboard import panels
from dashboard.queries.viewer import Viewer
from nodes.models import JoinToken

pytestmark = pytest.mark.django_db


def keys_of(grid, alice, olga):
    """Panel name -> (who sees it, its key), for every panel there is."""
    token = JoinToken.objects.filter(membership=olga).first()
    keys = {}
    for name in panels.PANELS:
        kind = name.partition("-")[0]
        key = {
            "job": grid.job.pk,
            "node": grid.shed.pk,
            "market": grid.book.pk,
            "cooperative": alice.cooperative_id,
        }.get(kind, alice.pk)
        keys[name] = (alice, str(key))
    return keys | {
        "jobs-list": (alice, "all"),
        "nodes-list": (alice, "all"),
        "node-joining": (olga, str(token.pk)),
    }


def without_times(html):
    return re.sub(r"<time.*?</time>", "<time/>", html, flags=re.DOTALL)


def poll(client, name, key, membership):
    return client.get(reverse("panel", args=[name, key]), {"membership": membership.pk})


@pytest.mark.parametrize("name", panels.PANELS)
def test_page_and_poll_and_socket_render_the_same(client_of, grid, alice, olga, name):
    member, key = keys_of(grid, alice, olga)[name]
    addresses = {
        "home": reverse("home"),
        "purse": reverse("home"),
        "jobs": reverse("jobs"),
        "job": reverse("job", args=[grid.job.pk]),
        "nodes": reverse("nodes"),
        "node": reverse("node", args=[grid.shed.pk]),
        "market": reverse("market"),
        "wallet": reverse("wallet"),
        "cooperative": reverse("cooperative"),
    }
    address = reverse("joining", args=[key]) if name == "node-joining" else addresses[name.partition("-")[0]]

    page = without_times(client_of(member).get(address).text)
    polled = without_times(poll(client_of(member), name, key, member).text)
    sent = without_times(panels.render(name, key, Viewer(member, clock.database_now())))

    assert polled == sent
    assert sent in page


@pytest.mark.parametrize("name", panels.PANELS)
def test_an_outsider_gets_no_panel_of_another_cooperative(client_of, grid, alice, olga, charlie, name):
    _, key = keys_of(grid, alice, olga)[name]
    if name in ("jobs-list", "nodes-list"):
        text = poll(client_of(charlie), name, key, charlie).text
        assert grid.job.name not in text
        assert grid.shed.name not in text
        return

    assert poll(client_of(charlie), name, key, charlie).status_code == 404
    with pytest.raises(errors.NotFound):
        panels.topics(name, key, Viewer(charlie, clock.database_now()))


@pytest.mark.parametrize(
    "name", [name for name in panels.PANELS if name.partition("-")[0] in ("job", "home", "wallet", "purse")]
)
def test_a_member_gets_no_panel_of_another_member(client_of, grid, alice, olga, name):
    _, key = keys_of(grid, alice, olga)[name]

    assert poll(client_of(olga), name, key, olga).status_code == 404


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("nothing", "1"),
        ("job-state", "x"),
        ("job-state", "0" * 30),
        ("jobs-list", "nonsense"),
        ("job-state", "99999999"),
    ],
)
def test_a_panel_that_is_none_is_not_found(client_of, alice, grid, name, key):
    assert poll(client_of(alice), name, key, alice).status_code == 404


def test_polling_without_a_session_says_so(client_of, grid, alice):
    assert poll(client_of(), "purse", str(alice.pk), alice).status_code == 401


def test_polling_for_somebody_else_s_membership_is_not_found(client_of, grid, alice, olga):
    assert poll(client_of(olga), "purse", str(alice.pk), alice).status_code == 404
    assert client_of(alice).get(reverse("panel", args=["purse", alice.pk]), {"membership": "x"}).status_code == 404
    assert client_of(alice).get(reverse("panel", args=["purse", alice.pk])).status_code == 404


def test_panels_listen_to_what_they_show(grid, alice, olga):
    viewer = Viewer(alice, clock.database_now())
    job, book, coop = grid.job.pk, grid.book.pk, alice.cooperative_id

    assert panels.topics("job-bill", str(job), viewer) == (f"job.{job}",)
    assert panels.topics("job-state", str(job), viewer) == (f"job.{job}", f"market.{book}")
    assert panels.topics("nodes-list", "all", viewer) == (f"nodes.{coop}",)
    assert panels.topics("node-earnings", str(grid.shed.pk), viewer) == (f"node.{grid.shed.pk}.page",)
    assert panels.topics("purse", str(alice.pk), viewer) == (f"wallet.{alice.pk}",)
    assert panels.topics("home-trades", str(alice.pk), viewer) == (f"market.{book}",)
