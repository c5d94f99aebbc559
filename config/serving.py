"""The address the platform serves on: only this machine, unless TLS is taken care of."""

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from config.env import ConfigurationError, env_bool, env_int, env_str

DEFAULT_PORT = 8000
BACKLOG = 512


@dataclass(frozen=True)
class Binding:
    """Where to listen. Port 0 asks for a free one."""

    host: str
    port: int
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    behind_proxy: bool = False

    @property
    def is_loopback(self) -> bool:
        """Only processes of this machine can reach it."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    @property
    def has_tls(self) -> bool:
        """It serves https itself."""
        return self.tls_cert_file is not None

    @property
    def local_url(self) -> str:
        """The URL by which this machine reaches it."""
        host = self.host
        if host != "localhost":
            address = ipaddress.ip_address(host)
            if address.is_unspecified:
                host = "127.0.0.1" if address.version == 4 else "::1"
            host = f"[{host}]" if address.version == 6 else host
        return f"{'https' if self.has_tls else 'http'}://{host}:{self.port}"

    def listen(self) -> socket.socket:
        """Open the listening socket. Raises: ConfigurationError when the port is taken."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise ConfigurationError(
                f"Port {self.port} of {self.host} cannot be used: {error.strerror}. "
                "Set COMMONGRID_PORT to another one; 0 takes any free port."
            ) from error
        return listener


def _readable_file(name: str) -> Path | None:
    text = env_str(name, "")
    if not text:
        return None
    path = Path(text)
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{name}={text!r} cannot be read: {error.strerror}.") from error
    return path


def binding() -> Binding:
    """Return the address from the environment.

    Raises: ConfigurationError for an address that others can reach without TLS: passwords and
    tokens would cross the network in clear.
    """
    host = env_str("COMMONGRID_BIND", "127.0.0.1")
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ConfigurationError(f"COMMONGRID_BIND={host!r} is neither an IP address nor localhost.") from None
    found = Binding(
        host=host,
        port=env_int("COMMONGRID_PORT", DEFAULT_PORT, minimum=0, maximum=65535),
        tls_cert_file=_readable_file("COMMONGRID_TLS_CERT_FILE"),
        tls_key_file=_readable_file("COMMONGRID_TLS_KEY_FILE"),
        behind_proxy=env_bool("COMMONGRID_BEHIND_PROXY", False),
    )
    if (found.tls_cert_file is None) != (found.tls_key_file is None):
        raise ConfigurationError("COMMONGRID_TLS_CERT_FILE and COMMONGRID_TLS_KEY_FILE belong together; set both.")
    if not (found.is_loopback or found.has_tls or found.behind_proxy):
        raise ConfigurationError(
            f"COMMONGRID_BIND={host} can be reached from other machines, without TLS. Set "
            "COMMONGRID_TLS_CERT_FILE and COMMONGRID_TLS_KEY_FILE, or COMMONGRID_BEHIND_PROXY=1 "
            "when a proxy that ends TLS stands before it."
        )
    return found
