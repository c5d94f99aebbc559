"""A real web process on the test database, and a real Chromium that looks at it.

Tests run in the browser's thread (tests.browsing), their fixtures in the main one, and what a test does to
the database while a page is open it does `elsewhere`.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections

from tests import browsing
from tests.browsing import call_in_browser_thread as pytest_pyfunc_call
from tests.dashboard.conftest import client_of, grid, now

__all__ = ["client_of", "grid", "now", "pytest_pyfunc_call"]

START_SECONDS = 60


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class WebProcess:
    """uvicorn as the supervisor runs it; can be killed and started again at the same address."""

    def __init__(self, blobs):
        self.blobs = blobs
        self.port = _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.browser.server",
            "BROWSER_TEST_DATABASE": connection.settings_dict["NAME"],
            "BROWSER_TEST_BLOBS": str(self.blobs),
        }
        command = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(self.port)]
        self.process = subprocess.Popen([*command, "--lifespan", "off", "--log-level", "warning"], env=environment)
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"{self.address}/healthz", timeout=1):
                    return
            except OSError:
                assert self.process.poll() is None, "the web process ended"
                assert time.monotonic() < end, "the web process does not answer"
                time.sleep(0.1)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=10)


@pytest.fixture(scope="session")
def web(django_db_setup, django_db_blocker, tmp_path_factory):
    process = WebProcess(tmp_path_factory.mktemp("blobs"))
    with django_db_blocker.unblock():
        process.start()
    yield process
    process.kill()


@pytest.fixture(autouse=True)
def store(settings, web):
    """The blob store that the web process serves from."""
    settings.BLOB_DIR = web.blobs


@pytest.fixture
def elsewhere():
    """Runs a deed in a thread that may use the database."""
    with ThreadPoolExecutor(max_workers=1) as pool:

        def run(deed):
            return pool.submit(deed).result(timeout=30)

        yield run
        run(connections.close_all)


@pytest.fixture
def visit(transactional_db, chromium, web, client_of, elsewhere):
    """Opens a window in which a member is signed in."""
    contexts = []

    def open_window(membership, *, width=1280, theme="light", **options):
        cookie = elsewhere(lambda: client_of(membership).cookies["sessionid"].value)
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, **options)
        context.add_cookies([{"name": "sessionid", "value": cookie, "url": web.address}])
        contexts.append(context)
        return browsing.Visit(context.new_page(), web.address)

    yield open_window
    for context in contexts:
        browsing.in_its_thread(context.close)
