"""The agent's folder: its key, where it joined, and which attempts it was running when it last stopped."""

import contextlib
import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from opengrid import keys

logger = logging.getLogger(__name__)


class NotJoined(Exception):
    """This folder holds no node identity: `gridnode join` first."""


class AlreadyJoined(Exception):
    """This folder belongs to a node already; another node needs another folder."""


class HomeUnusable(Exception):
    """The folder cannot be made, read or written, or what it says cannot be understood."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is at its coordinator, and the rhythm it was asked to keep."""

    url: str
    node_id: int
    cooperative: str
    heartbeat_seconds: int
    poll_seconds: int


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt that was handed to this node and not reported yet."""

    attempt_id: int
    token: int


_IDENTITY = TypeAdapter(Identity)
_ATTEMPTS = TypeAdapter(list[OpenAttempt])


def default_folder() -> Path:
    """$GRIDNODE_HOME, or /var/lib/gridnode for root, or ~/.gridnode."""
    named = os.environ.get("GRIDNODE_HOME", "").strip()
    if named:
        return Path(named)
    return Path("/var/lib/gridnode") if os.geteuid() == 0 else Path.home() / ".gridnode"


class Home:
    """Reads and writes the folder. Jobs work below it, so as root it is passable for any user."""

    def __init__(self, folder: Path) -> None:
        """Raises: HomeUnusable."""
        self.folder = folder.absolute()
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o755 if os.geteuid() == 0 else 0o700)
        except OSError as error:
            raise HomeUnusable(f"the agent's folder cannot be made: {error}; name another with --home") from error

    @property
    def work(self) -> Path:
        """Where the sandbox works."""
        return self.folder / "work"

    @property
    def tasks(self) -> Path:
        """Where inputs and outputs of running tasks lie."""
        return self.folder / "tasks"

    @property
    def cache(self) -> Path:
        """Files by digest that later tasks may need again."""
        return self.folder / "cache"

    def key(self) -> keys.PrivateKey:
        """The node's key; made on first use, never shown, never overwritten. Raises: keys.BadKey, HomeUnusable."""
        path = self.folder / "key.pem"
        try:
            if not path.exists():
                with contextlib.suppress(FileExistsError):  # another command of this node was first: its key counts
                    keys.PrivateKey.generate().save(path)
            return keys.PrivateKey.load(path)
        except OSError as error:
            raise HomeUnusable(f"the node's key cannot be read or made: {error}") from error

    def identity(self) -> Identity:
        """Where this node joined. Raises: NotJoined, HomeUnusable."""
        path = self.folder / "node.json"
        try:
            return _IDENTITY.validate_json(path.read_bytes(), strict=True)
        except FileNotFoundError as error:
            raise NotJoined(f"{self.folder} holds no node; run `gridnode join URL --token T` first") from error
        except (OSError, ValidationError) as error:
            raise HomeUnusable(f"{path} does not say where this node joined: {_words(error)}") from error

    def require_free_for(self, url: str) -> None:
        """Return if no node of another coordinator lives here. Raises: AlreadyJoined, HomeUnusable."""
        try:
            present = self.identity()
        except NotJoined:
            return
        if present.url != url:
            raise AlreadyJoined(f"{self.folder} belongs to node {present.node_id} at {present.url}; use another --home")

    def save_identity(self, identity: Identity) -> None:
        """Remember where this node joined. Raises: AlreadyJoined, HomeUnusable."""
        self.require_free_for(identity.url)
        try:
            self._write("node.json", asdict(identity), is_durable=True)
        except OSError as error:
            raise HomeUnusable(f"the node's identity cannot be written: {error}") from error

    def forget(self) -> None:
        """Put key and identity of a retired node aside, so that this machine may join anew. Raises: HomeUnusable."""
        node_id = self.identity().node_id
        try:
            for name in ("node.json", "key.pem"):
                os.replace(self.folder / name, self.folder / f"retired-{node_id}-{name}")
        except OSError as error:
            raise HomeUnusable(f"the retired node's key cannot be put aside: {error}") from error

    def open_attempts(self) -> list[OpenAttempt]:
        """Attempts that an earlier run of the agent did not report on; none where the note cannot be read."""
        path = self.folder / "attempts.json"
        try:
            return _ATTEMPTS.validate_json(path.read_bytes(), strict=True)
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            logger.warning("%s cannot be read, so no attempt is reported as lost: %s", path, _words(error))
            return []

    def save_open_attempts(self, attempts: Iterable[OpenAttempt]) -> None:
        """Remember what is running, so that a restart can report it as lost. Raises: OSError."""
        self._write("attempts.json", [asdict(attempt) for attempt in attempts], is_durable=False)

    def _write(self, name: str, value: Any, *, is_durable: bool) -> None:
        """Whole or not at all; `is_durable`: also if the power fails now."""
        draft = self.folder / f".{name}.draft"
        with draft.open("w") as file:
            file.write(json.dumps(value, indent=1))
            if is_durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(draft, self.folder / name)


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in fault['loc']) or 'the file'}: {fault['msg']}"
    return str(error)
