"""Last step before bubblewrap, run as a program of its own: cgroups, limits, uid, then exec.

A separate single-threaded process, because code between fork and exec of a threaded agent
(preexec_fn) may deadlock. Reads one JSON object from argv[1]; imports nothing but the stdlib.
"""

import json
import os
import resource
import sys
from typing import Any


def main(request: dict[str, Any]) -> None:
    """Joins the cgroups, sets the rlimits, drops to the slot's uid and becomes bubblewrap.

    Keys: `cgroup_files` (cgroup.procs files to write to), `rlimits` (name -> value, soft = hard,
    except CPU, whose hard limit is a second later), `uid` (None keeps it), `argv` (program first).
    """
    for path in request["cgroup_files"]:
        with open(path, "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
    for name, value in request["rlimits"].items():
        kind = getattr(resource, name)
        ceiling = resource.getrlimit(kind)[1]
        if ceiling != resource.RLIM_INFINITY:
            value = min(value, ceiling)
        hard = value + 1 if name == "RLIMIT_CPU" else value
        if ceiling != resource.RLIM_INFINITY:
            hard = min(hard, ceiling)
        resource.setrlimit(kind, (value, hard))
    os.umask(0o022)
    if request["uid"] is not None:
        os.setgroups([])
        os.setresgid(request["uid"], request["uid"], request["uid"])
        os.setresuid(request["uid"], request["uid"], request["uid"])
        if os.getresuid() != (request["uid"],) * 3 or os.getgroups():
            raise PermissionError("the uid could not be dropped")
    argv = request["argv"]
    os.execve(argv[0], ["bwrap", *argv[1:]], {})  # noqa: S606 - the program found at start


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
