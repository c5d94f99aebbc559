"""The live link: authorised, woken by topics, gathered, and gone with the session."""

import asyncio
import json
import time

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from django.contrib.sessions.models import Session
from django.test import Client

from common import live
from config.asgi import application
from dashboard import consumers
from nodes.models import Node
from tests.dashboard import scenes

pytestmark = pytest.mark.django_db(transaction=True)
ORIGIN = (b"origin", b"http://localhost:8000")
TIMEOUT = 15


def cookie_of(membership):
    client = Client()
    client.force_login(membership.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return (b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode())


class Link:
    """A page's end of the link. (channels.testing needs daphne, which nothing else here does.)"""

    def __init__(self, *headers, path="/ws/live"):
        scope = {"type": "websocket", "path": path, "query_string": b"", "headers": list(headers), "subprotocols": []}
        self.socket = ApplicationCommunicator(application, scope)

    async def __aenter__(self):
        await self.socket.send_input({"type": "websocket.connect"})
        answer = await self.socket.receive_output(TIMEOUT)
        self.is_open = answer["type"] == "websocket.accept"
        return self

    async def __aexit__(self, *error):
        if self.is_open:
            await self.socket.send_input({"type": "websocket.disconnect", "code": 1000})
            await self.socket.wait(TIMEOUT)
        else:
            self.socket.stop(exceptions=False)

    async def watch(self, membership, *wanted, language="en"):
        listed = [{"name": name, "key": str(key)} for name, key in wanted]
        await self.say({"membership": membership.pk, "language": language, "watch": listed})

    async def say(self, message):
        text = message if isinstance(message, str) else json.dumps(message)
        await self.socket.send_input({"type": "websocket.receive", "text": text})

    async def message(self):
        message = await self.socket.receive_output(TIMEOUT)
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def fresh(self):
        """The next message that brings panels."""
        while True:
            message = await self.message()
            if message.get("panels"):
                return message["panels"]

    async def is_quiet(self, seconds):
        return await self.socket.receive_nothing(timeout=seconds)

    async def closed(self):
        """The code with which the server closes."""
        while True:
            message = await self.socket.receive_output(TIMEOUT)
            if message["type"] == "websocket.close":
                return message["code"]


@database_sync_to_async
def in_thread(deed):
    return deed()


async def test_a_page_gets_its_panels_and_gets_them_anew_when_they_change(grid, alice):
    async with Link(ORIGIN, await in_thread(lambda: cookie_of(alice))) as link:
        await link.watch(alice, ("job-state", grid.job.pk), ("job-progress", grid.job.pk))
        assert await link.message() == {"watching": 2}
        first = await link.fresh()
        assert len(first) == 2
        assert f'id="job-state-{grid.job.pk}"' in first[0]

        def finish():
            scenes.finish(grid.job, grid.job.submitted_at)
            live.publish(f"job.{grid.job.pk}")

        await in_thread(finish)

        (state,) = [html for html in await link.fresh() if "job-state" in html]
        assert "Every task has an accepted result." in state


async def test_panels_that_one_may_not_see_are_left_out(grid, olga, charlie):
    for stranger in (olga, charlie):
        async with Link(ORIGIN, await in_thread(lambda who=stranger: cookie_of(who))) as link:
            await link.watch(stranger, ("job-state", grid.job.pk), ("nothing", 1), ("nodes-list", "all"))

            assert await link.message() == {"watching": 1}
            (html,) = await link.fresh()
            assert 'data-panel="nodes-list"' in html


async def test_other_topics_do_not_wake_a_page(grid, alice):
    async with Link(ORIGIN, await in_thread(lambda: cookie_of(alice))) as link:
        await link.watch(alice, ("job-state", grid.job.pk))
        await link.fresh()

        await in_thread(lambda: live.publish("job.999999"))
        await in_thread(lambda: live.publish(f"wallet.{alice.pk}"))

        assert await link.is_quiet(1)


async def test_many_changes_are_gathered(grid, alice):
    async with Link(ORIGIN, await in_thread(lambda: cookie_of(alice))) as link:
        await link.watch(alice, ("job-progress", grid.job.pk))
        await link.fresh()
        began, messages = time.monotonic(), 0

        for _ in range(60):
            await in_thread(lambda: live.publish(f"job.{grid.job.pk}"))
            await asyncio.sleep(0.005)
        while not await link.is_quiet(0.6):
            await link.message()
            messages += 1

        assert 1 <= messages <= (time.monotonic() - began) / consumers.PAUSE_SECONDS + 1


async def test_a_page_that_changes_says_so_and_the_old_topics_are_left(grid, alice):
    async with Link(ORIGIN, await in_thread(lambda: cookie_of(alice))) as link:
        await link.watch(alice, ("job-state", grid.job.pk))
        await link.fresh()
        await link.watch(alice, ("purse", alice.pk))
        assert await link.message() == {"watching": 1}
        (purse,) = await link.fresh()
        assert 'data-panel="purse"' in purse

        await in_thread(lambda: live.publish(f"job.{grid.job.pk}"))

        assert await link.is_quiet(1)


async def test_what_nobody_announced_is_found_by_the_timer(grid, alice, monkeypatch):
    monkeypatch.setattr(consumers, "REFRESH_SECONDS", 0.3)
    async with Link(ORIGIN, await in_thread(lambda: cookie_of(alice))) as link:
        await link.watch(alice, ("nodes-list", "all"))
        await link.fresh()

        await in_thread(lambda: Node.objects.filter(pk=grid.shed.pk).update(name="renamed"))

        end = time.monotonic() + TIMEOUT
        while "renamed" not in (await link.fresh())[0]:
            assert time.monotonic() < end


async def test_the_link_ends_with_the_session(grid, alice):
    async with Link(ORIGIN, await in_thread(lambda: cookie_of(alice))) as link:
        await link.watch(alice, ("purse", alice.pk))
        await link.fresh()

        await in_thread(Session.objects.all().delete)
        await in_thread(lambda: live.publish(f"wallet.{alice.pk}"))

        assert await link.closed() == consumers.SIGNED_OUT


async def test_the_link_ends_with_the_membership(grid, alice):
    async with Link(ORIGIN, await in_thread(lambda: cookie_of(alice))) as link:
        await in_thread(lambda: type(alice).objects.filter(pk=alice.pk).update(left_at=grid.job.submitted_at))

        await link.watch(alice, ("purse", alice.pk))

        assert await link.closed() == consumers.SIGNED_OUT


async def test_strangers_are_told_to_sign_in(db):
    async with Link(ORIGIN) as link:
        assert await link.closed() == consumers.SIGNED_OUT


async def test_other_origins_are_refused(grid, alice):
    cookie = await in_thread(lambda: cookie_of(alice))
    for headers in ([(b"origin", b"http://evil.example"), cookie], [cookie]):
        async with Link(*headers) as link:
            assert not link.is_open


async def test_without_redis_the_link_is_refused_so_that_the_page_polls(grid, alice, settings):
    layer = settings.CHANNEL_LAYERS["default"]
    cookie = await in_thread(lambda: cookie_of(alice))
    settings.CHANNEL_LAYERS = {"default": layer | {"CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]}}}

    async with Link(ORIGIN, cookie) as link:
        assert not link.is_open


async def test_a_link_that_hears_nothing_is_closed_so_that_the_page_polls(grid, alice, monkeypatch):
    monkeypatch.setattr(consumers, "ECHO_SECONDS", 0)
    async with Link(ORIGIN, await in_thread(lambda: cookie_of(alice))) as link:
        await link.watch(alice, ("purse", alice.pk))

        assert await link.closed() == consumers.TRY_LATER


async def test_other_addresses_are_refused(db):
    async with Link(ORIGIN, path="/ws/nothing") as link:
        assert not link.is_open


NONSENSE = [
    "no json",
    "[]",
    '{"watch": []}',
    '{"membership": "1", "language": "en", "watch": []}',
    '{"membership": 1, "language": "en", "watch": [{"name": "purse", "key": 1}]}',
    '{"membership": 1, "language": "en", "watch": [], "more": 1}',
    json.dumps({"membership": 1, "language": "en", "watch": [{"name": "purse", "key": "1"}] * 33}),
    " " * 9_000,
]


async def test_a_message_that_is_none_closes_the_link(grid, alice):
    cookie = await in_thread(lambda: cookie_of(alice))
    for nonsense in NONSENSE:
        async with Link(ORIGIN, cookie) as link:
            await link.say(nonsense)

            assert await link.closed() == consumers.BAD_MESSAGE, nonsense
