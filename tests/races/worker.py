"""A process of its own that does what the test tells it: `python -m tests.races.worker DATABASE`.

Reads one JSON command per line, `[act, arguments]`; answers "ready" once its database answers, does the act
on "go" and answers with its result as JSON.
"""

import json
import os
import sys
import traceback

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
LOCK_TIMEOUT_SECONDS = 20
"""Whoever waits longer waits for what the test holds on purpose: that fails the test."""


def main(database: str) -> None:
    import django

    django.setup()
    from django.db import connection

    connection.settings_dict["NAME"] = database
    from common.errors import AppError
    from tests.races import acts

    for line in sys.stdin:
        name, arguments = json.loads(line)
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
        _say("ready")
        assert sys.stdin.readline() == "go\n"
        try:
            _say({"result": getattr(acts, name)(**arguments)})
        except AppError as error:
            _say({"refused": error.code})
        except Exception:  # noqa: BLE001 - it is told to the test, which fails
            _say({"failed": traceback.format_exc()})


def _say(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
