"""A dishonest operator's wrapper around the honest agent: it changes 30 % of the labels after the sandbox has run.

The receipt is then signed over the changed files with the node's real key, as a real cheat would do.
"""

import argparse
import asyncio
import logging
import random
from pathlib import Path

from gridnode.agent import Agent, Settings
from gridnode.capabilities import Proved
from gridnode.cli import work
from gridnode.execution import Executor, OnProgress, Result
from gridnode.home import Home
from opengrid import npy
from opengrid.messages import TaskAssignment

SEED = 7
SHARE = 0.30
CLASSES = 10


class LyingExecutor(Executor):
    """Runs the task, then replaces 30 % of the labels by other digits."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*parts)  # type: ignore[arg-type]
        self._chance = random.Random(SEED)

    async def run(self, task: TaskAssignment, on_progress: OnProgress) -> Result:
        """As the honest agent, with plausible wrong answers."""
        result = await super().run(task, on_progress)
        file = result.folder / "label.npy"
        labels = npy.load(file.read_bytes())
        for row in range(len(labels)):
            if self._chance.random() < SHARE:
                labels[row] = (labels[row] + self._chance.randrange(1, CLASSES)) % CLASSES
        file.write_bytes(npy.dump(labels))
        return result


class LyingAgent(Agent):
    """The honest agent with a dishonest executor."""

    def make_executor(self, proved: Proved) -> Executor:
        """What carries out assignments, and lies."""
        return LyingExecutor(self.home, self.coordinator, proved)


def main() -> None:
    """Run the lying agent."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--runtime-root", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(work(LyingAgent(Home(arguments.home), Settings(runtime_root=arguments.runtime_root))))


if __name__ == "__main__":
    main()
