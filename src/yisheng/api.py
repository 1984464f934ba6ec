"""The commands as Python functions, with the same keys and values as on the command line.

Messages and progress go to standard error, as plain text; ``quiet=True`` hides them (see `yisheng.core.logging`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Unpack

from yisheng.core.components import separate_components, supply_components
from yisheng.core.errors import UsageError
from yisheng.core.logging import logger, show_on_stderr
from yisheng.core.messages import Message
from yisheng.core.paths import parse_out_path, parse_path, parse_run_path, parse_runs_path
from yisheng.core.remote.sessions import publish_at_end
from yisheng.core.run_folder import RunFolder
from yisheng.core.seeds import isolated_generators
from yisheng.core.setting_types import (
    COMMON_SETTINGS,
    OWN_COMPONENTS,
    SEARCH_SETTINGS,
    SETTINGS,
    gather_common_settings,
    gather_components,
    gather_search_settings,
    gather_settings,
)
from yisheng.core.settings import Setting, keyword_settings, merge_settings, read_settings
from yisheng.core.signatures import declare_keywords
from yisheng.core.types import Dataset, Event
from yisheng.results import SearchResult, TrainedRun

EventCallback: TypeAlias = Callable[..., Iterator[Event]]
"""A callback: a generator function of the events of a training, and of its state if it has a second parameter."""

if TYPE_CHECKING:
    import torch
    from torch import nn

    from yisheng.core.setting_types import CommonSettings, OwnComponents, SearchSettings, Settings
    from yisheng.diagnosis.ranking import Diagnosis
    from yisheng.experiments.event_loop import Fit
    from yisheng.experiments.explain import Explanation
    from yisheng.experiments.export import Exported
    from yisheng.experiments.model_hub.push import Pushed
    from yisheng.experiments.other_data.result import Evaluation
    from yisheng.experiments.reproduce import Reproduction
    from yisheng.experiments.run_folders.table import RunTable
    from yisheng.inference.prediction import PredictionList
    from yisheng.reporting.lr_find_facts import LearningRateTest


@isolated_generators()
@publish_at_end()
def train(
    *,
    config: str | Path | None = None,
    data: Any = None,
    out: str | Path = "runs",
    quiet: bool = False,
    fix: bool = False,
    callbacks: Sequence[EventCallback] = (),
    processes: int | Literal["auto"] | None = None,
    cluster: str | None = None,
    **settings: Unpack[Settings],
) -> TrainedRun:
    """Train by a config file, settings, or both (settings win); return the run.

    For a table (a file, a DataFrame) of which no setting says which model to train, or how, several models are tried
    for a minute at most; ``model="tabm"`` trains one network. See docs/tables.md.

    Args:
        config: a config in TOML.
        data: name or path of a data set, a mapping with ``name`` and options, or an object in memory: ``(x, y)``, a
            DataFrame with ``target=``, a torch data set or loader, ...; see `yisheng.data.objects.to_dataset`. Rows for
            ``validation`` and ``test`` may be given in the same way.
        out: folder in which the run's folder is created.
        quiet: show no messages and no progress.
        fix: apply the doctor's first remedy, train again, and return the better run; see `yisheng.experiments.fix`.
        callbacks: functions ``(events) -> events`` or ``(events, state) -> events`` that watch or stop the training;
            see `yisheng.training.callbacks`.
        processes: number of processes on this machine for one training, to the same weights as one process with the
            same ``shards``; a script must start its work below ``if __name__ == "__main__":``. ``auto``: one for each
            GPU. By default those that ``torchrun`` started, or this one alone. See docs/scaling.md.
        cluster: a cluster of Ray that trains the models of ``folds=`` or the candidates of an ensemble, as for `tune`.
        **settings: any key of the config or option of its choices (``model="mlp"``, ``hidden=[64]``,
            ``lr=0.1``), or a mapping with ``name`` and options for a choice. Where a name goes, an object of your own
            does too: ``model`` takes an ``nn.Module``, its class or a function, ``loss``, ``optimizer``, ``schedule``,
            ``metrics``, ``score``, ``augment`` and ``init`` take callables. A module is trained from the weights that
            it has, and holds the run's best weights afterwards.

    Raises:
        UsageError: an unknown key or name, or a value that is not allowed.
        DataError: the data cannot be read.
        NonFiniteError: the loss became NaN or infinite.

    >>> import tempfile
    >>> run = train(data="iris", epochs=2, out=tempfile.mkdtemp(), quiet=True)
    >>> sorted(run.scores)
    ['baseline', 'test', 'validation']
    """
    from yisheng.experiments import dispatch, watch
    from yisheng.experiments.processes import is_first_process

    with show_on_stderr(quiet=quiet):
        dataset, keywords = _separate_dataset(config, data, gather_settings(**settings))
    folder = parse_runs_path(out)
    merged = merge_settings(_collect_settings(config, keywords)).config
    is_watched = merged.watch and is_first_process()
    page = watch.watch_training(folder) if is_watched else contextlib.nullcontext()
    with show_on_stderr(quiet=quiet), page:
        path = dispatch.train(
            merged,
            data=dataset,
            out=folder,
            fix=fix,
            event_callbacks=tuple(callbacks),
            processes=processes,
            cluster=cluster,
        )
    if merged.folds is None:
        _copy_weights_back(path, merged.model.component)
    return TrainedRun(path, dataset, merged.model.component)


def fit(
    *,
    config: str | Path | None = None,
    data: Any = None,
    **settings: Unpack[Settings],
) -> Fit:
    """Return the events of a training, for a loop of your own; the arguments are those of `train`.

    Nothing is written and nothing is shown: what happens at an event is up to the loop. To stop, leave it.

    Args:
        config: a config in TOML.
        data: as for `train`.
        **settings: as for `train`.

    Raises:
        UsageError: an unknown key or name, or a value that is not allowed.
        DataError: the data cannot be read.

    >>> from yisheng import EpochEnd
    >>> events = fit(data="iris", epochs=2)
    >>> [(event.epoch, sorted(event.scores)) for event in events if isinstance(event, EpochEnd)]
    [(1, ['accuracy', 'loss']), (2, ['accuracy', 'loss'])]
    """
    from yisheng.experiments.event_loop import Fit

    dataset, keywords = _separate_dataset(config, data, gather_settings(**settings))
    return Fit(merge_settings(_collect_settings(config, keywords)).config, dataset)


@isolated_generators()
@publish_at_end()
def tune(
    *,
    config: str | Path | None = None,
    data: Any = None,
    search: str | Mapping[str, Any] = "auto",
    n: int | None = None,
    seeds: int = 1,
    executor: str = "auto",
    processes: int = 1,
    cluster: str | None = None,
    tensorboard: bool = False,
    out: str | Path = "runs",
    quiet: bool = False,
    **settings: Unpack[SearchSettings],
) -> SearchResult:
    """Search for the best setting and train its model; see docs/tuning.md.

    Args:
        config: a config in TOML: the settings that all trials share.
        data: as for `train`.
        search: ``grid``, ``random``, ``coarse``, ``halving`` or ``tpe``; a mapping with ``name`` and its options;
            ``auto`` is a grid if there are alternatives only and no ``n``, else random.
        n: number of trials, if the search takes a number (default 40).
        seeds: trainings of each trial on each fold; with few rows a single one is not informative.
        executor: ``auto``, ``serial`` or ``stacked``.
        processes: number of processes of serial training.
        cluster: a cluster of Ray that trains the trials: ``local:4``, ``auto`` or ``HOST:PORT``; see docs/tuning.md.
        tensorboard: also write TensorBoard's files, for its HParams view.
        out: folder in which the search's folder is created.
        quiet: show no messages and no progress.
        **settings: any key of the config; a list holds alternatives (``hidden=[[64], [64, 32]]``), text may be a
            range (``lr="log(1e-4,1)"``), and so may a `yisheng.search.axes.Range`.

    Raises:
        UsageError: an unknown key or name, or a value that is not allowed.
        DataError: the data cannot be read.
        NonFiniteError: no trial has a score.

    >>> import tempfile
    >>> settings = {"model": "linear", "lr": [0.01, 0.1], "folds": 2, "epochs": 2}
    >>> result = tune(data="iris", **settings, out=tempfile.mkdtemp(), quiet=True)
    >>> result.trials["lr"].tolist(), result.best["setting"]
    ([0.01, 0.1], {'lr': 0.1})
    """
    from yisheng.experiments.search import run_search
    from yisheng.experiments.search.plan import plan_search

    with show_on_stderr(quiet=quiet):
        dataset, keywords = _separate_dataset(config, data, gather_search_settings(**settings))
    options = dict(search) if isinstance(search, Mapping) else {"name": search}
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise UsageError(f"search must be a name, got {name!r}", 'write search="random"')
    folder = parse_runs_path(out)
    plain, components = separate_components(_collect_settings(config, keywords))
    networks = components.get("model", ())
    with supply_components(**components):
        plan = plan_search(
            plain,
            search=name,
            n=n,
            seeds=seeds,
            executor=executor,
            processes=processes,
            options=options,
            tensorboard=tensorboard,
        )
        with show_on_stderr(quiet=quiet):
            path = run_search.tune(plan, data=dataset, out=folder, cluster=cluster)
        return SearchResult(path, dataset, networks[0] if len(networks) == 1 else None)


@isolated_generators()
@publish_at_end()
def lr_find(
    *,
    config: str | Path | None = None,
    data: Any = None,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    seeds: int = 3,
    out: str | Path = "runs",
    quiet: bool = False,
    **settings: Unpack[CommonSettings],
) -> LearningRateTest:
    """Test a range of learning rates in a few steps of new networks; see `yisheng.experiments.lr_find.find_lr`.

    Args:
        config: a config in TOML.
        data: as for `train`.
        low: the first learning rate.
        high: the last one.
        steps: steps of a test.
        seeds: number of tests, with the config's seed and the following ones.
        out: folder in which a folder with the report is created.
        quiet: show no messages.
        **settings: as for `train`.

    Raises:
        UsageError: an unknown key or name, or a value that is not allowed.
        DataError: the data cannot be read.

    >>> import tempfile
    >>> test = lr_find(data="iris", model="mlp", steps=40, seeds=1, out=tempfile.mkdtemp(), quiet=True)
    >>> len(test.curves), test.caveats[0].startswith("The test sees the first 40 updates only.")
    (1, True)
    """
    from yisheng.experiments.lr_find import find_lr

    with show_on_stderr(quiet=quiet):
        dataset, keywords = _separate_dataset(config, data, gather_common_settings(**settings))
    merged = merge_settings(_collect_settings(config, keywords)).config
    folder = parse_runs_path(out)
    with show_on_stderr(quiet=quiet):
        return find_lr(merged, data=dataset, out=folder, low=low, high=high, steps=steps, seeds=seeds)


def load(path: str | Path, model: Any = None) -> TrainedRun:
    """Return a trained run from its folder, or from one that holds only the files of a model.

    Nothing is unpickled, and only this package's code is run, and a plugin's if the network is defined there. A network
    of your own is rebuilt from the program that was saved of it, unless you give it.

    Args:
        path: the folder.
        model: your own network, its class, a function that builds it, or its reference (``net.py:Net``).

    Raises:
        DataError: it is not a run folder, a file in it is damaged or differs from the one that was saved, the network's
            plugin is missing, or it is your own and could not be saved without its code.
        UsageError: ``model`` cannot be built, or the run's network is a registered one.

    >>> import tempfile
    >>> run = train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> load(run.path).predictor.spec.classes
    ('setosa', 'versicolor', 'virginica')
    """
    run = TrainedRun(path, model=model)
    assert run.predictor  # reading it raises an error if a file is damaged
    return run


@isolated_generators()
def predict(path: str | Path, inputs: Any, *, model: Any = None, interval: float | None = None) -> PredictionList:
    """Predict with the model in a folder; the same as ``load(path, model).predict(inputs, interval)``.

    Args:
        path: the folder of a run, a cross-validation or a search, or of a model's files.
        inputs: images, tables, rows or arrays; see docs/python.md.
        model: your own network; see `load`.
        interval: with an interval for each value that contains the true one in this fraction of rows, as 0.9.

    Raises:
        DataError: the model or an input cannot be read, or an input has the wrong shape.
        UsageError: the model has no intervals of this level.

    >>> import tempfile
    >>> run = train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> len(predict(run.path, [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]))
    2
    """
    return load(path, model).predict(inputs, interval)


def push(path: str | Path, address: str, *, private: bool = False, message: str | None = None) -> Pushed:
    """Publish a trained model on the Hugging Face hub, or on the one that ``HF_ENDPOINT`` names; see docs/model-hub.md.

    Args:
        path: the folder of a run, a cross-validation or a search.
        address: ``hf:user/name``, where `load` and ``yisheng predict`` find it.
        private: create it so that only its owner sees it.
        message: of the commit.

    Raises:
        DataError: the folder holds no model, or the hub does not respond.
        UsageError: the token is missing, or has no right to write there.

    >>> push("runs/0001-digits-lenet", "user/digits")
    Traceback (most recent call last):
    ...
    yisheng.core.errors.UsageError: 'user/digits' is not the address of a model on the hub
      write it as hf:user/name, or hf:user/name@revision
    """
    from yisheng.experiments.model_hub.address import parse_hub_address
    from yisheng.experiments.model_hub.push import push as push_model

    return push_model(parse_path(path, "path"), parse_hub_address(address), private=private, message=message)


@isolated_generators()
@publish_at_end()
def export(
    path: str | Path,
    *,
    format: str = "onnx",
    out: str | Path | None = None,
    force: bool = False,
    resize: bool = True,
    data: Any = None,
    model: Any = None,
) -> Exported:
    """Write a trained model as one file for other programs; see `yisheng.experiments.export.export`.

    Args:
        path: the folder of a run, a cross-validation or a search.
        format: ``onnx``, ``safetensors`` or ``torchscript``.
        out: the file; by default ``export.onnx`` (.safetensors, .pt) in the folder.
        force: replace an existing file.
        resize: take images of any size; False for programs that require one size.
        data: the object that the run was trained on, for the samples that the file is verified with.
        model: your own network; see `load`.

    Raises:
        UsageError: the format is unknown, or the file exists.
        DataError: it is not a run folder, or the file's outputs differ from the run's.
        MissingPartError: the format needs an extra that is not installed.

    >>> import tempfile
    >>> run = train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> export(run.path, format="safetensors").path.name
    'export.safetensors'
    """
    from yisheng.experiments import export as exporting
    from yisheng.experiments.memory_data import load_again
    from yisheng.experiments.own_model import supply_model

    file = None if out is None else parse_out_path(out)
    folder = parse_path(path, "path")
    with supply_model(folder, model):
        dataset = load_again(folder, data)
        return exporting.export(folder, format=format, out=file, force=force, resize=resize, data=dataset)


@isolated_generators()
@publish_at_end()
def evaluate(
    run: str | Path | TrainedRun | nn.Module | Callable[..., Any],
    data: Any = None,
    *,
    model: Any = None,
    metrics: Any = None,
    **options: Any,
) -> Evaluation:
    """Score a run again on its own data or on all rows of other data, or a network that was trained elsewhere.

    A network is scored in a run folder of its own, as by ``train(model=..., data=..., epochs=0)``: with a report, the
    doctor's checks of the data, and everything that `predict`, `export` and ``serve`` need. Without official parts all
    rows are scored.

    Args:
        run: the folder of a run, a cross-validation or a search; or a network (an ``nn.Module``, or what builds one).
        data: other data; None (default), or the data of the training, for the run's own parts.
        model: the run's network, if it is your own and cannot be rebuilt from the folder.
        metrics: metrics of your own.
        **options: ``part``, ``labels``, ``name``, ``predictions``, and options of the data set; for a network those of
            `train` (``scale``, ``weights``, ``out``, ``quiet``, ...).

    Raises:
        UsageError: a name, option or part is unknown.
        DataError: the run or the data cannot be read, or the data does not fit the run.

    >>> import tempfile, torch
    >>> network = torch.nn.Linear(4, 3)
    >>> evaluation = evaluate(network, "iris", out=tempfile.mkdtemp(), quiet=True)
    >>> sorted(evaluation)
    ['baseline', 'test']
    """
    from yisheng.experiments.other_data.result import Evaluation

    if isinstance(run, TrainedRun):
        run = run.path
    if not isinstance(run, str | Path):
        if data is None:
            raise UsageError("a network is scored on data, and none is given", "give it: evaluate(network, data)")
        settings = options if metrics is None else {**options, "metrics": metrics}
        return Evaluation(train(model=run, data=data, epochs=0, **settings).path)
    with supply_components(model=model, metrics=metrics):
        return TrainedRun(run).evaluate(data, **options)


@isolated_generators()
@publish_at_end()
def report(path: str | Path) -> Path:
    """Write the ``report.html`` of a run, a cross-validation or a search again; return its path.

    Args:
        path: the folder.

    Raises:
        DataError: it is not such a folder, or a file in it is damaged.

    >>> import tempfile
    >>> run = train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> report(run.path).name
    'report.html'
    """
    folder = parse_run_path(path, "path", writes=True)
    return SearchResult(folder).report() if RunFolder(folder).is_search else TrainedRun(folder).report()


@isolated_generators()
def diagnose(
    model: nn.Module,
    data: tuple[torch.Tensor, torch.Tensor] | Iterable[Any],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    optimizer: torch.optim.Optimizer,
    *,
    steps: int = 200,
) -> Diagnosis:
    """Train a copy of any network for a few steps, report what is wrong with the training, and try the remedies.

    See `yisheng.diagnosis.examination.examine`; for a run folder use `TrainedRun.diagnose`.

    Args:
        model: the network; it is not changed.
        data: inputs and targets, or an iterable of batches ``x, y``.
        loss: a function of outputs and targets.
        optimizer: of the network's parameters.
        steps: number of steps.

    Raises:
        UsageError: network, data, loss and optimizer do not fit one another.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2), torch.nn.Softmax(1))
    >>> data = torch.randn(64, 2), torch.zeros(64, dtype=torch.long)
    >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> diagnose(net, data, torch.nn.functional.cross_entropy, sgd, steps=5).findings[0].check
    'loss-pairing'
    """
    from yisheng.diagnosis.examination import examine

    return examine(model, data, loss, optimizer, steps=steps)


@isolated_generators()
@publish_at_end()
def resume(
    path: str | Path,
    *,
    epochs: int | None = None,
    force: bool = False,
    data: Any = None,
    validation: Any = None,
    test: Any = None,
    options: Mapping[str, Any] | None = None,
    callbacks: Sequence[EventCallback] = (),
    processes: int | Literal["auto"] | None = None,
    cluster: str | None = None,
    quiet: bool = False,
    **components: Unpack[OwnComponents],
) -> TrainedRun:
    """Continue a run that was stopped or killed; see `yisheng.experiments.dispatch.resume`.

    Components of your own are given again, under the keys that the training had them under (``model=Net``): a run
    folder holds their names, and code is imported only when you name it. So is data in memory: plain options such as
    ``target`` are in the folder, objects are not.

    Args:
        path: the folder.
        epochs: a larger number of epochs than the run began with.
        force: continue although the data or the versions of the code changed.
        data: the object that the run was trained on, if the config cannot name it.
        validation: the object with the rows to validate on, if there was one.
        test: that with the rows to test on, likewise.
        options: options of the data that are no plain values, as ``{"sample_weight": array}``.
        callbacks: as for `train`.
        processes: as for `train`; the number may differ from that of the beginning.
        cluster: for a search, a cross-validation or an ensemble, as for `tune`.
        quiet: show no messages and no progress.
        **components: components of your own.

    Raises:
        UsageError: an argument has the wrong type, or the run cannot be continued as it began.
        DataError: this is not a run folder, or the data changed.

    >>> import tempfile
    >>> run = train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> len(resume(run.path, epochs=2, quiet=True).history)
    2
    """
    from yisheng.experiments import dispatch, watch
    from yisheng.experiments.memory_data import load_again

    if epochs is not None and (isinstance(epochs, bool) or not isinstance(epochs, int)):
        raise UsageError(f"epochs must be a whole number, got {epochs!r}", "give epochs=20")
    folder = parse_run_path(path, "path", writes=True)
    with supply_components(**gather_components(**components)), show_on_stderr(quiet=quiet), watch.watch_resumed(folder):
        dataset = load_again(folder, data, validation=validation, test=test, **(options or {}))
        dispatch.resume(
            folder,
            epochs=epochs,
            force=force,
            data=dataset,
            event_callbacks=tuple(callbacks),
            processes=processes,
            cluster=cluster,
        )
    _copy_weights_back(folder, components.get("model"))
    return TrainedRun(folder, dataset, components.get("model"))


@isolated_generators()
def reproduce(path: str | Path, *, force: bool = False, data: Any = None, quiet: bool = False) -> Reproduction:
    """Train again by a run's config and compare the results; see `yisheng.experiments.reproduce.reproduce`.

    Args:
        path: the folder of a run.
        force: train although the data or the versions of the code changed.
        data: the object that the run was trained on, if the config cannot name it.
        quiet: show no messages and no progress.

    Raises:
        DataError: it is not a run folder, or the data changed.
        UsageError: the code changed.

    >>> import tempfile
    >>> run = train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> reproduce(run.path, quiet=True).identical
    True
    """
    from yisheng.experiments import reproduce as reproducing
    from yisheng.experiments.memory_data import load_again

    folder = parse_path(path, "path")
    with show_on_stderr(quiet=quiet):
        return reproducing.reproduce(folder, force=force, data=load_again(folder, data))


def config(*, config: str | Path | None = None, data: Any = None, **settings: Unpack[Settings]) -> dict[str, Any]:
    """Return the config that `train` would use with the same arguments, as plain data; nothing is trained.

    Args:
        config: a config in TOML.
        data: as for `train`.
        **settings: as for `train`.

    Raises:
        UsageError: an unknown key or name, or a value that is not allowed.

    >>> config(model="mlp", lr=0.1)["optimizer"]
    {'name': 'auto', 'lr': 0.1}
    """
    _, keywords = _separate_dataset(config, data, gather_settings(**settings))
    return merge_settings(_collect_settings(config, keywords)).config.to_dict()


def runs(
    *folders: str | Path,
    conditions: str | Sequence[str] = (),
    sort: str | None = None,
    n: int | None = None,
    **patterns: str,
) -> RunTable:
    """Return the runs, cross-validations and searches of folders, a list that prints as a table.

    Args:
        *folders: folders of runs; ``runs`` by default.
        conditions: comparisons of scores or numbers that must hold, as ``"accuracy>0.9"``.
        sort: a score, the best first, or a column; with ``-`` before it the other way round. The newest first by
            default.
        n: number of runs at most.
        **patterns: patterns of the columns ``data``, ``model``, ``name``, ``state`` and ``kind``, as
            ``data="fashion*"``.

    Raises:
        UsageError: an unknown key or score, or a comparison that is none.
        DataError: a folder does not exist.

    >>> import tempfile
    >>> out = tempfile.mkdtemp()
    >>> run = train(data="iris", epochs=1, out=out, name="first", quiet=True)
    >>> [(entry.number, entry.name, entry.state, entry.total) for entry in runs(out, data="iris")]
    [(1, 'first', 'finished', 1)]
    >>> runs(out).to_frame()["test.accuracy"].between(0, 1).all()
    np.True_
    """
    from yisheng.experiments.run_folders.table import list_runs

    return list_runs(
        [parse_path(folder, "folder") for folder in folders],
        patterns=patterns,
        conditions=[conditions] if isinstance(conditions, str) else conditions,
        sort=sort,
        n=n,
    )


def env() -> dict[str, Any]:
    """Return facts about this machine, and ``advice`` on what is missing; see `yisheng.experiments.environment`.

    >>> {"torch", "cores", "advice"} <= env().keys()
    True
    """
    from yisheng.experiments.environment import advise, collect_facts

    machine = collect_facts()
    return {**machine, "advice": advise(machine)}


@isolated_generators()
def explain(name: str, *, out: str | Path | None = None) -> Explanation:
    """Return a concept: its equation, the code from scratch, the library's call, when to use it; prints as text.

    Args:
        name: the concept; ``yisheng explain`` lists them.
        out: file for its image (.png, .svg, .pdf).

    Raises:
        UsageError: there is no such concept, or no image of it.
        StorageError: the image cannot be written.

    >>> explain("sgd").equation
    'w ← w − lr (g + λ w)'
    """
    from yisheng.experiments import explain as explaining

    if not isinstance(name, str):
        raise UsageError(f"a concept is named by text, got {type(name).__name__}", 'write yisheng.explain("adam")')
    explanation = explaining.explain(name)
    if out is not None:
        explanation.draw(parse_out_path(out))
    return explanation


def _copy_weights_back(folder: Path, network: Any) -> None:
    """Load a run's best weights into the user's network, if the run was given one rather than its class."""
    if network is None or isinstance(network, str | type):
        return
    from torch import nn

    from yisheng.models.weights import read_weights

    if isinstance(network, nn.Module):
        weights = read_weights(RunFolder(folder).file(RunFolder.WEIGHTS))
        without_place = network.load_state_dict(weights, strict=False).unexpected_keys
        if without_place:  # layers that the network creates in its first forward pass
            logger.info(
                Message("the given network has no {names}; use run.model, which has", names=", ".join(without_place))
            )


def _separate_dataset(
    config: str | Path | None, data: Any, settings: Mapping[str, Any]
) -> tuple[Dataset | None, dict[str, Any]]:
    """Return the data set in memory, if data is an object, and the settings with ``data``."""
    from yisheng.experiments.memory_data import separate_data

    def file_keys() -> set[str]:
        return {key for key, _, _ in _collect_settings(config, {})}

    return separate_data(data, settings, names_model=config is not None, file_keys=file_keys)


def _collect_settings(config: str | Path | None, settings: Mapping[str, Any]) -> list[Setting]:
    """Return the settings of a config file, then those from Python."""
    from_file = [] if config is None else read_settings(parse_path(config, "config"))
    return [*from_file, *keyword_settings(settings)]


for _function, _keywords in (
    (train, SETTINGS),
    (fit, SETTINGS),
    (tune, SEARCH_SETTINGS),
    (lr_find, COMMON_SETTINGS),
    (config, SETTINGS),
    (resume, OWN_COMPONENTS),
):
    declare_keywords(_function, _keywords)
