"""/healthz and /readyz tell supervisors and load balancers the truth, whatever host they name."""

import json
import os
import subprocess
import sys

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from config import health
from config.embedded import CHECKOUT


def pass_on(_request):
    return HttpResponse("another page")


def ask(path: str) -> HttpResponse:
    request = RequestFactory(headers={"host": "10.1.2.3"}).get(path)
    return health.answer_health_first(pass_on)(request)


def test_a_living_process_says_so_without_a_database():
    answer = ask("/healthz")

    assert (answer.status_code, json.loads(answer.content)) == (200, {"status": "alive"})


def test_every_other_page_is_passed_on():
    assert ask("/market").content == b"another page"


@pytest.mark.django_db
def test_a_migrated_database_and_redis_make_it_ready():
    answer = ask("/readyz")

    assert answer.status_code == 200
    assert json.loads(answer.content) == {"status": "ready", "postgresql": "ok", "redis": "ok"}


@pytest.mark.django_db
def test_without_redis_it_serves_degraded(settings, tmp_path):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": f"unix://{tmp_path}/none.sock"}}

    answer = ask("/readyz")

    assert answer.status_code == 200
    assert json.loads(answer.content) == {
        "status": "degraded",
        "postgresql": "ok",
        "redis": "unreachable",
    }


async def test_the_middleware_answers_in_asynchronous_servers_too():
    async def pass_on_later(_request):
        return HttpResponse("another page")

    answer = health.answer_health_first(pass_on_later)
    requests = RequestFactory()

    assert json.loads((await answer(requests.get("/healthz"))).content) == {"status": "alive"}
    assert (await answer(requests.get("/"))).content == b"another page"


def test_without_postgresql_it_is_not_ready(tmp_path):
    code = """
import django
django.setup()
from django.test import RequestFactory
from config import health
answer = health.readyz(RequestFactory().get("/readyz"))
print(answer.status_code, answer.content.decode())
"""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "COMMONGRID_RUN_DIR": str(tmp_path),
        "DATABASE_URL": f"postgresql:///grid?host={tmp_path}",
    }

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120
    )

    status, body = done.stdout.split(" ", 1)
    assert status == "503"
    assert json.loads(body)["status"] == "not_ready"
    assert json.loads(body)["postgresql"] == "unreachable"
