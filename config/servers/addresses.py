"""DATABASE_URL and REDIS_URL, parsed strictly, and what the libraries want to be told."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from config.env import ConfigurationError

DATABASE_SCHEMES = ("postgresql", "postgres")
DATABASE_OPTIONS = frozenset(
    {
        "application_name",
        "channel_binding",
        "connect_timeout",
        "keepalives_idle",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
    }
)
REDIS_SCHEMES = ("redis", "rediss", "unix")


def _query(url_name: str, query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    if len(dict(pairs)) != len(pairs):
        raise ConfigurationError(f"{url_name} names an option twice; each may appear once.")
    return dict(pairs)


def _port(url_name: str, text: str | int | None) -> int | None:
    try:
        port = None if text in (None, "") else int(text or 0)
    except ValueError:
        port = 0
    if port is not None and not 1 <= port <= 65535:
        raise ConfigurationError(f"{url_name} has a port that is not a number from 1 to 65535.")
    return port


@dataclass(frozen=True)
class DatabaseAddress:
    """One PostgreSQL database. `host` is a name, an address or the directory of a unix socket."""

    host: str
    name: str
    user: str = ""
    password: str = field(default="", repr=False)
    port: int | None = None
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, url: str) -> "DatabaseAddress":
        """Parse `postgresql://user:password@host:port/name?sslmode=require`.

        A unix socket is `postgresql:///name?host=/directory`. Raises: ConfigurationError naming
        the part that is wrong; the password is never repeated.
        """
        try:
            parts = urlsplit(url)
            raw_port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"DATABASE_URL cannot be parsed: {error}.") from error
        if parts.scheme not in DATABASE_SCHEMES:
            raise ConfigurationError(f"DATABASE_URL has the scheme {parts.scheme!r}; only postgresql:// is accepted.")
        options = _query("DATABASE_URL", parts.query)
        host = options.pop("host", "") or unquote(parts.hostname or "")
        port = _port("DATABASE_URL", options.pop("port", None) or raw_port)
        unknown = sorted(set(options) - DATABASE_OPTIONS)
        if unknown:
            raise ConfigurationError(
                f"DATABASE_URL has the unknown option {unknown[0]!r}; "
                f"accepted: host, port, {', '.join(sorted(DATABASE_OPTIONS))}."
            )
        if not host or "," in host:
            raise ConfigurationError("DATABASE_URL needs exactly one host.")
        name = unquote(parts.path.removeprefix("/"))
        if not name or "/" in name:
            raise ConfigurationError("DATABASE_URL needs the name of a database after the host.")
        return cls(
            host=host,
            name=name,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            port=port,
            options=tuple(sorted(options.items())),
        )

    @property
    def url(self) -> str:
        """The address as a DATABASE_URL, password included."""
        user = quote(self.user, safe="")
        secret = f":{quote(self.password, safe='')}" if self.password else ""
        at = f"{user}{secret}@" if user or secret else ""
        options = dict(self.options)
        if self.host.startswith("/"):
            options["host"] = self.host
            if self.port:
                options["port"] = str(self.port)
            place = ""
        else:
            host = f"[{self.host}]" if ":" in self.host else self.host
            place = f"{host}:{self.port}" if self.port else host
        query = f"?{urlencode(options)}" if options else ""
        return f"postgresql://{at}{place}/{quote(self.name, safe='')}{query}"

    def django(self) -> dict[str, Any]:
        """Return the entry of Django's DATABASES; the caller adds the pool to OPTIONS."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": self.host,
            "PORT": str(self.port or ""),
            "NAME": self.name,
            "USER": self.user,
            "PASSWORD": self.password,
            "CONN_MAX_AGE": 0,
            "OPTIONS": dict(self.options),
        }

    def psycopg(self) -> dict[str, str | int]:
        """Return the keyword arguments of psycopg.connect."""
        found: dict[str, str | int | None] = {
            "host": self.host,
            "port": self.port,
            "dbname": self.name,
            "user": self.user or None,
            "password": self.password or None,
            **dict(self.options),
        }
        return {key: value for key, value in found.items() if value is not None}


@dataclass(frozen=True)
class RedisAddress:
    """One Redis server over TCP (`host`), or over a unix socket (`path`)."""

    host: str = ""
    port: int = 6379
    path: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """Parse `redis://user:password@host:port`, `rediss://…` or `unix:///path/redis.sock`.

        Commongrid picks the database numbers itself. Raises: ConfigurationError.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"REDIS_URL cannot be parsed: {error}.") from error
        if parts.scheme not in REDIS_SCHEMES:
            raise ConfigurationError(
                f"REDIS_URL has the scheme {parts.scheme!r}; accepted: redis://, rediss:// and unix:///path."
            )
        options = _query("REDIS_URL", parts.query)
        if options.pop("db", "0") != "0" or (parts.scheme != "unix" and parts.path not in ("", "/", "/0")):
            raise ConfigurationError("REDIS_URL names a database; leave it out, Commongrid uses the databases 1 to 3.")
        if parts.scheme == "unix":
            if parts.netloc or not parts.path.startswith("/"):
                raise ConfigurationError("REDIS_URL for a unix socket is unix:///absolute/path.")
            return cls(path=unquote(parts.path), options=tuple(sorted(options.items())))
        if not parts.hostname:
            raise ConfigurationError("REDIS_URL needs a host.")
        return cls(
            host=parts.hostname,
            port=port or 6379,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            tls=parts.scheme == "rediss",
            options=tuple(sorted(options.items())),
        )

    def _place(self) -> str:
        secret = f":{quote(self.password, safe='')}" if self.password else ""
        at = f"{quote(self.user, safe='')}{secret}@" if self.user or secret else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{at}{host}:{self.port}"

    def url(self, db: int) -> str:
        """Return the URL for redis-py, Django's cache and channels_redis."""
        options = dict(self.options)
        if self.path:
            query = urlencode({**options, "db": str(db)})
            return f"unix://{quote(self.path)}?{query}"
        query = f"?{urlencode(options)}" if options else ""
        return f"{'rediss' if self.tls else 'redis'}://{self._place()}/{db}{query}"

    def broker_url(self, db: int) -> str:
        """Return the URL for Celery, which spells unix sockets in its own way."""
        if self.path:
            return f"redis+socket://{quote(self.path)}?virtual_host={db}"
        if not self.tls:
            return self.url(db)
        options = {"ssl_cert_reqs": "required", **dict(self.options)}
        return f"rediss://{self._place()}/{db}?{urlencode(options)}"

    def transport_options(self) -> dict[str, Any]:
        """Return kombu's options: over TCP, notice a peer that vanished without a word."""
        if self.path:
            return {}
        return {"socket_keepalive": True, "socket_connect_timeout": 5, "health_check_interval": 10}
