"""Components start in an order in which everything needed comes first."""

import pytest

from config.supervision.component import Component, start_order


def component(name: str, **links: tuple[str, ...]) -> Component:
    return Component(name, None, **links)


def test_what_is_needed_or_wanted_stands_in_an_earlier_level():
    levels = start_order(
        [
            component("web", needs=("migrate",)),
            component("worker", needs=("migrate",), wants=("redis",)),
            component("migrate", needs=("postgres",)),
            component("redis"),
            component("postgres"),
        ]
    )

    assert [[item.name for item in level] for level in levels] == [
        ["redis", "postgres"],
        ["migrate"],
        ["web", "worker"],
    ]


def test_a_circle_is_refused():
    with pytest.raises(ValueError, match="circle"):
        start_order([component("a", needs=("b",)), component("b", wants=("a",))])


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="a refers to b, which is not there"):
        start_order([component("a", judged_with=("b",))])


def test_a_double_name_is_refused():
    with pytest.raises(ValueError, match="must be unique"):
        start_order([component("a"), component("a")])
