"""Five folds x sixteen settings (learning rate x weight decay) on house prices: one pass beside one by one.

    python benchmarks/stacked.py equal  [epochs=100]
    python benchmarks/stacked.py speed  [epochs=100] [rounds=2] [models=linear,mlp] [plain=1,2] [peers=PYTHON]
    python benchmarks/stacked.py widths [epochs=10] [rounds=2]

``equal`` trains all 80 models one by one and in one pass and compares the scores of the validation parts; and, in
float32, one by one with the inputs in another order, whose sums are rounded otherwise. ``speed`` takes turns (A B A B
...) between `yisheng.search.executors.stacked.train` as users have it, the fit of the transforms included, and plain torch loops, on each
number of threads in ``plain=``, which hold prepared tensors in memory and do nothing but train; ``peers=`` names the
Python of an environment with `benchmarks/requirements-peers.txt`, for skorch under GridSearchCV and for Ray Tune.
``widths`` shows over the number and the width of models where one pass stops paying, and what the automatic choice
costs.
"""

from __future__ import annotations

import collections
import functools
import itertools
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

FOLDS, BATCH, HIDDEN = 5, 64, 64
RATES, DECAYS = (0.0003, 0.001, 0.003, 0.01), (0.0, 1e-4, 1e-3, 1e-2)
SETTINGS = tuple(itertools.product(RATES, DECAYS))
MODELS = {"linear": {"model": "linear"}, "mlp": {"model": "mlp", "hidden": str(HIDDEN)}}
COMMON = {"data": "house-prices", "batch": BATCH, "optimizer": "adam", "schedule": "constant", "decay_bias": True}


def grid(data: Any = None, *, settings: Sequence[tuple[float, float]] = SETTINGS, **more: Any) -> tuple[Any, Any]:
    """The jobs of all settings on all folds, and the data."""
    from yisheng.core.settings import merge_settings
    from yisheng.experiments.load_data import load_dataset, split_dataset
    from yisheng.search.jobs import Job

    jobs = []
    for fold in range(1, FOLDS + 1):
        split = None
        for lr, weight_decay in settings:
            chosen = {**COMMON, **more, "fold": f"{fold}/{FOLDS}", "lr": lr, "weight_decay": weight_decay}
            config = merge_settings([(key, value, "command line") for key, value in chosen.items()]).config
            data = data or load_dataset(config)
            split = split or split_dataset(config, data)
            jobs.append(Job(f"lr={lr} weight_decay={weight_decay}/{fold}", config, split))
    return jobs, data


def tensors(jobs: Any, data: Any) -> list[tuple[torch.Tensor, ...]]:
    """Prepared training and validation tensors of each fold."""
    from yisheng.search.executors.serial import Trainer

    found = []
    for job in jobs[:: len(jobs) // FOLDS]:
        assembly = Trainer(data).assemble(job)
        parts = [list(part) for part in (assembly.train, assembly.validation)]
        found.append(tuple(torch.cat([getattr(b, kind) for b in part]) for part in parts for kind in ("x", "y")))
    return found


def build(model: str, width: int) -> nn.Module:
    """The plain networks."""
    if model == "linear":
        return nn.Sequential(nn.Linear(width, 1))
    return nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))


