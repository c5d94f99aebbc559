"""The strange machine: a fresh venv that holds gridnode and what it needs, and nothing of the checkout."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("opengrid", "gridnode")
STOP_SECONDS = 30
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)
_LOOK = """
import importlib.util, json, os, sys
import gridnode, opengrid
print(json.dumps({
    "django": importlib.util.find_spec("django") is not None,
    "gridnode": gridnode.__file__, "opengrid": opengrid.__file__, "cwd": os.getcwd(), "path": sys.path,
}))
"""


class NotInstalled(Exception):
    """The venv could not be made, or holds what it must not; the text says what was seen."""


@dataclass(frozen=True)
class Venv:
    """A venv with gridnode in it. `elsewhere` is a folder outside the checkout, to run in."""

    folder: Path
    elsewhere: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def gridnode(self) -> Path:
        """The installed program."""
        return self.folder / "bin" / "gridnode"

    def run(self, *command: str | Path) -> str:
        """What a command says, run outside the checkout with nothing of this process's Python settings."""
        done = subprocess.run(
            list(map(str, command)),
            cwd=self.elsewhere,
            env=environment(),
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise NotInstalled(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
        return done.stdout


def install(folder: Path, python: str) -> Venv:
    """A fresh venv with opengrid and gridnode[onnx], built from copies of the two packages alone.

    The other packages come through pip's cache in the versions the checkout is locked to.
    Raises: NotInstalled.
    """
    venv = Venv(folder / "venv", folder / "elsewhere")
    venv.elsewhere.mkdir(parents=True)
    sources = [_copy(name, folder / "packages") for name in PACKAGES]
    pins = folder / "pins.txt"
    lock = (CHECKOUT / "requirements.lock").read_text()
    pins.write_text("".join(f"{name}=={version}\n" for name, version in _PIN.findall(lock)))
    venv.run(python, "-m", "venv", venv.folder)
    opengrid, gridnode = sources
    venv.run(
        *(venv.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--constraint", pins, opengrid, f"{gridnode}[onnx]"),
    )
    return venv


def look(venv: Venv) -> str:
    """What a program in the venv sees (JSON), after checking that `import django` fails there."""
    failing = subprocess.run(
        [venv.python, "-c", "import django"],
        cwd=venv.elsewhere,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if failing.returncode != 1 or "ModuleNotFoundError: No module named 'django'" not in failing.stderr:
        raise NotInstalled(f"`import django` was expected to fail in the venv: {failing}")
    return venv.run(venv.python, "-c", _LOOK)


@contextmanager
def joining(venv: Venv, url: str, token: str, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`gridnode join URL --token T --run` with its lines in newcomer.log; stopped in the end."""
    options = ("--home", folder / "home", "--runtime-root", folder / "runtime")
    command = [venv.gridnode, "join", url, "--token", token, "--name", "newcomer", *options, "--run"]
    (folder / "home").mkdir(mode=0o755)
    with (folder / "newcomer.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=venv.elsewhere, env=environment(), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment() -> dict[str, str]:
    """This process's variables without those that lead back to the checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    own = str(Path(sys.executable).parent)
    paths = [path for path in kept.get("PATH", "/usr/bin:/bin").split(os.pathsep) if path != own]
    kept["PATH"] = os.pathsep.join(paths)
    for name in ("DJANGO_SETTINGS_MODULE", "COMMONGRID_RUN_DIR", "DATABASE_URL", "REDIS_URL", "GRIDNODE_HOME"):
        kept.pop(name, None)
    return kept


def _copy(name: str, folder: Path) -> Path:
    """pip builds where the sources lie; the checkout stays as it is."""
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "tests")
    return Path(shutil.copytree(CHECKOUT / "packages" / name, folder / name, ignore=left_out))
