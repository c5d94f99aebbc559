"""The demo where it cannot start: words for a newcomer, no traceback."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from config.embedded import CHECKOUT


def test_a_port_that_is_taken_is_named_with_what_to_do():
    folder = Path(tempfile.mkdtemp(prefix="cg-demo-", dir="/tmp"))
    try:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = subprocess.run(
                [sys.executable, "-m", "demo", "--exit", "--port", str(port), "--run-dir", str(folder / "run")],
                cwd=CHECKOUT,
                env=os.environ | {"DATABASE_URL": "", "REDIS_URL": "", "DJANGO_SETTINGS_MODULE": "config.settings"},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
    finally:
        shutil.rmtree(folder)

    assert done.returncode == 1
    assert f"Port {port} of 127.0.0.1 cannot be used" in done.stderr
    assert "COMMONGRID_PORT" in done.stderr
    assert "Traceback" not in done.stderr
