"""HTTP and WebSocket entry. Each app's routing says how its sockets know who is there."""

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

pages = get_asgi_application()

from config.body_limit import BodyLimit  # noqa: E402  the apps are loaded now
from dashboard import routing as dashboard  # noqa: E402
from scheduler import routing as scheduler  # noqa: E402


async def no_such_socket(scope: Any, receive: Any, send: Any) -> None:
    """Refuse a WebSocket at an address that has none."""
    await receive()
    await send({"type": "websocket.close", "code": 4404})


application = ProtocolTypeRouter(
    {
        "http": BodyLimit(pages),  # type: ignore[arg-type]  # Django types ASGI more narrowly
        "websocket": URLRouter(
            [
                *dashboard.websocket_urlpatterns,
                *scheduler.websocket_urlpatterns,
                re_path("", no_such_socket),  # type: ignore[arg-type]  # an ASGI application, as URLRouter takes
            ]
        ),
    }
)
