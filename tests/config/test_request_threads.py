"""One request, one thread, and the thread gives its database connection back whatever became of the client."""

import asyncio
import threading
import time

import pytest
from django.db import connection
from django.http import HttpResponse

from config.asgi import Pages

pytestmark = pytest.mark.django_db(transaction=True)
SCOPE = {
    "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
    "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "", "headers": [(b"host", b"localhost")],
}  # fmt: skip


def pages(view):
    """A handler without middleware around one view."""
    handler = Pages()
    handler._middleware_chain = view
    return handler


async def ask(handler, leave=None):
    """One request; the client stays, or leaves once `leave()` returns."""
    answered, came = [], False
    gone = asyncio.Event()

    async def receive():
        nonlocal came
        if not came:
            came = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await (gone.wait() if leave is None else leave())
        return {"type": "http.disconnect"}

    async def send(message):
        answered.append(message)

    await handler(SCOPE, receive, send)
    return answered


def until_idle(handler):
    """Wait until the thread of the last request is free."""
    end = time.monotonic() + 30
    while not handler._idle:
        assert time.monotonic() < end
        time.sleep(0.001)


def connection_in(handler):
    """The database connection that the idle thread still holds."""
    until_idle(handler)
    (thread,) = handler._idle
    return thread.submit(lambda: connection.connection).result(10)


def test_requests_one_after_another_share_a_thread_and_leave_no_connection():
    threads = []

    def view(_request):
        connection.ensure_connection()
        threads.append(threading.get_ident())
        return HttpResponse("here")

    handler = pages(view)

    async def three():
        answers = []
        for _ in range(3):
            answers.append(await ask(handler))
            await asyncio.to_thread(until_idle, handler)
        return answers

    answers = asyncio.run(three())

    assert [answer[0]["status"] for answer in answers] == [200] * 3
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()
    assert connection_in(handler) is None


def test_a_client_that_leaves_costs_no_connection():
    began, go_on = threading.Event(), threading.Event()

    def view(_request):
        began.set()
        assert go_on.wait(30)
        connection.ensure_connection()
        return HttpResponse("nobody hears this")

    async def leave():
        assert await asyncio.to_thread(began.wait, 30)
        asyncio.get_running_loop().call_soon(go_on.set)

    handler = pages(view)

    answered = asyncio.run(ask(handler, leave))

    assert answered == []
    assert connection_in(handler) is None
