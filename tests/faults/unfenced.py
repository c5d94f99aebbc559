"""A control: the web process without the fencing check, so that a result of a lost attempt is taken in.

`python -m tests.faults.unfenced --fd N` stands where the platform starts `python -m config.web --fd N`.
"""

import os

import django

FENCE = """ AND attempt.token = new.token
  AND attempt.state = 'RUNNING' AND attempt.deadline_at >= now()"""


class NoFence(RuntimeError):
    """The statement that takes in results has no such check any more: this control must be written anew."""


def main() -> None:
    """Take the check out of the statement, then serve as ever."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from config import web
    from scheduler.services import results

    statement = results._SUBMIT
    if FENCE not in statement:
        raise NoFence(f"found {statement!r}, expected {FENCE!r} in it")
    results._SUBMIT = statement.replace(FENCE, "")
    web.main()


if __name__ == "__main__":
    main()
