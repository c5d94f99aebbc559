"""As whom the embedded servers run: PostgreSQL refuses root, and Redis has no need of it."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from config.env import ConfigurationError

SERVICE_USERS = ("postgres", "nobody")


@dataclass(frozen=True)
class Identity:
    """The user of the servers. `demoted` is true when it is not the user of this process."""

    uid: int
    gid: int
    demoted: bool

    def own(self, path: Path) -> None:
        """Hand one path to this user; needs root when demoted and is a no-op otherwise."""
        if self.demoted:
            os.chown(path, self.uid, self.gid)

    def private_directory(self, path: Path) -> Path:
        """Create `path` if needed as a directory that this user alone may enter.

        Raises: ConfigurationError when something else sits there or another user owns it: in a
        shared directory somebody could have put it there first.
        """
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if not path.is_dir() or path.is_symlink() or found.st_uid not in (self.uid, os.geteuid()):
            raise ConfigurationError(
                f"{path} must be a directory of user {self.uid}; found owner {found.st_uid}. Remove it and start again."
            )
        self.own(path)
        path.chmod(0o700)
        return path


def server_identity(user_name: str | None = None) -> Identity:
    """Return the identity of the embedded servers: this user, or a service user when root.

    Raises: ConfigurationError when root finds none of the service users.
    """
    if os.geteuid() != 0:
        return Identity(os.geteuid(), os.getegid(), demoted=False)
    for name in (user_name,) if user_name else SERVICE_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Identity(entry.pw_uid, entry.pw_gid, demoted=True)
    raise ConfigurationError(
        f"PostgreSQL refuses to run as root and there is no user {' or '.join(SERVICE_USERS)}; "
        "run as an ordinary user or create the user postgres."
    )
