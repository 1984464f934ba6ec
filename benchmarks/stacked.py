"""Compare stacked training with training one by one: five folds x sixteen settings on house prices.

    python benchmarks/stacked.py equal  [epochs=100]
    python benchmarks/stacked.py speed  [epochs=100] [rounds=2] [models=linear,mlp] [plain=1,2] [peers=PYTHON]
    python benchmarks/stacked.py widths [epochs=10] [rounds=2]

The settings are learning rates x weight decays. ``equal`` trains all 80 models one by one and in one pass and compares
their validation scores; in float32 also with permuted inputs, whose sums are rounded differently. ``speed`` alternates
(A B A B ...) between `yisheng.search.executors.stacked.train`, fit of the transforms included, and plain torch loops
with each number of threads in ``plain=``, which use prepared tensors in memory and only train. ``peers=`` is the Python
of an environment with `benchmarks/requirements-peers.txt`, for skorch with GridSearchCV and for Ray Tune. ``widths``
shows for which numbers and widths of models one pass is faster, and the overhead of the automatic choice.
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


def make_jobs(
    data: Any = None, *, settings: Sequence[tuple[float, float]] = SETTINGS, **options: Any
) -> tuple[Any, Any]:
    """Return the jobs of all settings on all folds, and the data."""
    from yisheng.core.settings import merge_settings
    from yisheng.experiments.load_data import load_dataset, split_dataset
    from yisheng.search.jobs import Job

    jobs = []
    for fold in range(1, FOLDS + 1):
        split = None
        for lr, weight_decay in settings:
            values = {**COMMON, **options, "fold": f"{fold}/{FOLDS}", "lr": lr, "weight_decay": weight_decay}
            config = merge_settings([(key, value, "command line") for key, value in values.items()]).config
            data = data or load_dataset(config)
            split = split or split_dataset(config, data)
            jobs.append(Job(f"lr={lr} weight_decay={weight_decay}/{fold}", config, split))
    return jobs, data


def prepare_tensors(jobs: Any, data: Any) -> list[tuple[torch.Tensor, ...]]:
    """Return the prepared training and validation tensors of each fold."""
    from yisheng.search.executors.serial import Trainer

    folds = []
    for job in jobs[:: len(jobs) // FOLDS]:
        assembly = Trainer(data).assemble(job)
        parts = [list(part) for part in (assembly.train, assembly.validation)]
        folds.append(tuple(torch.cat([getattr(b, kind) for b in part]) for part in parts for kind in ("x", "y")))
    return folds


def build(model: str, width: int) -> nn.Module:
    """Return a plain network."""
    if model == "linear":
        return nn.Sequential(nn.Linear(width, 1))
    return nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))


def train_plain(model: str, tensors: Sequence[torch.Tensor], lr: float, weight_decay: float, epochs: int) -> float:
    """Train in a plain loop; return the validation loss."""
    x, y, x_valid, y_valid = tensors
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


def measure(function: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def speed(words: dict[str, str]) -> None:
    """Print the seconds of one pass, of plain loops and of the peers."""
    from yisheng.search.executors.stacked.train import train_stacked

    epochs, rounds, threads = int(words.get("epochs", 100)), int(words.get("rounds", 2)), torch.get_num_threads()
    counts = [int(n) for n in words.get("plain", f"1,{threads}").split(",")]
    print(f"{FOLDS} folds x {len(SETTINGS)} settings, {epochs} epochs, Adam, batch {BATCH}, {rounds} rounds")
    print(f"{'model':<8}{'how':<32}{'seconds: median (min to max)':<34}times as long as one pass")
    for model in words.get("models", "linear,mlp").split(","):
        jobs, data = make_jobs(epochs=epochs, **MODELS[model])
        folds = prepare_tensors(jobs, data)

        def run_plain_loops(count: int, model: str = model, folds: Any = folds) -> None:
            torch.set_num_threads(count)
            for tensors, (lr, weight_decay) in itertools.product(folds, SETTINGS):
                train_plain(model, tensors, lr, weight_decay, epochs)
            torch.set_num_threads(threads)

        functions: dict[str, Callable[[], object]] = {
            "one pass": lambda jobs=jobs, data=data: list(train_stacked(jobs, data)),
            **{f"plain loops, {n} thread{'s' * (n > 1)}": lambda n=n: run_plain_loops(n) for n in counts},
        }
        with tempfile.TemporaryDirectory() as folder:
            if "peers" in words:
                np.savez(f"{folder}/parts.npz", *[tensor.numpy() for tensors in folds for tensor in tensors])
                for peer in ("skorch", "ray"):
                    functions[PEERS[peer]] = lambda peer=peer, model=model, folder=folder: subprocess.run(
                        [words["peers"], __file__, peer, f"model={model}", f"epochs={epochs}", f"parts={folder}"],
                        check=True,
                        stdout=subprocess.DEVNULL,
                    )
            list(train_stacked(make_jobs(data, epochs=1, **MODELS[model])[0], data))  # warm up
            seconds: dict[str, list[float]] = {name: [] for name in functions}
            for _ in range(rounds):
                for name, function in functions.items():
                    duration = measure(function)
                    if name in PEERS.values():  # measured by the peer, without the start of Python
                        duration = json.loads(Path(folder, "seconds.json").read_text(encoding="utf-8"))
                    seconds[name].append(duration)
        stacked_seconds = statistics.median(seconds["one pass"])
        for name, values in seconds.items():
            median = statistics.median(values)
            summary = f"{median:.2f} ({min(values):.2f} to {max(values):.2f})"
            print(f"{model:<8}{name:<32}{summary:<34}{median / stacked_seconds:.1f}", flush=True)


PEERS = {"skorch": "skorch, GridSearchCV n_jobs=2", "ray": "Ray Tune, 2 workers"}


def _load_tensors(folder: str) -> list[tuple[torch.Tensor, ...]]:
    """Return the tensors of each fold, which `speed` saved for the peers."""
    with np.load(f"{folder}/parts.npz") as file:
        values = [torch.from_numpy(file[f"arr_{i}"]) for i in range(len(file.files))]
    return [tuple(values[i : i + 4]) for i in range(0, len(values), 4)]


def skorch(words: dict[str, str]) -> None:
    """Run the same search with skorch, on the prepared tensors of the first fold."""
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from skorch import NeuralNetRegressor

    x, y, x_valid, y_valid = _load_tensors(words["parts"])[0]
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
    _save_seconds(words, measure(lambda: search.fit(x, y)))


def ray(words: dict[str, str]) -> None:
    """Run the same search with Ray Tune, with a plain loop in each trial."""
    import ray as cluster
    from ray import tune

    epochs, model = int(words["epochs"]), words["model"]
    cluster.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    folds = cluster.put([tuple(tensor.numpy() for tensor in tensors) for tensors in _load_tensors(words["parts"])])

    def run_trial(config: dict[str, Any]) -> dict[str, float]:
        torch.set_num_threads(1)
        tensors = [torch.from_numpy(array.copy()) for array in cluster.get(folds)[config["fold"]]]
        return {"loss": train_plain(model, tensors, config["lr"], config["weight_decay"], epochs)}

    space = {
        "fold": tune.grid_search(list(range(FOLDS))),
        "lr": tune.grid_search(list(RATES)),
        "weight_decay": tune.grid_search(list(DECAYS)),
    }
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(run_trial, {"cpu": 1}),
            param_space=space,
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        _save_seconds(words, measure(tuner.fit))
    cluster.shutdown()


def _save_seconds(words: dict[str, str], seconds: float) -> None:
    Path(words["parts"], "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")


def equal(words: dict[str, str]) -> None:
    """Print how much the scores of 80 models differ from training one by one."""
    from yisheng.search.executors.serial import train_serial
    from yisheng.search.executors.stacked.train import train_stacked

    epochs = int(words.get("epochs", 100))
    print(
        f"{FOLDS} folds x {len(SETTINGS)} settings, {epochs} epochs; "
        "relative difference of the validation RMSE from one by one\n"
    )
    print(f"{'network':<36}{'numbers':<9}{'of':<28}{'median':>10}{'largest':>10}{'above 1e-5':>12}  same ranking")
    forms = {
        "linear": MODELS["linear"],
        "mlp, 64 units": MODELS["mlp"],
        "mlp, 64 units, dropout, batch norm": {**MODELS["mlp"], "dropout": 0.2, "batch_norm": True},
    }
    for (form, options), precision in itertools.product(forms.items(), ("fp64", "fp32")):
        jobs, data = make_jobs(epochs=epochs, precision=precision, **options)
        serial_scores = _collect_scores(train_serial(jobs, data), jobs)
        compared = {"in one pass": _collect_scores(train_stacked(jobs, data), jobs)}
        if precision == "fp32":
            compared["one by one, permuted inputs"] = _collect_scores(train_permuted(jobs, data), jobs)
        for name, scores in compared.items():
            difference = np.abs(scores - serial_scores) / serial_scores
            is_same = bool((_rank_settings(scores) == _rank_settings(serial_scores)).all())
            row = f"{form:<36}{precision:<9}{name:<28}{np.median(difference):>10.1e}{difference.max():>10.1e}"
            print(f"{row}{(difference > 1e-5).sum():>12}  {'yes' if is_same else 'no'}", flush=True)


def _collect_scores(outcomes: Any, jobs: Any) -> np.ndarray:
    """Return the validation RMSE of each job, in the order of the jobs."""
    scores = {outcome.key: outcome.scores["rmse"] for outcome in outcomes}
    return np.array([scores[job.key] for job in jobs])


def _rank_settings(scores: np.ndarray) -> np.ndarray:
    """Return the settings by their mean score over the folds, the best first."""
    return scores.reshape(FOLDS, len(SETTINGS)).mean(0).argsort()


def train_permuted(jobs: Any, data: Any) -> Any:
    """Train one by one with permuted inputs: the same sums, added in another order."""
    from yisheng.evaluation.scorer import make_scorer
    from yisheng.search.executors.serial import Trainer
    from yisheng.search.jobs import Outcome
    from yisheng.training.fit_assembly import fit_assembly

    trainer = Trainer(data)
    for job in jobs:
        assembly = trainer.assemble(job)
        layer = next(m for m in assembly.state.model.modules() if isinstance(m, nn.Linear))
        order = torch.randperm(layer.in_features, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            layer.weight.copy_(layer.weight[:, order])
        layer.register_forward_pre_hook(lambda _module, inputs, order=order: (inputs[0][:, order],))
        (final_event,) = collections.deque(fit_assembly(assembly, make_scorer, choose_best=False), maxlen=1)
        yield Outcome(job.key, final_event.scores, final_event.epoch, 0.0)


def widths(words: dict[str, str]) -> None:
    """Print by number and width of models the seconds of one by one, one pass and the automatic choice."""
    from yisheng.search.executors.auto import run_jobs
    from yisheng.search.executors.serial import train_serial
    from yisheng.search.executors.stacked.train import train_stacked

    epochs, rounds, data = int(words.get("epochs", 10)), int(words.get("rounds", 2)), None
    print(f"{epochs} epochs; seconds: medians of {rounds} rounds; one by one: extrapolated from 5 models\n")
    print(f"{'units':>6}{'models':>8}{'one by one':>12}{'one pass':>10}{'ratio':>7}{'auto':>8}{'to better':>11}  chose")
    for hidden, subset in itertools.product((16, 64, 256, 1024), (1, 4, 16)):
        if hidden == 1024 and subset == 16:
            continue
        jobs, data = make_jobs(data, settings=SETTINGS[:subset], epochs=epochs, model="mlp", hidden=str(hidden))
        executors: set[str] = set()

        def run_auto(jobs: Any = jobs, data: Any = data, executors: set[str] = executors) -> Any:
            for outcome in run_jobs(jobs, data):
                executors.add(outcome.executor)
                yield outcome

        functions = (
            functools.partial(train_serial, jobs[::subset], data),
            functools.partial(train_stacked, jobs, data),
            run_auto,
        )
        rows = [[measure(lambda function=function: list(function())) for function in functions] for _ in range(rounds)]
        serial, stacked, auto = map(statistics.median, zip(*rows, strict=True))
        serial *= subset
        row = f"{hidden:>6}{len(jobs):>8}{serial:>12.2f}{stacked:>10.2f}{serial / stacked:>7.1f}"
        row += f"{auto:>8.2f}{auto / min(serial, stacked):>11.2f}"
        print(f"{row}  {'/'.join(sorted(executors))}", flush=True)


def main(words: list[str]) -> None:
    """Run a command: measure and print its table."""
    commands = {command.__name__: command for command in (equal, speed, widths, skorch, ray)}
    name, options = words[0], dict(word.split("=", 1) for word in words[1:])
    if name in ("equal", "speed", "widths"):
        from yisheng.core import machine

        processor, flags = machine.describe_processor()
        print(
            f"{processor} ({', '.join(flags)}), {machine.count_cores()} cores, {torch.get_num_threads()} threads, ",
            end="",
        )
        print(f"torch {torch.__version__}, Python {platform.python_version()}\n")
    commands[name](options)


if __name__ == "__main__":
    main(sys.argv[1:])
