"""Pages that combine apps. `frame` is the context processor of the frame around every page."""

from dashboard.views.framing import frame

__all__ = ["frame"]