def loop(model: str, part: Sequence[torch.Tensor], lr: float, weight_decay: float, epochs: int) -> float:
    """A plain training; gives the validation loss."""
    x, y, x_valid, y_valid = part
    net, loss = build(model, x.shape[1]), nn.MSELoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=lr, weight_decay=weight_decay)
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for at in range(0, len(x), BATCH):
            rows = order[at : at + BATCH]
            value = loss(net(x[rows]), y[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    with torch.no_grad():
        return float(loss(net(x_valid), y_valid))


def timed(act: Callable[[], object]) -> float:
    """Seconds of an act."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def speed(words: dict[str, str]) -> None:
    """One pass beside plain loops on one thread and on all, and beside the peers."""
    from yisheng.search.executors.stacked.train import train_stacked

    epochs, rounds, threads = int(words.get("epochs", 100)), int(words.get("rounds", 2)), torch.get_num_threads()
    counts = [int(n) for n in words.get("plain", f"1,{threads}").split(",")]
    print(f"{FOLDS} folds x {len(SETTINGS)} settings, {epochs} epochs, Adam, batch {BATCH}, {rounds} rounds")
    print(f"{'model':<8}{'way':<32}{'seconds: median (least to most)':<34}times as long as one pass")
    for model in words.get("models", "linear,mlp").split(","):
        jobs, data = grid(epochs=epochs, **MODELS[model])
        parts = tensors(jobs, data)

        def plain(count: int, model: str = model, parts: Any = parts) -> None:
            torch.set_num_threads(count)
            for part, (lr, weight_decay) in itertools.product(parts, SETTINGS):
                loop(model, part, lr, weight_decay, epochs)
            torch.set_num_threads(threads)

        ways: dict[str, Callable[[], object]] = {
            "one pass": lambda jobs=jobs, data=data: list(train_stacked(jobs, data)),
            **{f"plain loops, {n} thread{'s' * (n > 1)}": lambda n=n: plain(n) for n in counts},
        }
        with tempfile.TemporaryDirectory() as folder:
            if "peers" in words:
                np.savez(f"{folder}/parts.npz", *[value.numpy() for part in parts for value in part])
                for peer in ("skorch", "ray"):
                    ways[PEERS[peer]] = lambda peer=peer, model=model, folder=folder: subprocess.run(
                        [words["peers"], __file__, peer, f"model={model}", f"epochs={epochs}", f"parts={folder}"],
                        check=True,
                        stdout=subprocess.DEVNULL,
                    )
            list(train_stacked(grid(data, epochs=1, **MODELS[model])[0], data))  # warm before it counts
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(rounds):
                for way, act in ways.items():
                    turns = timed(act)
                    if way in PEERS.values():  # without the start of Python: what the peer itself took
                        turns = json.loads(Path(folder, "seconds.json").read_text())
                    seconds[way].append(turns)
        stacked_seconds = statistics.median(seconds["one pass"])
        for way, each in seconds.items():
            shown = f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"
            print(f"{model:<8}{way:<32}{shown:<34}{statistics.median(each) / stacked_seconds:.1f}", flush=True)


PEERS = {"skorch": "skorch, GridSearchCV n_jobs=2", "ray": "Ray Tune, 2 workers"}


def _loaded(folder: str) -> list[tuple[torch.Tensor, ...]]:
    with np.load(f"{folder}/parts.npz") as file:
        values = [torch.from_numpy(file[f"arr_{i}"]) for i in range(len(file.files))]
    return [tuple(values[i : i + 4]) for i in range(0, len(values), 4)]


def skorch(words: dict[str, str]) -> None:
    """The same search by skorch; the preparation of the first fold serves all."""
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from skorch import NeuralNetRegressor

    x, y, x_valid, y_valid = _loaded(words["parts"])[0]
    x, y = torch.cat([x, x_valid]).numpy(), torch.cat([y, y_valid]).numpy()
    net = NeuralNetRegressor(
        build,
        module__model=words["model"],
        module__width=x.shape[1],
        max_epochs=int(words["epochs"]),
        optimizer=torch.optim.Adam,
        batch_size=BATCH,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    axes = {"lr": RATES, "optimizer__weight_decay": DECAYS}
    split = PredefinedSplit(np.arange(len(x)) % FOLDS)
    search = GridSearchCV(net, axes, cv=split, n_jobs=2, refit=False, scoring="neg_root_mean_squared_error")
    _note(words, timed(lambda: search.fit(x, y)))


def ray(words: dict[str, str]) -> None:
    """The same search by Ray Tune, a plain loop in each trial."""
    import ray as cluster
    from ray import tune

    epochs, model = int(words["epochs"]), words["model"]
    cluster.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    parts = cluster.put([tuple(value.numpy() for value in part) for part in _loaded(words["parts"])])

    def trial(config: dict[str, Any]) -> dict[str, float]:
        torch.set_num_threads(1)
        part = [torch.from_numpy(value.copy()) for value in cluster.get(parts)[config["fold"]]]
        return {"loss": loop(model, part, config["lr"], config["weight_decay"], epochs)}

    space = {
        "fold": tune.grid_search(list(range(FOLDS))),
        "lr": tune.grid_search(list(RATES)),
        "weight_decay": tune.grid_search(list(DECAYS)),
    }
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(trial, {"cpu": 1}),
            param_space=space,
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        _note(words, timed(tuner.fit))
    cluster.shutdown()


def _note(words: dict[str, str], seconds: float) -> None:
    Path(words["parts"], "seconds.json").write_text(json.dumps(seconds))


def equal(words: dict[str, str]) -> None:
    """Scores of 80 models in one pass, and one by one with the inputs in another order, beside one by one."""
    from yisheng.search.executors.serial import train_serial
    from yisheng.search.executors.stacked.train import train_stacked

    epochs = int(words.get("epochs", 100))
    print(f"{FOLDS} folds x {len(SETTINGS)} settings, {epochs} epochs; the validation rmse differs from one by one\n")
    print(f"{'network':<36}{'numbers':<9}{'of':<28}{'median':>10}{'largest':>10}{'above 1e-5':>12}  same ranking")
    forms = {
        "linear": MODELS["linear"],
        "mlp, 64 units": MODELS["mlp"],
        "mlp, 64 units, dropout, batch norm": {**MODELS["mlp"], "dropout": 0.2, "batch_norm": True},
    }
    for (form, options), precision in itertools.product(forms.items(), ("fp64", "fp32")):
        jobs, data = grid(epochs=epochs, precision=precision, **options)
        alone = _scores(train_serial(jobs, data), jobs)
        permuted = {"in one pass": _scores(train_stacked(jobs, data), jobs)}
        if precision == "fp32":
            permuted["one by one, inputs turned"] = _scores(turned(jobs, data), jobs)
        for of, scores in permuted.items():
            away = np.abs(scores - alone) / alone
            is_same = bool((_ranking(scores) == _ranking(alone)).all())
            row = f"{form:<36}{precision:<9}{of:<28}{np.median(away):>10.1e}{away.max():>10.1e}"
            print(f"{row}{(away > 1e-5).sum():>12}  {'yes' if is_same else 'no'}", flush=True)


def _scores(outcomes: Any, jobs: Any) -> np.ndarray:
    scores = {outcome.key: outcome.scores["rmse"] for outcome in outcomes}
    return np.array([scores[job.key] for job in jobs])


def _ranking(scores: np.ndarray) -> np.ndarray:
    return scores.reshape(FOLDS, len(SETTINGS)).mean(0).argsort()


def turned(jobs: Any, data: Any) -> Any:
    """Trainings one by one on the same inputs in another order: the same sums, added up otherwise."""
    from yisheng.evaluation.scorer import make_scorer
    from yisheng.search.executors.serial import Trainer
    from yisheng.search.jobs import Outcome
    from yisheng.training.fit_assembly import fit_assembly

    trainer = Trainer(data)
    for job in jobs:
        assembly = trainer.assemble(job)
        first = next(m for m in assembly.state.model.modules() if isinstance(m, nn.Linear))
        order = torch.randperm(first.in_features, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            first.weight.copy_(first.weight[:, order])
        first.register_forward_pre_hook(lambda _module, inputs, order=order: (inputs[0][:, order],))
        (last,) = collections.deque(fit_assembly(assembly, make_scorer, choose_best=False), maxlen=1)
        yield Outcome(job.key, last.scores, last.epoch, 0.0)


def widths(words: dict[str, str]) -> None:
    """Where one pass stops paying, and what the automatic choice takes."""
    from yisheng.search.executors.auto import run_jobs
    from yisheng.search.executors.serial import train_serial
    from yisheng.search.executors.stacked.train import train_stacked

    epochs, rounds, data = int(words.get("epochs", 10)), int(words.get("rounds", 2)), None
    print(f"{epochs} epochs; seconds: medians of {rounds} rounds; one by one: 5 models, scaled up to their number\n")
    print(f"{'units':>6}{'models':>8}{'one by one':>12}{'one pass':>10}{'ratio':>7}{'auto':>8}{'to better':>11}  chose")
    for hidden, subset in itertools.product((16, 64, 256, 1024), (1, 4, 16)):
        if hidden == 1024 and subset == 16:
            continue
        jobs, data = grid(data, settings=SETTINGS[:subset], epochs=epochs, model="mlp", hidden=str(hidden))
        executors: set[str] = set()

        def run_auto(jobs: Any = jobs, data: Any = data, executors: set[str] = executors) -> Any:
            for outcome in run_jobs(jobs, data):
                executors.add(outcome.executor)
                yield outcome

        ways = (
            functools.partial(train_serial, jobs[::subset], data),
            functools.partial(train_stacked, jobs, data),
            run_auto,
        )
        rows = [[timed(lambda way=way: list(way())) for way in ways] for _ in range(rounds)]
        a, b, c = map(statistics.median, zip(*rows, strict=True))
        a *= subset
        chose = "/".join(sorted(executors))
        row = f"{hidden:>6}{len(jobs):>8}{a:>12.2f}{b:>10.2f}{a / b:>7.1f}{c:>8.2f}{c / min(a, b):>11.2f}"
        print(f"{row}  {chose}", flush=True)


def main(words: list[str]) -> None:
    """Measure and print tables."""
    acts = {act.__name__: act for act in (equal, speed, widths, skorch, ray)}
    act, options = words[0], dict(word.split("=", 1) for word in words[1:])
    if act in ("equal", "speed", "widths"):
        from yisheng.core import machine

        name, flags = machine.describe_processor()
        print(
            f"{name} ({', '.join(flags)}), {machine.count_cores()} cores, {torch.get_num_threads()} threads, ", end=""
        )
        print(f"torch {torch.__version__}, Python {platform.python_version()}\n")
    acts[act](options)


if __name__ == "__main__":
    main(sys.argv[1:])
