"""The pages do not lie: names exist, links lead somewhere, functions lie where the tour says."""

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs import pages

TOUR = pages.read("docs/tour.md")
LINKED = re.compile(r"\[`([a-z_]+(?:\.\w+)+)`\]\(([^)]+)\)")


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.title)
def test_every_name_of_our_code_exists(page):
    for name in pages.names(page.read_text(encoding="utf-8")):
        assert pages.resolve(name) is not None, name


def test_a_name_that_does_not_exist_would_be_noticed():
    with pytest.raises(AttributeError):
        pages.resolve("scheduler.services.jobs.JobSubmitter.submit")
    with pytest.raises(ModuleNotFoundError):
        pages.resolve("scheduler.services.no_such_noun")


def test_the_tour_names_many_functions():
    assert len(LINKED.findall(TOUR)) >= 25


@pytest.mark.parametrize(("name", "target"), LINKED.findall(TOUR), ids=lambda value: Path(value).name)
def test_the_tour_links_each_name_to_the_file_that_defines_it(name, target):
    found = pages.resolve(name)
    file = (pages.ROOT / "docs" / target).resolve()

    assert inspect.getsourcefile(inspect.unwrap(found)) == str(file), name


def test_every_stop_of_the_tour_says_what_it_keeps_and_what_a_death_means():
    stops = {heading: text for heading, text in pages.sections(TOUR, level=2).items() if heading[0].isdigit()}

    assert len(stops) >= 10
    for heading, text in stops.items():
        assert "*The rule:*" in text, heading
        assert re.search(r"\*If (web|the \w+) dies here:\*", text), heading


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.title)
def test_every_link_inside_the_repository_leads_somewhere(page):
    for link in pages.links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in pages.anchors(target.read_text(encoding="utf-8")), link


PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)`")
TOP_LEVEL = {path.name for path in pages.ROOT.iterdir() if path.is_dir()} - {"run"}


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.title)
def test_every_path_of_the_checkout_exists(page):
    for path in PATH.findall(pages.without_blocks(page.read_text(encoding="utf-8"))):
        if path.partition("/")[0] in TOP_LEVEL and "<" not in path:
            assert (pages.ROOT / path).exists(), path


def test_every_app_and_package_stands_on_the_map():
    for name in pages.OUR_PACKAGES:
        module = importlib.import_module(name)
        assert isinstance(module, ModuleType)
        folder = f"packages/{name}/" if name in ("opengrid", "gridnode") else f"{name}/"
        assert f"| `{folder}` |" in pages.read("README.md"), name


def test_decisions_are_numbered_without_gaps_and_have_their_four_parts():
    found = sorted((pages.ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(path.name[:4]) for path in found]

    assert numbers == list(range(1, len(found) + 1))
    for path in found:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]} ")
        for part in ("Context", "Options", "Choice", "Consequence"):
            assert f"\n## {part}\n" in text, f"{path.name}: {part}"
