"""Kill a random process of a training in several at a random step, resume it with another number, and compare.

Each kill is a SIGKILL of one of 2 or 4 processes when the log shows a step that was drawn at random. The training is
then resumed with another number of processes, until it ends; the SHA-256 of its weights, its log (without seconds) and
its scores must be those of the training in one process.

    python -m benchmarks.process_kills [n=42] [seed=0] [case=PART OF A NAME]
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from benchmarks.kills import read_result

SHARDS = 4
NETWORKS = Path(__file__).with_name("kill_networks.py")
COMMON = ["boosting=false", "ood=false", "log_every=1", f"shards={SHARDS}", "memory_format=contiguous"]
FP32 = "precision=fp32"
IMAGES = ["data=digits", "batch=128"]
CASES = {
    "LeNet, dropout": [*IMAGES, FP32, f"model={NETWORKS}:DropoutLeNet", "epochs=6"],
    "small ResNet, batch norm": [*IMAGES, FP32, f"model={NETWORKS}:SmallResNet", "epochs=5"],
    "TabM": ["data=diabetes", FP32, "model=tabm", "epochs=12"],
    "accumulation, clipping": [*IMAGES, FP32, "model=lenet", "accumulate=2", "clip_norm=0.5", "epochs=6"],
    "crop, mixup": [*IMAGES, FP32, "model=lenet", "augment=crop,mixup", "epochs=6"],
    "early stopping": ["data=digits", FP32, "model=mlp", "batch=64", "lr=0.3", "patience=2", "epochs=40"],
    "bf16": [*IMAGES, "model=lenet", "precision=bf16", "epochs=5"],
}
MAX_SECONDS_TO_END = 60
"""Until all processes have ended after one was killed."""


@dataclass(frozen=True)
class Kill:
    """A process that was killed.

    Args:
        processes: number of processes of the training.
        rank: place of the killed one among the processes as they were started, 0 for the first.
        step: the step that the log showed.
    """

    processes: int
    rank: int
    step: int


class Command:
    """A training or its continuation in a process of its own, which starts others.

    Args:
        words: of the command.
        processes: number of processes.
    """

    def __init__(self, words: list[str], processes: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "yisheng", *words, f"processes={processes}", "--quiet"]
        self.processes = processes
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    @property
    def is_running(self) -> bool:
        """Return whether its first process has not ended."""
        return self.process.poll() is None

    def kill_one(self, rng: random.Random, step: int) -> Kill | None:
        """Kill one of its processes; return it, or None if the training had ended.

        Raises:
            SystemExit: others run on, or the first process hides the end of another one.
        """
        try:
            first = psutil.Process(self.process.pid)
            others = [p for p in first.children() if "spawn_main" in " ".join(p.cmdline())]
            trainers = [first, *sorted(others, key=lambda p: p.create_time())]
            if len(trainers) < self.processes:
                return None
            rank = rng.randrange(self.processes)
            trainers[rank].kill()
        except psutil.NoSuchProcess:
            return None
        _, alive = psutil.wait_procs(others, timeout=MAX_SECONDS_TO_END)
        if alive:
            raise SystemExit(f"{len(alive)} of {len(trainers)} processes run on after one was killed")
        return Kill(self.processes, rank, step) if self.process.wait() else None

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


def read_step(run: Path | None) -> int:
    """Return the last step of a run's log."""
    if run is None or not (run / "events.jsonl").exists():
        return 0
    steps = [0]
    for line in (run / "events.jsonl").read_text().splitlines():
        try:
            steps.append(int(json.loads(line).get("step", 0)))
        except ValueError:  # it is being written
            break
    return max(steps)


class Case:
    """A training that is killed, resumed and compared.

    Args:
        words: of its command.
        home: a folder for its runs.
    """

    def __init__(self, words: list[str], home: Path) -> None:
        self.words, self.home = [*COMMON, *words], home
        Command(["train", *self.words, "checkpoint_every=1000", f"out={home / 'reference'}"], 1).finish()
        reference = find_run(home / "reference")
        assert reference is not None
        self.expected, self.steps = read_result(reference), read_step(reference)

    def train_with_kills(self, name: str, kills: int, rng: random.Random) -> list[Kill]:
        """Train until the end, with one or two kills or fewer; return those that hit a running training.

        Raises:
            SystemExit: the result differs from that of one process.
        """
        out, hits = self.home / name, list[Kill]()
        words = [*self.words, f"checkpoint_every={rng.choice([0, 0.05, 0.2])}", f"out={out}"]
        command = Command(["train", *words], rng.choice([2, 4]))
        for _ in range(min(kills, rng.choice([1, 2]))):
            last = read_step(find_run(out))
            if last + 1 >= self.steps or command.processes == 1:
                break
            step = rng.randrange(last + 1, self.steps)
            while command.is_running and read_step(find_run(out)) < step:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.05))  # anywhere in an update or in the writing of a checkpoint
            hit = command.kill_one(rng, read_step(find_run(out)))
            if hit is None:
                break
            hits.append(hit)
            others = [count for count in (1, 2, 4) if count != command.processes]
            networks = [word for word in self.words if word.startswith(f"model={NETWORKS}")]
            command = Command(["resume", str(find_run(out)), *networks], rng.choice(others))
        command.finish()
        if read_result(find_run(out) or out) != self.expected:
            raise SystemExit(f"{name} differs from the training in one process after {hits}")
        return hits


def main(words: list[str]) -> None:
    """Kill, resume, compare, and print the numbers."""
    options = dict(word.split("=", 1) for word in words)
    n, seed = int(options.get("n", 42)), int(options.get("seed", 0))
    cases = {name: words for name, words in CASES.items() if options.get("case", "") in name}
    if not cases:
        raise SystemExit(f"no case is named {options['case']}; there are {', '.join(CASES)}")
    total = 0
    for number, (name, case_words) in enumerate(cases.items()):
        start, kills = time.perf_counter(), n // len(cases) + (number < n % len(cases))
        rng = random.Random(f"{name} {seed}")
        hits: list[Kill] = []
        runs = 0
        with tempfile.TemporaryDirectory() as home:
            case = Case(case_words, Path(home))
            while len(hits) < kills:
                hits += case.train_with_kills(f"run {runs}", kills - len(hits), rng)
                runs += 1
        total += len(hits)
        places = " ".join(f"{hit.rank}/{hit.processes}@{hit.step}" for hit in hits)
        seconds = time.perf_counter() - start
        print(
            f"{name:<26} {case.steps:>4} steps {len(hits):>3} kills {runs:>3} runs the same {seconds:6.1f} s  {places}",
            flush=True,
        )
    print(f"{total} kills: every run ended with the weights, events and scores of one process")


if __name__ == "__main__":
    main(sys.argv[1:])
