"""How the supervisor asks each part of the platform how it is: one short question each."""

import asyncio
from typing import Any

import httpx
import psycopg
import redis.asyncio as redis
from redis import exceptions as redis_exceptions

from config.servers.addresses import DatabaseAddress
from config.supervision.component import BusyError, Probe, ProbeFailedError

ANSWER_SECONDS = 4
NEVER = "never"
BUSY_WORDS = (
    "the database system is ",  # starting up, shutting down, in recovery mode, not yet accepting
    "too many clients",
    "remaining connection slots",
)
PROGRESS_SQL = """
    SELECT component, progressed_at::text FROM config_processprogress
    UNION ALL
    SELECT 'MATCHER', min(extract(epoch FROM coalesce(matcher_progress_at, 'epoch')))::text
    FROM marketplace_pool HAVING count(*) > 0
"""


def postgres_answers(address: DatabaseAddress, database: str | None = None) -> Probe:
    """Return a probe that opens a connection and asks one question.

    A refusal in PostgreSQL's own words that it is starting up or full counts as busy.
    """
    arguments: dict[str, Any] = address.psycopg() | {"connect_timeout": ANSWER_SECONDS}
    if database is not None:
        arguments["dbname"] = database

    async def probe() -> None:
        try:
            connection = await psycopg.AsyncConnection.connect(**arguments)
            async with connection:
                await connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            text = " ".join(str(error).split())
            busy = any(words in text for words in BUSY_WORDS)
            raise (BusyError if busy else ProbeFailedError)(text) from error

    return probe


def redis_answers(url: str) -> Probe:
    """Return a probe that sends PING on a new connection."""

    async def probe() -> None:
        client = redis.Redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
        try:
            await client.ping()
        except redis_exceptions.BusyLoadingError as error:
            raise BusyError(f"Redis is loading: {error}") from error
        except (redis_exceptions.RedisError, OSError) as error:
            raise ProbeFailedError(f"Redis does not answer: {error}") from error
        finally:
            await client.aclose()

    return probe


def http_answers(url: str) -> Probe:
    """Return a probe that expects status 200 from a page of our own on this machine."""
    client: httpx.AsyncClient | None = None

    async def probe() -> None:
        nonlocal client
        if client is None:
            client = httpx.AsyncClient(
                verify=False,  # noqa: S501 - our own port; its certificate names the public host
                trust_env=False,
                timeout=ANSWER_SECONDS,
                limits=httpx.Limits(max_keepalive_connections=0),
            )
        try:
            response = await client.get(url)
        except httpx.HTTPError as error:
            raise ProbeFailedError(f"{url}: {type(error).__name__} {error}".strip()) from error
        if response.status_code != httpx.codes.OK:
            raise ProbeFailedError(f"{url} answered {response.status_code}: {response.text[:200]}")

    return probe


class ProgressReader:
    """Reads from PostgreSQL when each kind of process last did something, over one connection.

    Use one reader for each probe: a connection serves one question at a time.
    """

    def __init__(self, address: DatabaseAddress) -> None:
        self._arguments: dict[str, Any] = address.psycopg() | {"connect_timeout": ANSWER_SECONDS}
        self._connection: psycopg.AsyncConnection[Any] | None = None

    def of(self, name: str, *, when_absent: str | None) -> Probe:
        """Return a probe whose token is the time of `name`, or `when_absent` without a row."""

        async def probe() -> str | None:
            try:
                rows = await asyncio.wait_for(self._query(), ANSWER_SECONDS)
            except (psycopg.OperationalError, TimeoutError) as error:
                await self._drop()
                raise ProbeFailedError(f"PostgreSQL does not answer: {error}") from error
            return rows.get(name, when_absent)

        return probe

    async def _query(self) -> dict[str, str]:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(**self._arguments, autocommit=True)
        cursor = await self._connection.execute(PROGRESS_SQL)
        return dict(await cursor.fetchall())

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
