"""Settings of the web process that the browser visits: those of the tests, on the database of the test run."""

import os
from pathlib import Path

from tests.settings import *  # noqa: F403

DATABASES["default"]["NAME"] = os.environ["BROWSER_TEST_DATABASE"]  # noqa: F405
BLOB_DIR = Path(os.environ["BROWSER_TEST_BLOBS"])
