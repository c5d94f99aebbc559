"""The live link of a page: it names its panels, and receives them anew when something they show has changed.

One socket shows at most MAX_PANELS panels. Changes are gathered, so that each panel is rendered at most
four times a second and rendering takes at most a quarter of the time. Wake-ups are hints: what none
announced is found within REFRESH_SECONDS. The link ends with the session.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import pydantic
import redis
from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.utils import translation

from accounts import queries as accounts
from accounts.models import User
from common import clock, errors
from dashboard import panels
from dashboard.queries.viewer import Viewer

logger = logging.getLogger(__name__)

MAX_PANELS: Final = 32
MAX_MESSAGE_LETTERS: Final = 8_192
PAUSE_SECONDS: Final = 0.25
REST_FACTOR: Final = 3
"""The link rests this many times as long as the last rendering took."""
REFRESH_SECONDS: Final = 15.0
ECHO_SECONDS: Final = 2.0
"""A link that does not hear its own call for so long hears nobody; its page polls instead."""
SIGNED_OUT: Final = 4401
BAD_MESSAGE: Final = 4400
TRY_LATER: Final = 1013
BROKEN: Final = 1011


class WantedPanel(pydantic.BaseModel):
    """A panel of the page by name and key."""

    model_config = pydantic.ConfigDict(strict=True, extra="forbid", frozen=True)

    name: str = pydantic.Field(max_length=40)
    key: str = pydantic.Field(max_length=120)


class Watch(pydantic.BaseModel):
    """What the page says: for whom and in which language it was made, and its panels. Said again, it replaces."""

    model_config = pydantic.ConfigDict(strict=True, extra="forbid", frozen=True)

    membership: int
    language: str = pydantic.Field(max_length=20)
    watch: tuple[WantedPanel, ...] = pydantic.Field(max_length=MAX_PANELS, strict=False)


class LiveConsumer(AsyncWebsocketConsumer):
    """One page's live link."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the link; without a channel layer refuse it, so that the page polls."""
        try:
            await super().__call__(scope, receive, send)
        except (redis.RedisError, OSError) as error:
            logger.warning("live link without channel layer, the page polls: %s", error)
            await send({"type": "websocket.close", "code": TRY_LATER})

    async def connect(self) -> None:
        """Accept whoever is signed in; others are told so by the code of the close."""
        self._page: Watch | None = None
        self._is_greeted = False
        self._listening: dict[WantedPanel, tuple[str, ...]] = {}
        self._dirty: set[WantedPanel] = set()
        self._woken = asyncio.Event()
        self._heard = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        await self.accept()
        if await self._person() is None:
            await self.close(SIGNED_OUT)
            return
        self._loop = asyncio.create_task(self._keep_fresh())
        self._loop.add_done_callback(self._ended)

    async def disconnect(self, code: int) -> None:
        """Stop rendering and listening."""
        if self._loop is not None:
            self._loop.cancel()
        with contextlib.suppress(redis.RedisError, OSError):  # a layer that is gone keeps no groups
            await self._listen({})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """The page says what it shows. Panels that the person may not see are left out."""
        if text_data is None or len(text_data) > MAX_MESSAGE_LETTERS:
            await self.close(BAD_MESSAGE)
            return
        try:
            page = Watch.model_validate_json(text_data)
        except pydantic.ValidationError:
            await self.close(BAD_MESSAGE)
            return
        person = await self._person()
        allowed = await _allowed(person, page) if person else None
        if allowed is None:
            await self.close(SIGNED_OUT)
            return
        await self._listen(allowed)
        self._page, self._is_greeted = page, False
        self._soil(set(allowed))
        self._woken.set()

    async def changed(self, event: dict[str, Any]) -> None:
        """A topic has changed: every panel that listens to it has to be rendered again."""
        self._soil({panel for panel, topics in self._listening.items() if event["topic"] in topics})

    async def echo(self, event: dict[str, Any]) -> None:
        """Our own call came back: what others publish does too."""
        self._heard.set()

    async def _hears(self) -> bool:
        """Whether what is published reaches this link now."""
        self._heard.clear()
        try:
            await self.channel_layer.send(self.channel_name, {"type": "echo"})
            await asyncio.wait_for(self._heard.wait(), ECHO_SECONDS)
        except (TimeoutError, redis.RedisError, OSError) as error:
            logger.warning("live link hears nothing, the page polls: %r", error)
            return False
        return True

    def _soil(self, touched: set[WantedPanel]) -> None:
        if touched:
            self._dirty |= touched
            self._woken.set()

    async def _listen(self, wanted: dict[WantedPanel, tuple[str, ...]]) -> None:
        """Join and leave groups so that exactly the topics of `wanted` are heard."""
        before = {topic for topics in self._listening.values() for topic in topics}
        after = {topic for topics in wanted.values() for topic in topics}
        self._listening = wanted
        self._dirty &= wanted.keys()
        for topic in sorted(after - before):
            await self.channel_layer.group_add(topic, self.channel_name)
        for topic in sorted(before - after):
            await self.channel_layer.group_discard(topic, self.channel_name)

    async def _keep_fresh(self) -> None:
        """Render what is dirty, send what reads differently, rest; render everything now and then."""
        sent: dict[WantedPanel, str] = {}
        while True:
            try:
                await asyncio.wait_for(self._woken.wait(), REFRESH_SECONDS)
            except TimeoutError:
                self._dirty |= self._listening.keys()
                self._is_greeted = False
            self._woken.clear()
            began = time.monotonic()
            person, page = await self._person(), self._page
            if person is None:
                await self.close(SIGNED_OUT)
                return
            if page is not None:
                if not self._is_greeted:
                    self._is_greeted = True
                    if not await self._hears():
                        await self.close(TRY_LATER)
                        return
                    await self.send(json.dumps({"watching": len(self._listening)}))
                dirty, self._dirty = self._dirty, set()
                wanted = [panel for panel in page.watch if panel in dirty]
                rendered = await _rendered(person, page, wanted)
                fresh = [html for panel, html in rendered.items() if sent.get(panel) != html]
                sent = {panel: html for panel, html in (sent | rendered).items() if panel in self._listening}
                await self.send(json.dumps({"panels": fresh}))
            await asyncio.sleep(max(PAUSE_SECONDS, REST_FACTOR * (time.monotonic() - began)))

    def _ended(self, loop: "asyncio.Task[None]") -> None:
        """Rendering failed: say so in the log and let the page connect again."""
        if loop.cancelled() or loop.exception() is None:
            return
        logger.error("live link broke", exc_info=loop.exception())
        self._closing = asyncio.ensure_future(self.close(BROKEN))

    async def _person(self) -> User | None:
        """Who the session belongs to as it is stored now, not as it was when the link was opened."""
        store = import_module(settings.SESSION_ENGINE).SessionStore
        user = await get_user({"session": store(self.scope["session"].session_key)})
        return user if isinstance(user, User) and user.is_active else None


