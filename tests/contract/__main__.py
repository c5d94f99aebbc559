"""`python -m tests.contract`: the API against its description, as four roles; exit 1 when anything disagrees."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from tests.contract import campaign, roles
from tests.faults import telling
from tests.faults.grid import running_grid

NO_LIMITS = {f"COMMONGRID_RATE_{name}": "0" for name in ("READ", "WRITE", "ANONYMOUS", "NODE")}
"""The campaign would reach them within seconds; tests/config/test_limits.py is about them."""
SELVES = "8"
"""So many people of each role, because some lose their roles, leave, or revoke their tokens on the way."""


def main():
    """Parse, start a platform, send, sum up."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract", description=__doc__)
    parser.add_argument("--requests", type=int, default=2_000, help="at least so many in all, a quarter for each role")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="operation ids, separated by commas")
    parser.add_argument("--json", type=Path, help="where what disagreed goes")
    arguments = parser.parse_args()
    os.environ |= NO_LIMITS
    began = time.monotonic()
    with running_grid(seed=arguments.seed, machines=0) as grid:
        crowd = grid.run("-m", "tests.contract.founding", "crowd", "hillside", SELVES)
        facts = json.loads(crowd.stdout.splitlines()[-1])
        outcomes = _as_everybody(grid.platform.url, facts, arguments)
    telling.say("")
    for outcome in outcomes:
        telling.say(f"  {outcome.line()}")
    total = sum(outcome.requests for outcome in outcomes)
    telling.say(f"  {total} requests in {time.monotonic() - began:.0f} s, seed {arguments.seed}")
    if arguments.json:
        arguments.json.write_text(json.dumps([outcome.as_dict() for outcome in outcomes], indent=2) + "\n")
    return 0 if all(outcome.is_clean for outcome in outcomes) else 1


def _as_everybody(url, facts, arguments):
    outcomes = []
    for role in roles.all_of(url, facts):
        outcome = campaign.run(
            role,
            url=url,
            known=facts["known"] | role.known(facts["cooperative_id"]),
            sound=facts["sound"].get(role.name),
            requests=-(-arguments.requests // 4),
            seed=arguments.seed,
            operations=[name for name in arguments.only.split(",") if name] or None,
        )
        for found in outcome.breaks.values():
            telling.say(
                f"{found.operation} as {role.name}: {found.check}: {found.title}\n{found.words}\n{found.repeat}\n"
            )
        for error in outcome.errors:
            telling.say(f"{role.name}: {error}")
        telling.say(outcome.line())
        outcomes.append(outcome)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
