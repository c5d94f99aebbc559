"""docs/operating.md names every setting that the code reads, and no other."""

import re

import pytest
from django.conf import settings

from tests.docs import pages

READ = re.compile(r"""(?:env_(?:bool|int|list|secret|str)|_readable_file)\(\s*"([A-Z][A-Z0-9_]+)\"""")
DIRECT = re.compile(r"""os\.environ(?:\.get\(|\[)\s*"([A-Z][A-Z0-9_]+)\"""")
ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]+)` \|", re.MULTILINE)
OPERATING = pages.read("docs/operating.md")
NOT_OURS = {"PATH"}


def found_in(folder, pattern):
    return {name for path in (pages.ROOT / folder).rglob("*.py") for name in pattern.findall(path.read_text("utf-8"))}


def platform_settings():
    return {name for app in pages.APPS for name in found_in(app, READ)}


def agent_settings():
    return found_in("packages/gridnode/src", DIRECT) - NOT_OURS


def test_many_settings_are_found():
    assert len(platform_settings()) >= 20
    assert {"DATABASE_URL", "COMMONGRID_BIND", "COMMONGRID_TLS_KEY_FILE"} <= platform_settings()
    assert "GRIDNODE_HOME" in agent_settings()


def test_every_setting_has_a_row_and_every_row_is_a_setting():
    assert set(ROW.findall(OPERATING)) == platform_settings() | agent_settings()


def test_the_platform_reads_its_environment_through_typed_readers_alone():
    direct = {name for app in pages.APPS for name in found_in(app, DIRECT)}

    assert direct <= NOT_OURS


@pytest.mark.parametrize("name", ["PYTHON", "COMMONGRID_NO_APT"])
def test_settings_of_the_bootstrap_script_are_described(name):
    assert f"${{{name}" in pages.read("bootstrap")
    assert f"`{name}`" in OPERATING


def test_secrets_are_marked():
    secret = re.compile(r'env_secret\(\s*"([A-Z_]+)"')
    for name in {name for app in pages.APPS for name in found_in(app, secret)}:
        [row] = [line for line in OPERATING.splitlines() if line.startswith(f"| `{name}` |")]
        assert "Secret." in row, name


@pytest.mark.parametrize(
    "variable", ["COMMONGRID_PORT", "COMMONGRID_DB_POOL", "COMMONGRID_STALL_SECONDS", "COMMONGRID_BLOB_MAX_MIB"]
)
def test_defaults_are_those_of_the_code(variable):
    source = "".join(path.read_text("utf-8") for path in (pages.ROOT / "config").rglob("*.py"))
    [default] = re.findall(rf'env_int\("{variable}", (\w+)', source)
    if not default.isdigit():
        [default] = re.findall(rf"^{default} = (\d+)$", source, re.MULTILINE)

    assert f"| `{variable}` | `{default}` |" in OPERATING


def test_every_timer_is_listed_with_its_rhythm():
    listed = re.findall(r"^\| `([a-z_.]+)` \| (\d+) s \|", OPERATING, re.MULTILINE)
    timers = {
        entry["task"]: str(int(entry["schedule"].run_every.total_seconds()))
        for entry in settings.CELERY_BEAT_SCHEDULE.values()
    }

    assert dict(listed) == timers
    assert len(listed) == len(timers)
