"""HTTP and WebSocket entry. Each app's routing says how its sockets know who is there."""

import os
from collections import deque
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import django
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from channels.routing import ProtocolTypeRouter, URLRouter
from django import db
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class Pages(ASGIHandler):
    """Django's handler, with all of a request in one thread: middleware, view and answer.

    Django's own chain goes to a thread and back for each middleware that is not async, which is most of ours, and
    starts that thread anew for each request; both together cost more than a lean view. No view here is async.

    A thread is used again only when it is free, and its last act for a request is to give back the database
    connection. So none is lost when a client goes away: the request is then forgotten here, while its view
    still runs in the thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self._idle: deque[Executor] = deque()

    def load_middleware(self, is_async: bool = False) -> None:
        """Build the chain for threads, whatever the server speaks."""
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request in a thread that no other request has."""
        thread = self._idle.pop() if self._idle else ThreadPoolExecutor(max_workers=1, thread_name_prefix="page")
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self.handle(scope, receive, send)
        finally:
            thread.submit(db.close_old_connections).add_done_callback(lambda _: self._idle.append(thread))

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Answer in the thread of the request."""
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


django.setup(set_prefix=False)
pages = Pages()

from config.body_limit import BodyLimit  # noqa: E402  the apps are loaded now
from dashboard import routing as dashboard  # noqa: E402
from scheduler import routing as scheduler  # noqa: E402


async def no_such_socket(scope: Any, receive: Any, send: Any) -> None:
    """Refuse a WebSocket at an address that has none."""
    await receive()
    await send({"type": "websocket.close", "code": 4404})


application = ProtocolTypeRouter(
    {
        "http": BodyLimit(pages),
        "websocket": URLRouter(
            [
                *dashboard.websocket_urlpatterns,
                *scheduler.websocket_urlpatterns,
                re_path("", no_such_socket),  # type: ignore[arg-type]  # an ASGI application, as URLRouter takes
            ]
        ),
    }
)
