"""Runners turn a task's files on disk into a sandbox job. `by_name` finds one.

To add one: a module with NAME, `required_inputs` and `prepare` as in `interface.Runner`.
"""

from __future__ import annotations

from gridnode.runners import interface, onnx, python

_ALL: dict[str, interface.Runner] = {onnx.NAME: onnx, python.NAME: python}


def names() -> tuple[str, ...]:
    """The runners this agent has, sorted."""
    return tuple(sorted(_ALL))


def by_name(name: str) -> interface.Runner:
    """Raises: interface.TaskRefused (runner_unknown)."""
    try:
        return _ALL[name]
    except KeyError:
        raise interface.TaskRefused("runner_unknown", f"runner {name!r} is not one of {', '.join(names())}") from None
