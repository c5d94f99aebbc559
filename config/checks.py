"""System checks on settings that would lose money or trust. `migrate` and `up` refuse on errors.

E001 to E007 read settings only; E020 and E021 ask the database and run with `check --database default`.
"""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

from config import serving
from config.env import ConfigurationError
from config.servers.postgres import DURABILITY_SETTINGS

LEAST_SECRET_CHARACTERS = 40
LEAST_DIFFERENT_CHARACTERS = 10
OLDEST_POSTGRES, NEWEST_POSTGRES = 15, 18


@register(Tags.security)
def check_settings(**_: Any) -> list[CheckMessage]:
    """Judge the settings that decide about secrets, hosts, time and task limits."""
    return [*_secret_key(), *_allowed_hosts(), *_address(), *_task_limits(), *_time()]


def _secret_key() -> list[CheckMessage]:
    key = settings.SECRET_KEY
    good = len(key) >= LEAST_SECRET_CHARACTERS and len(set(key)) >= LEAST_DIFFERENT_CHARACTERS
    if good and not key.startswith("django-insecure"):
        return []
    return [
        Error(
            f"The secret key is weak: {len(key)} characters, {len(set(key))} different ones.",
            hint=f"COMMONGRID_SECRET_KEY needs {LEAST_SECRET_CHARACTERS} random characters or "
            "more; without it Commongrid makes one in the run directory.",
            id="commongrid.E001",
        )
    ]


def _allowed_hosts() -> list[CheckMessage]:
    if not any(host.startswith("*") for host in settings.ALLOWED_HOSTS):
        return []
    return [
        Error(
            "ALLOWED_HOSTS contains '*': sockets would then accept pages of any origin.",
            hint="List the host names in COMMONGRID_ALLOWED_HOSTS.",
            id="commongrid.E002",
        )
    ]


def _address() -> list[CheckMessage]:
    try:
        place = serving.binding()
    except ConfigurationError as error:
        return [Error(str(error), id="commongrid.E003")]
    if settings.DEBUG and not place.is_loopback:
        return [
            Error(
                f"DEBUG is on while {place.host} can be reached by others: pages of errors would "
                "show settings and data.",
                hint="Unset COMMONGRID_DEBUG.",
                id="commongrid.E004",
            )
        ]
    return []


def _task_limits() -> list[CheckMessage]:
    limit = settings.CELERY_TASK_TIME_LIMIT
    visibility = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("visibility_timeout", 3600)
    found: list[CheckMessage] = []
    if limit is None or limit >= visibility:
        found.append(
            Error(
                f"The hard time limit of tasks ({limit} s) is not below the broker's visibility "
                f"timeout ({visibility} s): a task would run twice at the same time.",
                id="commongrid.E005",
            )
        )
    if not settings.CELERY_TASK_ACKS_LATE or settings.CELERY_WORKER_PREFETCH_MULTIPLIER != 1:
        found.append(
            Error(
                "Tasks must be acknowledged late and fetched one by one: a killed worker would "
                "otherwise take messages with it.",
                hint="CELERY_TASK_ACKS_LATE=True, CELERY_WORKER_PREFETCH_MULTIPLIER=1.",
                id="commongrid.E006",
            )
        )
    return found


def _time() -> list[CheckMessage]:
    zones = (settings.TIME_ZONE, settings.CELERY_TIMEZONE)
    if settings.USE_TZ and zones == ("UTC", "UTC"):
        return []
    return [
        Error(
            f"Times must be aware and in UTC; found USE_TZ={settings.USE_TZ}, zones {zones}.",
            id="commongrid.E007",
        )
    ]


@register(Tags.database)
def check_database(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Ask each database for its version and whether a commit means what it says."""
    found: list[CheckMessage] = []
    for alias in databases or []:
        with connections[alias].cursor() as cursor:
            cursor.execute("SHOW server_version_num")
            found += _version(int(cursor.fetchone()[0]) // 10_000)
            for name in DURABILITY_SETTINGS:
                cursor.execute(f"SHOW {name}")
                found += _durability(name, cursor.fetchone()[0])
    return found


def _version(major: int) -> list[CheckMessage]:
    if OLDEST_POSTGRES <= major <= NEWEST_POSTGRES:
        return []
    return [
        Error(
            f"PostgreSQL {major} is not supported; accepted: {OLDEST_POSTGRES} to {NEWEST_POSTGRES}.",
            id="commongrid.E020",
        )
    ]


def _durability(name: str, value: str) -> list[CheckMessage]:
    if value != "off":  # synchronous_commit may also be local, remote_write or remote_apply
        return []
    return [
        Error(
            f"PostgreSQL runs with {name}={value}: payments it confirmed could be gone after a "
            "crash. Commongrid refuses to keep money there.",
            hint=f"Set {name} = on in postgresql.conf, and look for ALTER ROLE or ALTER DATABASE.",
            id="commongrid.E021",
        )
    ]


@register(Tags.security, deploy=True)
def check_deployment(**_: Any) -> list[CheckMessage]:
    """Say what is fine on one's own machine and not on a public one (`check --deploy`)."""
    if settings.PUBLIC_URL.startswith("https://"):
        return []
    return [
        Warning(
            f"COMMONGRID_PUBLIC_URL is {settings.PUBLIC_URL}: cookies travel without TLS.",
            id="commongrid.W010",
        )
    ]