@database_sync_to_async
def _allowed(person: User, page: Watch) -> dict[WantedPanel, tuple[str, ...]] | None:
    """The page's panels that the person may see and their topics; None without that membership."""
    viewer = _viewer(person, page)
    if viewer is None:
        return None
    allowed: dict[WantedPanel, tuple[str, ...]] = {}
    for panel in page.watch:
        with contextlib.suppress(errors.NotFound):
            allowed[panel] = panels.topics(panel.name, panel.key, viewer)
    return allowed


@database_sync_to_async
def _rendered(person: User, page: Watch, wanted: Sequence[WantedPanel]) -> dict[WantedPanel, str]:
    """The panels as HTML, without those that the person may not see any more."""
    viewer = _viewer(person, page) if wanted else None
    if viewer is None:
        return {}
    rendered: dict[WantedPanel, str] = {}
    with translation.override(_language(page)):
        for panel in wanted:
            with contextlib.suppress(errors.NotFound):
                rendered[panel] = panels.render(panel.name, panel.key, viewer)
    return rendered


def _viewer(person: User, page: Watch) -> Viewer | None:
    membership = accounts.memberships_of(person).filter(pk=page.membership).first()
    return Viewer(membership, clock.database_now()) if membership else None


def _language(page: Watch) -> str:
    return page.language if page.language in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
