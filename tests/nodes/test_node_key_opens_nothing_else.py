"""A node key can work and nothing else: every address of members answers it as it answers a stranger."""

import pytest
from django.urls import URLPattern, get_resolver

from nodes.authentication import NodeSignatureAuthentication
from nodes.models import JoinToken, Node

SAMPLES = {
    "int": "1",
    "str": "sha256:" + "0" * 64,
    "path": "x",
    "slug": "x",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
OPEN = {"/api/v1/nodes/join", "/api/v1/join", "/api/v1/openapi.json", "/api/v1/docs/"}


def api_views():
    """(path, view class) of every address below /api/v1/, from the site's own table."""
    found = []

    def walk(patterns, prefix):
        for entry in patterns:
            route = prefix + str(entry.pattern)
            if isinstance(entry, URLPattern):
                if route.startswith("api/v1/") and hasattr(entry.callback, "view_class"):
                    found.append(("/" + filled(route), entry.callback.view_class))
            else:
                walk(entry.url_patterns, route)

    walk(get_resolver().url_patterns, "")
    return found


def filled(route):
    parts = []
    for part in route.split("/"):
        if part.startswith("<"):
            kind, _, _ = part.strip("<>").rpartition(":")
            part = SAMPLES[kind or "str"]
        parts.append(part)
    return "/".join(parts)


def is_for_nodes(view):
    classes = getattr(view, "authentication_classes", [])
    return any(issubclass(found, NodeSignatureAuthentication) for found in classes)


def test_the_table_of_addresses_is_looked_at_whole():
    paths = {path for path, _ in api_views()}

    assert {"/api/v1/nodes", "/api/v1/node/drain", "/api/v1/models", "/api/v1/models/versions"} <= paths
    assert OPEN - paths == set()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_every_member_address_refuses_a_node(agent, method):
    tried = 0
    for path, view in api_views():
        if is_for_nodes(view) or path in OPEN or not hasattr(view, method.lower()):
            continue
        answer = agent.send(method, path, b"{}" if method in ("POST", "PUT", "PATCH") else b"")
        assert answer.status_code in (401, 403), (method, path, answer.status_code)
        tried += 1

    assert tried > 0 or method in ("PATCH", "DELETE")
    assert not JoinToken.objects.exclude(used_by=agent.node).exists()
    assert Node.objects.count() == 1


def test_no_address_takes_both_a_node_and_a_member():
    for path, view in api_views():
        if is_for_nodes(view):
            assert len(view.authentication_classes) == 1, path


def test_what_a_node_reads_about_itself_names_no_member(agent, olga):
    answer = agent.send("GET", "/api/v1/node")

    assert set(answer.json()) == {"node_state", "sellable_lots", "floor_price_micro", "reason"}
    assert olga.user.email not in answer.content.decode()
