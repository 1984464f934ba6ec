"""Kill a random process of a training in several, resume it with another number of processes, and compare.

Each kill is a SIGKILL at a random moment. The training is then resumed with 1, 2 or 4 processes, drawn at random, until
it ends; its weights, log (without seconds) and scores must be those of the training in one process.

    python -m benchmarks.process_kills [n=40] [seed=0]
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from benchmarks.kills import read_result

SHARDS = 4
WORDS = ["data=digits", "model=lenet", "epochs=6", f"shards={SHARDS}", "checkpoint_every=0.2", "boosting=false"]
MAX_SECONDS_TO_END = 30
"""Until all processes have ended after one was killed."""
MAX_SECONDS_TO_KILL = 8.0
"""A process is killed within this time after the training has begun or continued."""


class Command:
    """A training or its continuation in a process of its own, which starts others.

    Args:
        words: of the command.
        processes: number of processes.
    """

    def __init__(self, words: list[str], processes: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "yisheng", *words, f"processes={processes}", "--quiet"]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def kill_one(self, rng: random.Random) -> bool:
        """Kill one of its processes; return whether it was still running.

        Raises:
            SystemExit: others run on, or the first process hides the end of another one.
        """
        try:
            first = psutil.Process(self.process.pid)
            trainers = [first, *(p for p in first.children() if "spawn_main" in " ".join(p.cmdline()))]
            others = trainers[1:]
            rng.choice(trainers).kill()
        except psutil.NoSuchProcess:
            return False
        _, alive = psutil.wait_procs(others, timeout=MAX_SECONDS_TO_END)
        if alive:
            raise SystemExit(f"{len(alive)} of {len(trainers)} processes run on after one was killed")
        return self.process.wait() != 0

    def finish(self) -> None:
        """Wait for its end.

        Raises:
            SystemExit: it failed.
        """
        _, errors = self.process.communicate()
        if self.process.returncode:
            raise SystemExit(f"the training failed with exit code {self.process.returncode}:\n{errors}")


def find_run(out: Path) -> Path | None:
    """Return the run in a folder, or None before it has begun."""
    return next((path.parent for path in out.glob("[0-9]*/config.toml")), None)


def train_with_kills(out: Path, kills: int, rng: random.Random) -> int:
    """Train until the end, with a random number of kills; return it."""
    count = 0
    command = Command(["train", *WORDS, f"out={out}"], rng.choice([2, 4]))
    while count < kills:
        while (run := find_run(out)) is None and command.process.poll() is None:
            time.sleep(0.05)
        time.sleep(rng.uniform(0, MAX_SECONDS_TO_KILL))
        if not command.kill_one(rng):
            break
        count += 1
        is_last = count == kills or rng.random() < 0.3
        command = Command(["resume", str(run)], rng.choice([1, 2, 4]))
        if is_last:
            break
    command.finish()
    return count


def main(words: list[str]) -> None:
    """Kill, resume, compare, and print the numbers."""
    options = dict(word.split("=", 1) for word in words)
    n, rng = int(options.get("n", 40)), random.Random(int(options.get("seed", 0)))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        reference = Path(home, "reference")
        Command(["train", *WORDS, f"out={reference}"], 1).finish()
        expected, count, equal = read_result(next(reference.iterdir())), 0, 0
        while count < n:
            out = Path(home, str(equal))
            count += train_with_kills(out, n - count, rng)
            if read_result(find_run(out) or out) != expected:
                raise SystemExit(f"run {equal} differs from the one in a single process")
            equal += 1
            print(f"{count:>4} kills, {equal:>3} runs the same, {time.perf_counter() - start:6.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
