"""pytest plugin (`-p tests.servers`): one throw-away PostgreSQL and Redis for the whole run.

It is no conftest, because pytest-django reads the settings before any conftest is imported. With
DATABASE_URL and REDIS_URL in the environment the tests use those servers instead. Processes that
tests start find the same servers through the environment; pytest-xdist's workers do too.
"""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"  # before config sets its own

import shutil
import tempfile
from collections.abc import Generator

import pytest

from config import embedded

STARTED = pytest.StashKey[tuple[embedded.ThrowAwayServers | None, str | None]]()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    run_dir = None
    if "COMMONGRID_RUN_DIR" not in os.environ:
        run_dir = os.environ["COMMONGRID_RUN_DIR"] = tempfile.mkdtemp(prefix="commongrid-test-run-")
    servers = None
    if not (os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")):
        servers = embedded.start_for_tests()
        for name, value in servers.endpoints.environment().items():
            os.environ[name] = os.environ.get(name) or value
    early_config.stash[STARTED] = (servers, run_dir)
    answer = yield
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"  # what processes that tests start run under
    return answer


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    servers, run_dir = config.stash.get(STARTED, (None, None))
    if servers is not None:
        servers.stop()
    if run_dir is not None:
        shutil.rmtree(run_dir, ignore_errors=True)
