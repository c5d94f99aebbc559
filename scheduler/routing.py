"""WebSocket addresses of the scheduler."""

from django.urls import path

from scheduler.consumers import NodeConsumer

websocket_urlpatterns = [path("ws/node", NodeConsumer.as_asgi())]
