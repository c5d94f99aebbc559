"""Settings that would lose money or trust are refused by name."""

import os
import subprocess
import sys

import pytest

from config import checks, embedded


def ids(found) -> list[str]:
    return [message.id for message in found]


def test_the_settings_of_the_tests_are_in_order():
    assert checks.check_settings() == []


@pytest.mark.parametrize("key", ["short", "a" * 60, "django-insecure-" + "abcdefghijklmnopqrstuvwxyz0123456789"])
def test_a_weak_secret_key_is_refused(settings, key):
    settings.SECRET_KEY = key

    assert ids(checks.check_settings()) == ["commongrid.E001"]


def test_hosts_must_be_named(settings):
    settings.ALLOWED_HOSTS = ["grid.example", "*"]

    assert ids(checks.check_settings()) == ["commongrid.E002"]


def test_a_public_address_needs_tls(monkeypatch):
    monkeypatch.setenv("COMMONGRID_BIND", "0.0.0.0")

    assert ids(checks.check_settings()) == ["commongrid.E003"]


def test_debug_pages_are_not_for_the_public(settings, monkeypatch):
    settings.DEBUG = True
    monkeypatch.setenv("COMMONGRID_BIND", "0.0.0.0")
    monkeypatch.setenv("COMMONGRID_BEHIND_PROXY", "1")

    assert ids(checks.check_settings()) == ["commongrid.E004"]


@pytest.mark.parametrize("limit", [None, 300, 301])
def test_a_task_must_end_before_its_message_is_delivered_again(settings, limit):
    settings.CELERY_TASK_TIME_LIMIT = limit
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 300}

    assert ids(checks.check_settings()) == ["commongrid.E005"]


def test_messages_are_acknowledged_late(settings):
    settings.CELERY_TASK_ACKS_LATE = False

    assert ids(checks.check_settings()) == ["commongrid.E006"]


def test_times_are_utc(settings):
    settings.CELERY_TIMEZONE = "America/Chicago"

    assert ids(checks.check_settings()) == ["commongrid.E007"]


@pytest.mark.parametrize(("major", "found"), [(14, ["commongrid.E020"]), (15, []), (18, []), (19, ["commongrid.E020"])])
def test_only_known_versions_of_postgresql_are_accepted(major, found):
    assert ids(checks._version(major)) == found


@pytest.mark.parametrize("durable", [True, False])
def test_money_is_refused_where_a_commit_may_be_lost(tmp_path, durable):
    servers = embedded.start_for_tests(durable=durable)
    environment = {
        **os.environ,
        **servers.endpoints.environment(),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "COMMONGRID_RUN_DIR": str(tmp_path),
    }

    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--database", "default"],
        cwd=embedded.CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    servers.stop()

    assert done.returncode == (0 if durable else 1)
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        assert (f"PostgreSQL runs with {name}=off" in done.stderr) is not durable
    assert ("commongrid.E021" in done.stderr) is not durable
