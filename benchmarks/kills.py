"""Kill a training process at random moments, resume it, and compare with the run that was never killed.

The final weights must be the same byte for byte, and the log the same line by line (seconds aside). Each
kill is a SIGKILL of a real process, which was forked from one that had imported everything. A checkpoint is
written after every step or every few hundredths of a second, so kills hit the writing too.

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
    """What the first process does."""
    import yisheng

    yisheng.train(out=out, quiet=True, **settings)


def resume(folder: str) -> None:
    """What the processes after a kill do."""
    from yisheng.experiments.dispatch import resume

    resume(Path(folder))


def outcome(folder: Path) -> tuple[str, list[dict[str, Any]], str]:
    """Hash of the weights, the log without its seconds, and the scores."""
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    for line in lines:
        del line["seconds"]
    return (
        hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        lines,
        (folder / "scores.json").read_text(),
    )


def campaign(name: str, kills: int, seed: int) -> tuple[int, int]:
    """Kill one setting's run a number of times, over as many runs as it takes.

    Returns:
        Kills that hit, and runs that came out the same; raises if one did not.
    """
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["yisheng.experiments.dispatch", "yisheng.api"])
    chance = random.Random(f"{name} {seed}")
    with tempfile.TemporaryDirectory() as home:

        def settings() -> dict[str, Any]:
            return {**SETTINGS[name], "checkpoint_every": chance.choice([0, 0.02, 0.1])}

        def run(target: Any, *arguments: Any, within: float | None = None) -> bool:
            """Whether the process came to its end rather than being killed."""
            process = processes.Process(target=target, args=arguments)
            process.start()
            process.join(within)
            killed = process.is_alive()
            if killed:
                process.kill()
                process.join()
            elif process.exitcode:
                raise SystemExit(f"{name}: the process failed with exit code {process.exitcode}")
            return not killed

        run(train, f"{home}/whole", {**SETTINGS[name], "checkpoint_every": 1000})
        (duration,) = [p for p in Path(home, "whole").iterdir() if p.is_dir()]
        start = time.perf_counter()
        run(train, f"{home}/timed", {**SETTINGS[name], "checkpoint_every": 0})
        length = time.perf_counter() - start
        expected = outcome(duration)
        hits = equal = 0
        while hits < kills:
            out = Path(home, f"run{equal}")
            finished = run(train, str(out), settings(), within=chance.uniform(0.05, length))
            folders = [p for p in out.iterdir() if p.is_dir() and (p / "config.toml").exists()] if out.exists() else []
            hits += bool(not finished and folders)  # killed before the run began to exist: there is nothing to resume
            while not finished and folders:
                remaining = chance.uniform(0.05, length) if hits < kills and chance.random() < 0.75 else None
                finished = run(resume, str(folders[0]), within=remaining)
                hits += not finished
            if not folders:
                continue
            if outcome(folders[0]) != expected:
                raise SystemExit(f"{name}: a resumed run differs from the one never killed")
            equal += 1
    return hits, equal


def main(words: list[str]) -> None:
    """Kill, resume, compare, tell."""
    options = dict(word.split("=", 1) for word in words)
    n, seed = int(options.get("n", 100)), int(options.get("seed", 0))
    total = 0
    for number, name in enumerate(SETTINGS):
        start = time.perf_counter()
        fraction = n // len(SETTINGS) + (number < n % len(SETTINGS))
        hits, equal = campaign(name, fraction, seed)
        total += hits
        print(f"{name:<42} {hits:>4} kills, {equal:>4} runs the same, {time.perf_counter() - start:6.1f} s", flush=True)
    print(f"{total} kills: every resumed run ended with the bytes of the one never killed")


if __name__ == "__main__":
    main(sys.argv[1:])
