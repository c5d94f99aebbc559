"""The lock of the node agent says the same as the platform's."""

import re

from tests.docs import pages

PIN = re.compile(r"^(\S+==\S+)[^\\\n]*((?: \\\n +--hash=\S+)+)", re.MULTILINE)


def pins(lock):
    return {name: frozenset(re.findall(r"--hash=(\S+)", hashes)) for name, hashes in PIN.findall(pages.read(lock))}


def test_the_agent_has_the_very_packages_that_the_platform_was_tested_with():
    agent, platform = pins("requirements-node.lock"), pins("requirements.lock")

    assert len(agent) > 20
    assert agent.items() <= platform.items()


def test_the_agent_brings_nothing_of_the_platform():
    names = {pin.partition("==")[0] for pin in pins("requirements-node.lock")}

    assert not names & {"django", "celery", "redis", "psycopg", "channels"}
    assert {"httpx", "onnxruntime", "psutil"} <= names
