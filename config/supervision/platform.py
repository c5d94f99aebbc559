"""The parts of Commongrid as components: what starts when, and how each proves that it works."""

import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from config.embedded import CHECKOUT, Endpoints
from config.env import ConfigurationError
from config.servers.instance import Instance
from config.servers.postgres import create_database
from config.serving import Binding
from config.supervision import probes
from config.supervision.component import Component, Probe

POSTGRES_STALL_SECONDS = 60.0
BOOT_SECONDS = 30.0
EXTERNAL_BOOT_SECONDS = 10.0
SLOW_START_SECONDS = 120.0
MIGRATE_ATTEMPTS = 3
SERVER_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}


@dataclass(frozen=True)
class Platform:
    """Everything that is known before the first process starts."""

    instance: Instance
    endpoints: Endpoints
    binding: Binding
    listener_fd: int
    stall_seconds: float
    worker_processes: int

    def components(self) -> list[Component]:
        """Return all components; needs and wants put them in order."""
        return [
            self._postgres(),
            self._redis(),
            self._migrate(),
            self._web(),
            self._worker(),
            self._beat(),
            self._matcher(),
            self._welcome(),
        ]

    def _postgres(self) -> Component:
        address = self.endpoints.postgres
        if not self.endpoints.embedded_postgres:
            return Component(
                "postgres",
                None,
                ready=probes.postgres_answers(address),
                boot_seconds=EXTERNAL_BOOT_SECONDS,
                boot_hint="Check DATABASE_URL and that the database exists.",
            )
        server = self.instance.postgres()

        def prepare(_starts: int) -> None:
            server.prepare()

        return Component(
            "postgres",
            server.command,
            ready=probes.postgres_answers(address, database="postgres"),
            stall_seconds=POSTGRES_STALL_SECONDS,
            start_seconds=POSTGRES_STALL_SECONDS,
            boot_seconds=BOOT_SECONDS,
            boot_hint=f"Its files are in {server.data}.",
            stop_signal=signal.SIGINT,
            stop_seconds=60.0,
            hasty_signal=signal.SIGQUIT,
            death_signal=signal.SIGINT,
            identity=server.identity,
            environment=SERVER_ENVIRONMENT,
            lock=server.lock,
            prepare=prepare,
        )

    def _redis(self) -> Component:
        ready = probes.redis_answers(self.endpoints.redis_url(1))
        if not self.endpoints.embedded_redis:
            return Component("redis", None, ready=ready)
        server = self.instance.redis()
        return Component(
            "redis",
            server.command,
            ready=ready,
            stall_seconds=self.stall_seconds,
            death_signal=signal.SIGTERM,
            identity=server.identity,
            environment=SERVER_ENVIRONMENT,
            lock=server.lock,
            prepare=server.prepare,
        )

    def _migrate(self) -> Component:
        address = self.endpoints.postgres

        def prepare(_starts: int) -> None:
            try:
                create_database(address)
            except psycopg.Error as error:
                raise ConfigurationError(f"the database cannot be created: {error}") from error

        return replace(
            self._python("migrate", "manage.py", "migrate", "--no-input"),
            needs=("postgres",),
            runs_once=True,
            boot_failures=MIGRATE_ATTEMPTS,
            boot_hint="The lines above say what is wrong.",
            prepare=prepare if self.endpoints.embedded_postgres else None,
        )

    def _web(self) -> Component:
        return replace(
            self._python("web", "-m", "config.web", "--fd", str(self.listener_fd)),
            needs=("migrate",),
            ready=probes.http_answers(f"{self.binding.local_url}/readyz"),
            watch=probes.http_answers(f"{self.binding.local_url}/healthz"),
            judged_with=("postgres",),
            pass_fds=(self.listener_fd,),
        )

    def _worker(self) -> Component:
        options = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        size = f"--concurrency={self.worker_processes}"
        return replace(
            self._celery("worker", size, "--hostname=worker@%h", *options),
            ready=self._progress_of("WORKER", when_absent=probes.NEVER),
            judged_with=("postgres", "redis", "beat"),
            stop_seconds=20.0,
        )

    def _beat(self) -> Component:
        schedule = f"--schedule={self.instance.run_dir / 'celerybeat-schedule'}"
        return replace(
            self._celery("beat", "--scheduler=config.beat:ProgressScheduler", schedule),
            ready=self._progress_of("BEAT", when_absent=probes.NEVER),
            judged_with=("postgres", "redis"),
        )

    def _celery(self, name: str, *options: str) -> Component:
        # Celery's words about root come at every start and are in docs/operating.md
        quiet = ("-W", "ignore:You're running the worker with superuser privileges")
        command = (*quiet, "-m", "celery", "--app=config", "--quiet", name, "--loglevel=WARNING")
        component = self._python(name, *command, *options)
        return replace(component, needs=("migrate",), wants=("redis",))

    def _matcher(self) -> Component:
        return replace(
            self._python("matcher", "manage.py", "matcher"),
            needs=("migrate",),
            wants=("redis",),
            ready=self._progress_of("MATCHER", when_absent=None),
            judged_with=("postgres",),
        )

    def _welcome(self) -> Component:
        """Print the one-time link of the first steward while there is no user at all."""
        welcome = self._python("welcome", "manage.py", "first_steward_link")
        return replace(welcome, needs=("web",), runs_once=True)

    def _progress_of(self, name: str, *, when_absent: str | None) -> Probe:
        return probes.ProgressReader(self.endpoints.postgres).of(name, when_absent=when_absent)

    def _python(self, name: str, *arguments: str) -> Component:
        """Return one of our own Python processes; the caller replaces what differs."""
        return Component(
            name,
            lambda: [sys.executable, *arguments],
            stall_seconds=self.stall_seconds,
            start_seconds=max(SLOW_START_SECONDS, self.stall_seconds),
            environment=self.environment(),
            directory=CHECKOUT,
        )

    def environment(self) -> dict[str, str]:
        """Return the environment of our own processes."""
        return {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "COMMONGRID_PUBLIC_URL": self.binding.local_url,
            **os.environ,
            "COMMONGRID_RUN_DIR": str(self.instance.run_dir),
            "COMMONGRID_PORT": str(self.binding.port),
            "PYTHONUNBUFFERED": "1",
        }


def status_path(run_dir: Path) -> Path:
    """Return where `manage.py up` writes which processes run."""
    return run_dir / "supervisor.json"
