"""`python -m benchmarks [NAME ...]`: measure, print the table, write JSON. docs/benchmarks.md explains the figures."""

import argparse
import contextlib
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from benchmarks import grids, machine, report
from benchmarks.plan import Plan

NAMES = ("orders", "loops", "depth", "start", "transfers", "pages")
RUN = Plan(windows=5, seconds=2.0, depths=(100, 10_000, 1_000_000), clients=16, agents=8)
QUICK = Plan(windows=1, seconds=0.5, depths=(100, 1_000), clients=2, agents=2)


def main() -> int:
    """Run the benchmarks that were asked for, each on the same fresh platform; 0 when each filled its rows.

    The JSON is written after each part, so that nothing measured is lost.
    """
    arguments = _arguments()
    plan = QUICK if arguments.quick else RUN
    plan = plan.changed(windows=arguments.windows, seconds=arguments.seconds)
    folder = Path(tempfile.mkdtemp(prefix="cg-bench-", dir="/tmp"))
    folder.chmod(0o755)
    os.environ |= grids.environment(folder / "run")
    rows: list[report.Row] = []
    failed: dict[str, str] = {}
    try:
        with grids.running(folder) as grid:
            described = machine.describe(folder)
            for name in arguments.names or NAMES:
                rows += _measured(name, grid, plan, failed)
                described["load_at_the_end"] = machine.load()
                if arguments.json:
                    found = report.document(described, plan, rows, failed)
                    arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    finally:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
    print(report.table(described, plan, rows, failed))
    return 1 if failed else 0


def _measured(name: str, grid: grids.Grid, plan: Plan, failed: dict[str, str]) -> list[report.Row]:
    """The rows of one part. One that fails is written down, and the others still run."""
    part = importlib.import_module(f"benchmarks.{name}")
    _say(f"{name}: {part.__doc__.splitlines()[0]}")
    began = time.monotonic()
    try:
        rows: list[report.Row] = part.measure(grid, plan)
    except Exception as error:  # noqa: BLE001 - it stands in the table and in the exit code
        failed[name] = f"{type(error).__name__}: {error}".strip()
        _say(traceback.format_exc())
        rows = []
    _say(f"  took {time.monotonic() - began:.0f} s")
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all if none is given")
    parser.add_argument("--windows", type=int, help="measured windows of each side; the median counts")
    parser.add_argument("--seconds", type=float, help="length of a window")
    parser.add_argument("--quick", action="store_true", help="one tiny window of everything: shows that it runs")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all figures here")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"found {', '.join(sorted(unknown))}; known are {', '.join(NAMES)}")
    return arguments


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
