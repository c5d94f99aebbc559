"""`manage.py up`: runs the whole platform on this machine until Ctrl-C."""

import asyncio
import logging
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import embedded, serving
from config.env import ConfigurationError, env_int
from config.servers import binaries, instance
from config.supervision.console import Console
from config.supervision.platform import Platform, status_path
from config.supervision.supervisor import Supervisor


class Command(BaseCommand):
    """Claims the run directory, opens the port and hands over to the supervisor."""

    help = (
        "Runs PostgreSQL and Redis (unless DATABASE_URL and REDIS_URL name others), web, worker, "
        "beat and matcher; restarts what ends or stands still; stops all of it on Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, help="overrides COMMONGRID_PORT; 0 = a free port")
        parser.add_argument("--json-status", type=Path, help="where to write which processes run (supervisor.json)")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            code = self._run(options["port"], options["json_status"])
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        sys.exit(code)

    def _run(self, port: int | None, json_status: Path | None) -> int:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every probe otherwise
        console = Console()
        run_dir = embedded.run_dir()
        endpoints = embedded.endpoints()
        place = serving.binding()
        if port is not None:
            place = replace(place, port=port)
        claimed = instance.claim(run_dir)
        if claimed.notice:
            console.say(claimed.notice)
        if endpoints.embedded_postgres:
            binaries.postgres_bin(claimed.identity)
        if endpoints.embedded_redis:
            binaries.redis_server(claimed.identity)
        with place.listen() as listener:
            place = replace(place, port=listener.getsockname()[1])
            platform = Platform(
                instance=claimed,
                endpoints=endpoints,
                binding=place,
                listener_fd=listener.fileno(),
                stall_seconds=env_int("COMMONGRID_STALL_SECONDS", 20, minimum=10),
                worker_processes=env_int("COMMONGRID_WORKER_PROCESSES", 2, minimum=1),
            )

            began = time.monotonic()

            async def announce() -> None:
                console.say(
                    f"serving at {place.local_url} after {time.monotonic() - began:.0f} s; Ctrl-C stops everything"
                )

            supervisor = Supervisor(
                platform.components(),
                console=console,
                status_path=json_status or status_path(run_dir),
                facts={"url": place.local_url, "run_dir": str(run_dir)},
                on_ready=announce,
                ready_names=("web",),
            )
            return asyncio.run(supervisor.main())
