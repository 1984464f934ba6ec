"""Kill a training process at random moments, resume it, and compare with the run that was never killed.

The final weights must be equal byte for byte, and the log line by line (without its seconds). Each kill is a SIGKILL of
a real process, which was forked from one that had imported everything. A checkpoint is written after every step, or
every 0.02 or 0.1 s, so that kills also hit the writing.

    python benchmarks/kills.py [n=100] [seed=0]
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SETTINGS: dict[str, dict[str, Any]] = {
    "lenet, momentum, one-cycle": {"data": "digits", "model": "lenet", "epochs": 4},
    "mlp, dropout, batch norm, Adam, cosine": {
        "data": "digits",
        "model": "mlp",
        "hidden": [64, 32],
        "dropout": 0.3,
        "batch_norm": True,
        "optimizer": "adamw",
        "schedule": "cosine",
        "epochs": 6,
    },
    "early stopping, accumulation, clipping": {
        "data": "digits",
        "model": "mlp",
        "batch": 8,
        "accumulate": 3,
        "clip_norm": 1.0,
        "patience": 2,
        "epochs": 40,
    },
    "rmsprop, step schedule, rows, regression": {
        "data": "diabetes",
        "model": "mlp",
        "dropout": 0.1,
        "optimizer": "rmsprop",
        "lr": 0.002,
        "schedule": "step",
        "epochs": 30,
    },
}


def train(out: str, settings: dict[str, Any]) -> None:
    """Train; this runs in the first process."""
    import yisheng

    yisheng.train(out=out, quiet=True, **settings)


def resume(folder: str) -> None:
    """Resume; this runs in the processes after a kill."""
    from yisheng.experiments.dispatch import resume

    resume(Path(folder))


def read_result(folder: Path) -> tuple[str, list[dict[str, Any]], str]:
    """Return the hash of the weights, the log without its seconds, and the scores."""
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    for line in lines:
        del line["seconds"]
    return (
        hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        lines,
        (folder / "scores.json").read_text(),
    )


def kill_and_resume(name: str, kills: int, seed: int) -> tuple[int, int]:
    """Kill runs of one setting until there were enough kills.

    Returns:
        The number of kills, and of resumed runs that ended with the same result.

    Raises:
        SystemExit: a run ended with another result.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["yisheng.experiments.dispatch", "yisheng.api.training"])
    rng = random.Random(f"{name} {seed}")
    with tempfile.TemporaryDirectory() as home:

        def draw_settings() -> dict[str, Any]:
            return {**SETTINGS[name], "checkpoint_every": rng.choice([0, 0.02, 0.1])}

        def run(target: Any, *arguments: Any, seconds: float | None = None) -> bool:
            """Return whether the process ended by itself within the time, after which it is killed."""
            process = context.Process(target=target, args=arguments)
            process.start()
            process.join(seconds)
            killed = process.is_alive()
            if killed:
                process.kill()
                process.join()
            elif process.exitcode:
                raise SystemExit(f"{name}: the process failed with exit code {process.exitcode}")
            return not killed

        run(train, f"{home}/reference", {**SETTINGS[name], "checkpoint_every": 1000})
        (reference,) = [p for p in Path(home, "reference").iterdir() if p.is_dir()]
        start = time.perf_counter()
        run(train, f"{home}/timed", {**SETTINGS[name], "checkpoint_every": 0})
        duration = time.perf_counter() - start
        expected = read_result(reference)
        kill_count = equal = 0
        while kill_count < kills:
            out = Path(home, f"run{equal}")
            finished = run(train, str(out), draw_settings(), seconds=rng.uniform(0.05, duration))
            folders = [p for p in out.iterdir() if p.is_dir() and (p / "config.toml").exists()] if out.exists() else []
            kill_count += bool(not finished and folders)  # without a folder yet, there is nothing to resume
            while not finished and folders:
                seconds = rng.uniform(0.05, duration) if kill_count < kills and rng.random() < 0.75 else None
                finished = run(resume, str(folders[0]), seconds=seconds)
                kill_count += not finished
            if not folders:
                continue
            if read_result(folders[0]) != expected:
                raise SystemExit(f"{name}: a resumed run differs from the one never killed")
            equal += 1
    return kill_count, equal


def main(words: list[str]) -> None:
    """Kill, resume, compare, and print the numbers."""
    options = dict(word.split("=", 1) for word in words)
    n, seed = int(options.get("n", 100)), int(options.get("seed", 0))
    total = 0
    for number, name in enumerate(SETTINGS):
        start = time.perf_counter()
        kills = n // len(SETTINGS) + (number < n % len(SETTINGS))
        kill_count, equal = kill_and_resume(name, kills, seed)
        total += kill_count
        print(
            f"{name:<42} {kill_count:>4} kills, {equal:>4} runs the same, {time.perf_counter() - start:6.1f} s",
            flush=True,
        )
    print(f"{total} kills: every resumed run ended with the bytes of the one never killed")


if __name__ == "__main__":
    main(sys.argv[1:])
