"""`manage.py up` with one promise of the platform broken on purpose, for the controls of the fault harness.

`python -m tests.faults.control_up --unfenced up --port=0` serves without the fencing check;
`... --forgetful up` lets PostgreSQL acknowledge commits before they are safe. The product has no such switches.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from django.core.management import execute_from_command_line

from config.supervision.component import Component
from config.supervision.platform import Platform


class Unfenced(Platform):
    """Web takes in results of attempts that were given to somebody else."""

    def _web(self) -> Component:
        web = super()._web()
        return _with_command(web, ["config.web"], ["tests.faults.unfenced"])


class Forgetful(Platform):
    """PostgreSQL says that a transaction is committed when it is not yet written.

    The platform refuses to start like this (commongrid.E021), so its checks have to be left out as well.
    """

    def _postgres(self) -> Component:
        return _with_command(super()._postgres(), [], [], more=["-c", "synchronous_commit=off"])

    def _migrate(self) -> Component:
        return _with_command(super()._migrate(), [], [], more=["--skip-checks"])


BROKEN: dict[str, type[Platform]] = {"--unfenced": Unfenced, "--forgetful": Forgetful}


def _with_command(component: Component, old: Sequence[str], new: Sequence[str], more: Sequence[str] = ()) -> Component:
    """The component with words of its command replaced, and more at the end."""
    command = component.command
    assert command is not None
    words = dict(zip(old, new, strict=True))

    def changed() -> list[str]:
        given = command()
        assert set(old) <= set(given), f"found {given}, expected {old} in it"
        return [*(words.get(word, word) for word in given), *more]

    return replace(component, command=changed)


def main() -> None:
    """Run `up` with the platform that the first argument names."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from config.management.commands import up

    up.Platform = BROKEN[sys.argv[1]]  # type: ignore[attr-defined]
    execute_from_command_line(["manage.py", *sys.argv[2:]])


if __name__ == "__main__":
    main()
