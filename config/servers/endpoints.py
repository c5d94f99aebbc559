"""The pair of servers that an installation uses, as the libraries want to be told about them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.servers.addresses import DatabaseAddress, RedisAddress

DATABASE_NAME = "commongrid"
DATABASE_USER = "postgres"


@dataclass(frozen=True)
class Endpoints:
    """Addresses of the two servers; `embedded_*` says whether the supervisor runs them itself."""

    postgres: DatabaseAddress
    redis: RedisAddress
    embedded_postgres: bool
    embedded_redis: bool

    @property
    def database(self) -> dict[str, Any]:
        """The `default` entry of Django's DATABASES, without pool."""
        return self.postgres.django()

    @property
    def database_url(self) -> str:
        """The DATABASE_URL that names this database."""
        return self.postgres.url

    def redis_url(self, db: int) -> str:
        """Return the URL of Redis database `db` for redis-py, the cache and channels_redis."""
        return self.redis.url(db)

    def celery_broker_url(self, db: int) -> str:
        """Return the broker URL for Celery, which spells unix sockets in its own way."""
        return self.redis.broker_url(db)

    def celery_transport_options(self) -> dict[str, Any]:
        """Return the broker options that the kind of connection asks for."""
        return self.redis.transport_options()

    def environment(self) -> dict[str, str]:
        """Return DATABASE_URL and REDIS_URL for a process that shall use these very servers."""
        redis = self.redis
        url = f"unix://{redis.path}" if redis.path else redis.url(0)
        return {"DATABASE_URL": self.database_url, "REDIS_URL": url}


def embedded_database(sockets: Path) -> DatabaseAddress:
    """Return the address of the embedded PostgreSQL whose socket lies in `sockets`."""
    return DatabaseAddress(host=str(sockets), name=DATABASE_NAME, user=DATABASE_USER)


def embedded_redis(sockets: Path) -> RedisAddress:
    """Return the address of the embedded Redis whose socket lies in `sockets`."""
    return RedisAddress(path=str(sockets / "redis.sock"))
