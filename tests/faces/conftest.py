"""Nothing of these tests touches a database of its own: they look at the running demo as people do."""

from tests.browsing import call_in_browser_thread as pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]
