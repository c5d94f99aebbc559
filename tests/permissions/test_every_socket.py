"""What docs/permissions.md says of sockets: whoever is not let in is told so by the code of the close."""

import pytest
from asgiref.testing import ApplicationCommunicator
from django.test import Client

from config.asgi import application
from tests.nodes import agents
from tests.permissions import table

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = {row.address: row for row in table.rows() if row.methods == ("WS",)}
ORIGIN = "http://localhost:8000"
HOST = ("host", agents.HOST)
TIMEOUT = 30


async def knock(path, *headers):
    """`served`, or the code with which the socket is closed before or right after it was opened."""
    listed = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": "websocket", "path": path, "query_string": b"", "headers": listed, "subprotocols": []}
    socket = ApplicationCommunicator(application, scope)
    await socket.send_input({"type": "websocket.connect"})
    answer = await socket.receive_output(TIMEOUT)
    if answer["type"] == "websocket.accept" and not await socket.receive_nothing(timeout=0.3):
        answer = await socket.receive_output(TIMEOUT)
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})  # as a server does, whoever closed it
    await socket.wait(TIMEOUT)
    return str(answer["code"]) if answer["type"] == "websocket.close" else "served"


def of_person(membership):
    client = Client()
    client.force_login(membership.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return [("origin", ORIGIN), HOST, ("cookie", f"sessionid={client.cookies['sessionid'].value}")]


def of_node(agent, path):
    return [HOST, *agent.headers("GET", path).items()]


@pytest.fixture
def knocking(alice, olga, settings):
    settings.ALLOWED_HOSTS = [agents.HOST]
    agent = agents.an_agent(olga, working_now=True)
    return {
        path: {
            "signed out": [("origin", ORIGIN), HOST],
            "person": of_person(alice),
            "node": [*of_node(agent, path), ("origin", ORIGIN)],
        }
        for path in ROWS
    }


@pytest.mark.parametrize("path", sorted(ROWS))
async def test_a_socket_lets_in_whom_the_page_says(knocking, path):
    row = ROWS[path]
    wanted = {
        who: "served" if row.who in (who, "anyone") else row.signed_out for who in ("signed out", "person", "node")
    }

    assert {who: await knock(path, *headers) for who, headers in knocking[path].items()} == wanted
