"""`make demo`: the whole story, from an empty directory to a paid node operator."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import django

from config.env import env_int
from config.serving import DEFAULT_PORT

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Parse, set up Django for the story's own state directory, run."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--exit", action="store_true", help="end after the story instead of serving")
    parser.add_argument("--control", action="store_true", help="the control run: no probation, assurance none")
    parser.add_argument("--port", type=int, help="0 takes a free port; else COMMONGRID_PORT, or 8000")
    parser.add_argument("--run-dir", type=Path, help="where the demo's state lies (run/demo, run/control)")
    parser.add_argument("--json", type=Path, help="where the facts go (run/demo.json, run/control.json)")
    arguments = parser.parse_args()
    name = "control" if arguments.control else "demo"
    run_dir = (arguments.run_dir or ROOT / "run" / name).absolute()
    os.environ["COMMONGRID_RUN_DIR"] = str(run_dir)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    signal.signal(signal.SIGTERM, _end)
    django.setup()
    from demo import machines, platform, telling  # noqa: PLC0415 its imports need Django to be set up

    try:
        port = env_int("COMMONGRID_PORT", DEFAULT_PORT) if arguments.port is None else arguments.port
        return telling.run(
            run_dir=run_dir,
            facts_file=(arguments.json or ROOT / "run" / f"{name}.json").absolute(),
            port=port,
            is_checked=not arguments.control,
            serves=not arguments.exit,
        )
    except (platform.NotStarted, machines.MachineFailed) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1


def _end(_number: int, _frame: FrameType | None) -> None:
    """Leave through every `finally`: machines and platform are stopped first."""
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
