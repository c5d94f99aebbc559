"""Examples work: commands exist, Python runs, requests are what the API takes."""

import json
import re
import tomllib

import pytest
from django.core.management import get_commands
from django.urls import resolve

from demo import story
from gridnode import cli
from opengrid.messages import JobSpec
from tests.docs import pages

README = pages.read("README.md")
MAKEFILE = pages.read("Makefile")
DECISION = pages.read("docs/decisions/0002-dependencies.md")


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.title)
def test_make_targets_exist(page):
    for target in re.findall(r"`?\bmake ([a-z]+)(?: EXIT=1)?`", page.read_text("utf-8")):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_the_two_commands_of_the_readme_are_blocks_of_their_own():
    shell = [block.strip() for block in pages.blocks(README, "sh")]

    assert shell[:2] == ["make demo", "make up"]


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.title)
def test_management_commands_exist(page):
    for command in re.findall(r"manage\.py ([a-z_]+)", page.read_text("utf-8")):
        assert command in get_commands(), command


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.title)
def test_the_agents_commands_exist(page):
    known = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    for command in re.findall(r"(?:`|^)gridnode ([a-z]+)", page.read_text("utf-8"), re.MULTILINE):
        assert command in known, command


def python_blocks():
    for page in pages.PAGES:
        for number, block in enumerate(pages.blocks(page.read_text("utf-8"), "python"), start=1):
            yield pytest.param(block, id=f"{pages.title(page)}-{number}")


def test_there_are_python_examples():
    assert len(list(python_blocks())) >= 2


@pytest.mark.parametrize("block", list(python_blocks()))
def test_python_examples_run(block):
    exec(compile(block, "example", "exec"), {"__name__": "example"})


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.title)
def test_json_examples_are_json(page):
    for block in pages.blocks(page.read_text("utf-8"), "json"):
        json.loads(block)


def curl_example():
    [block] = [block for block in pages.blocks(README, "sh") if "curl" in block]
    return block


def test_the_job_of_the_readme_is_one_that_the_api_takes():
    [body] = re.findall(r"-d '(\{.*?\n  \})'", curl_example(), re.DOTALL)

    spec = JobSpec.model_validate_json(body)

    assert spec.document()["assurance"] == "quorum-2"


def test_the_addresses_of_the_readme_exist():
    base = re.search(r"GRID=http://[^/]+(/\S+)", curl_example())[1]
    digest = "sha256:" + 64 * "0"
    paths = re.findall(r'"\$GRID(/[^"$]*)', curl_example())

    assert len(paths) == 3
    for path in paths:
        path = path.replace("sha256:", digest) if path.endswith("sha256:") else path
        assert resolve(base + path)


def test_the_story_in_the_readme_is_told_in_the_words_of_the_demo():
    [excerpt] = pages.blocks(README, "text")
    source = (pages.ROOT / "demo" / "story.py").read_text("utf-8")

    assert story.tell.__doc__
    for words in (
        "scans classified in",
        "Accuracy on the",
        "Labels equal to a direct run of the published file:",
        "wrong answers accepted:",
        "Who ran what",
        "wrong results, paid for them:",
        "held for the worst case",
        "Mia pays",
        "given back",
        "checks, paid by the cooperative's assurance fund",
    ):
        assert words in excerpt
        assert words in source, words


def test_every_dependency_has_its_licence_and_reason():
    project = tomllib.loads(pages.read("pyproject.toml"))["project"]
    asked = [
        *project["dependencies"],
        *project["optional-dependencies"]["embedded"],
        *project["optional-dependencies"]["demo"],
    ]
    names = {re.match(r"[A-Za-z0-9_.-]+", requirement)[0] for requirement in asked}

    assert set(re.findall(r"^\| ([A-Za-z0-9_.-]+) \| [A-Z]", DECISION, re.MULTILINE)) == names


def test_both_licences_are_named():
    assert tomllib.loads(pages.read("pyproject.toml"))["project"]["license"]["text"] == "AGPL-3.0-or-later"
    assert "SPDX-License-Identifier: AGPL-3.0-or-later" in pages.read("NOTICE")
    for package in ("opengrid", "gridnode"):
        assert (
            tomllib.loads(pages.read(f"packages/{package}/pyproject.toml"))["project"]["license"]["text"]
            == "Apache-2.0"
        )
        assert "Version 2.0, January 2004" in pages.read(f"packages/{package}/LICENSE")
