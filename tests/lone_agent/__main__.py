"""`python -m tests.lone_agent`: from `gridnode join` on a strange machine to the first pay; must be below 60 s."""

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT_SECONDS = 60.0
DEADLINE_SECONDS = 180.0
POLL_SECONDS = 0.05


def main() -> int:
    """Set the scene, install, join, measure; exit code 0 when the first pay came in time."""
    parser = argparse.ArgumentParser(prog="python -m tests.lone_agent", description=__doc__)
    parser.add_argument("--python", default="/usr/bin/python3", help="the strange machine's interpreter")
    parser.add_argument("--json", type=Path, help="where the facts go")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lone-agent-"))
    folder.chmod(0o755)
    try:
        facts = _measure(folder, arguments.python)
    except BaseException:
        _say(f"the logs are in {folder}")
        raise
    shutil.rmtree(folder)
    if arguments.json:
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")
    return 0 if facts["seconds"]["first settled posting"] < LIMIT_SECONDS else 1


def _measure(folder: Path, python: str) -> dict[str, object]:
    from tests.lone_agent import newcomer

    began = time.monotonic()
    venv = newcomer.install(folder, python)
    installed = time.monotonic() - began
    seen = json.loads(newcomer.look(venv))
    _require_alone(seen, venv, newcomer.CHECKOUT)
    _say(f"installed with {python} in {installed:.1f} s (not counted): {seen['gridnode']}")
    _say(f"runs in {seen['cwd']}, outside the checkout; `import django` fails there")

    os.environ |= {"COMMONGRID_RUN_DIR": str(folder / "run"), "DJANGO_SETTINGS_MODULE": "config.settings"}
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    import django

    from config.supervision import running

    platform = running.start_platform(folder / "run")
    try:
        platform.wait_ready()
        django.setup()
        logging.getLogger("httpx").setLevel(logging.WARNING)
        from tests.lone_agent import host

        with host.scene(platform.url, folder) as waiting:
            _say(f"a job of {waiting.tasks} tasks, run by a validator, waits at {platform.url} for one more owner")
            began = time.monotonic()
            with newcomer.joining(venv, platform.url, waiting.token, folder) as agent:
                seconds = _watch(host.milestones(waiting), agent, began, folder)
    finally:
        platform.forget()
    _say(f"from `gridnode join` to the first settled posting: {seconds['first settled posting']:.1f} s")
    return {"seconds": seconds, "install_seconds": round(installed, 3), "python": python, "seen": seen}


def _require_alone(seen: dict[str, object], venv: object, checkout: Path) -> None:
    """Raises: SystemExit when the venv sees anything of the checkout, or Django."""
    roots = [seen["gridnode"], seen["opengrid"], seen["cwd"], *filter(None, seen["path"])]  # type: ignore[misc]
    leaks = [path for path in roots if Path(str(path)).resolve().is_relative_to(checkout)]
    inside = Path(str(seen["gridnode"])).resolve().is_relative_to(Path(venv.folder).resolve())  # type: ignore[attr-defined]
    if seen["django"] or leaks or not inside:
        raise SystemExit(f"the venv is not alone: Django {seen['django']}, of the checkout {leaks}, in it {inside}")


def _watch(
    milestones: "dict[str, object]", agent: "subprocess.Popen[bytes]", began: float, folder: Path
) -> dict[str, float]:
    """Seconds from `began` at which each was first seen."""
    seconds: dict[str, float] = {}
    for name, has_happened in milestones.items():
        while not has_happened():  # type: ignore[operator]
            log = (folder / "newcomer.log").read_text(errors="replace")
            if agent.poll() is not None:
                raise SystemExit(f"the newcomer's agent ended with {agent.returncode}:\n{log}")
            if time.monotonic() - began > DEADLINE_SECONDS:
                raise SystemExit(f"after {DEADLINE_SECONDS:.0f} s still not: {name}. The agent's log:\n{log}")
            time.sleep(POLL_SECONDS)
        seconds[name] = round(time.monotonic() - began, 3)
        _say(f"  {seconds[name]:6.1f} s  {name}")
    return seconds


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
