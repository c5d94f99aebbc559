"""The agent's WebSocket: it is told that work may be waiting. A hint; polling works without it."""

from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from common.errors import AppError
from nodes import authentication


class NodeConsumer(AsyncJsonWebsocketConsumer):
    """One socket per agent, authenticated by its signed upgrade request."""

    group = ""

    async def connect(self) -> None:
        try:
            node = await database_sync_to_async(authentication.node_of_scope)(self.scope)
        except AppError as error:
            await self.close(code=4401, reason=error.code)
            return
        self.group = f"node.{node.pk}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Agents have nothing to say here; what they send is ignored."""

    async def wake(self, event: dict[str, Any]) -> None:
        """Work may be waiting."""
        await self.send_json({"type": "wake"})
