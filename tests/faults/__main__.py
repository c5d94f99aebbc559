"""`python -m tests.faults`: kill parts of a running platform at seeded instants; exit 1 when anything is wrong."""

import argparse
import itertools
import json
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

from tests.faults import campaign, controls, telling
from tests.faults.campaign import Outcome, Planned
from tests.faults.kills import KINDS
from tests.faults.scenarios import SCENARIOS

EVERYTHING = (*KINDS, *SCENARIOS)


def main() -> int:
    """Parse, run, sum up."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=10, help="blows of each kind; scenarios are played once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", default=",".join(EVERYTHING), help="some of the kinds; web:3 is one kill by its number"
    )
    parser.add_argument("--controls", action="store_true", help="break promises on purpose: exit 0 if that is noticed")
    parser.add_argument("--json", type=Path, help="where the facts go")
    arguments = parser.parse_args()
    try:
        listed = [Planned.parse(text, arguments.kills) for text in arguments.only.split(",")]
    except ValueError as error:
        parser.error(f"--only: {error}")
    signal.signal(signal.SIGTERM, _end)
    if arguments.controls:
        return _controls(arguments.seed, arguments.json)
    began = time.monotonic()
    plan = [planned for turn in itertools.zip_longest(*listed) for planned in turn if planned is not None]
    telling.say(f"{len(plan)} faults, {arguments.only}; seed {arguments.seed}")
    outcomes = campaign.run(plan, arguments.seed)
    _sum_up(outcomes, time.monotonic() - began)
    _write(arguments.json, {"seed": arguments.seed, "outcomes": [outcome.as_dict() for outcome in outcomes]})
    return 1 if any(outcome.findings for outcome in outcomes) else 0


def _controls(seed: int, file: Path | None) -> int:
    """Exit 0 when the harness caught every control."""
    shown = controls.run(seed)
    facts = [
        {
            "control": one.control.name,
            "caught": one.is_caught,
            "outcomes": [outcome.as_dict() for outcome in one.outcomes],
        }
        for one in shown
    ]
    _write(file, {"seed": seed, "controls": facts})
    return 0 if all(one.is_caught for one in shown) else 1


def _write(file: Path | None, facts: dict[str, object]) -> None:
    if file is not None:
        file.write_text(json.dumps(facts, indent=2) + "\n")


def _sum_up(outcomes: list[Outcome], seconds: float) -> None:
    by_kind: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_kind[outcome.kind].append(outcome)
    telling.say("")
    for kind, some in by_kind.items():
        bad = sum(bool(outcome.findings) for outcome in some)
        mean_back = sum(outcome.back_seconds for outcome in some) / len(some)
        mean = sum(outcome.seconds for outcome in some) / len(some)
        most = max(outcome.seconds for outcome in some)
        telling.say(
            f"  {kind:<15} {len(some):>3} times, {bad} with findings; back after {mean_back:.1f} s, "
            f"each {mean:.1f} s (longest {most:.1f} s)"
        )
    broken = sum(bool(outcome.findings) for outcome in outcomes)
    verdict = "everything held" if not broken else f"{broken} of {len(outcomes)} runs broke something"
    telling.say(f"  {len(outcomes)} faults in {seconds:.0f} s: {verdict}")


def _end(_number: int, _frame: FrameType | None) -> None:
    """Leave through every `finally`: machines and platform are stopped first."""
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
