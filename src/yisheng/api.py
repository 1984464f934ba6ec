"""The verbs as Python functions, in the same words as on the command line."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.core import config as configs
from yisheng.core import machine
from yisheng.core.errors import DataError, UsageError
from yisheng.core.types import Dataset, Run, Scores

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from yisheng.diagnosis.ranking import Diagnosis
    from yisheng.experiments.explain import Explanation
    from yisheng.experiments.export import Exported
    from yisheng.experiments.reproduce import Reproduction
    from yisheng.inference.predictor import Answer, Inputs, Predictor
    from yisheng.reporting.findings_schema import Findings


machine.prepare_threads()  # before the first import of torch, where that is still to come


class TrainedRun:
    """A run folder, a study of k folds, or the run of a search's chosen setting, and what can be done with it.

    A folder with nothing but the files that prediction reads (see docs/predictor.md) will do for `predict` and
    `outputs`; all else says what is missing.

    Args:
        path: the folder.

    Raises:
        DataError: the search is not finished.
    """

    def __init__(self, path: str | Path) -> None:
        from yisheng.inference import ensemble

        self.path = ensemble.chosen(folder_of(path, "the run"))
        """The run folder."""

    @functools.cached_property
    def run(self) -> Run:
        """The folder, read when it is first asked for.

        Raises:
            DataError: a file is damaged, or the folder holds only what prediction needs.
        """
        from yisheng.core import run_folder
        from yisheng.experiments.cross_validation import train_folds as cross

        if not os.path.lexists(self.path / run_folder.CONFIG):
            raise DataError(
                f"{self.path} has no {run_folder.CONFIG}: it holds no more than prediction needs",
                "take the whole run folder for its config, scores and report",
            )
        return cross.run(self.path) if cross.is_study(self.path) else run_folder.run(self.path)

    @functools.cached_property
    def predictor(self) -> Predictor:
        """The model; read once, when it is first asked for."""
        from yisheng.inference.predictor import Predictor

        return Predictor(self.path)

    @property
    def scores(self) -> Scores:
        """Scores by part (``test``, ``validation``, ``baseline``; of a study ``out_of_fold`` too) and metric."""
        return self.run.scores

    def predict(self, inputs: str | Path | Inputs) -> list[Answer]:
        """Answers for images, CSV files, an array or a DataFrame; see `deploy.predictor.Predictor.predict`."""
        return self.predictor.predict([inputs] if isinstance(inputs, str | Path) else inputs)

    def outputs(self, inputs: str | Path | Inputs) -> np.ndarray:
        """Probabilities ``(N, C)``, columns in the order of ``predictor.spec.classes``, or values ``(N, T)``."""
        return self.predictor.values([inputs] if isinstance(inputs, str | Path) else inputs)

    def evaluate(self, data: Dataset | None = None, *, force: bool = False) -> Scores:
        """Score the best weights again; see `yisheng.experiments.evaluate.evaluate`."""
        from yisheng.experiments.evaluate import evaluate

        return evaluate(self.path, data, force=force)

    def diagnose(self, *, data: bool | Dataset = False) -> Findings:
        """What the doctor says of it; with ``data`` of its rows, too. Printed by `yisheng.experiments.diagnose.text`."""
        from yisheng.experiments.diagnose import diagnose

        return diagnose(self.path, data=data)

    def export(self, *, format: str = "onnx", out: str | Path | None = None, force: bool = False) -> Exported:
        """Write the model as one file for other programs; see `yisheng.experiments.export.export`."""
        return export(self.path, format=format, out=out, force=force)

    def report(self) -> Path:
        """Write ``report.html`` again; gives its path."""
        from yisheng.experiments.evaluate import report

        assert self.run  # what is missing shows here
        return report(self.path)

    def __repr__(self) -> str:
        return f"TrainedRun({str(self.path)!r})"


def train(
    *,
    config: str | Path | None = None,
    data: str | Dataset | Mapping[str, Any] | None = None,
    out: str | Path = "runs",
    quiet: bool = False,
    fix: bool = False,
    **settings: Any,
) -> TrainedRun:
    """Train by a config file, settings, or both (settings win); gives the run.

    Args:
        config: a config in TOML.
        data: name of a data set, a mapping with ``name`` and options, or a `Dataset` in memory.
        out: folder in which the run's folder is made.
        quiet: show no progress.
        fix: apply the doctor's first remedy, train again, and give the better run; see `yisheng.experiments.fix`.
        **settings: any key of the config or option of its choices (``model="mlp"``, ``hidden=[64]``,
            ``lr=0.1``), or a mapping with ``name`` and options for a choice.

    Raises:
        UsageError: an unknown key or name, or a value that is not allowed.
        DataError: the data cannot be read.
        NonFiniteError: the loss became NaN or infinite.

    >>> import tempfile
    >>> run = train(data="iris", epochs=2, out=tempfile.mkdtemp(), quiet=True)
    >>> sorted(run.scores)
    ['baseline', 'test', 'validation']
    """
    from yisheng.experiments import watch
    from yisheng.experiments.fix import train as train_and_fix
    from yisheng.experiments.run import train as live

    if not (data is None or isinstance(data, str | Dataset | Mapping)):
        raise UsageError(
            f"data must be the name of a data set, a mapping with name, or a Dataset; got {type(data).__name__}",
            "make one: yisheng.Dataset(name, yisheng.Spec(...), x, y)",
        )
    in_memory = data if isinstance(data, Dataset) else None
    if data is not None:
        settings = {"data": configs.IN_MEMORY if in_memory else data, **settings}
    folder = folder_of(out, "out")
    read = configs.read(folder_of(config, "config")) if config is not None else []
    resolved = configs.resolve([*read, *given(settings)])
    stream = io.StringIO() if quiet else sys.stderr
    with watch.beside(folder, stream) if resolved.config.watch else contextlib.nullcontext():
        return TrainedRun((train_and_fix if fix else live)(resolved.config, data=in_memory, out=folder, stream=stream))


def load(path: str | Path) -> TrainedRun:
    """A run folder that was trained before, or one with nothing but the files that prediction reads.

    Nothing is unpickled, and no code but this package's is run (and a plugin's, where its network is one's own).

    Raises:
        DataError: it is no run folder, a file in it is damaged or not the one that was saved, or the network is a
            plugin's that is not there.
    """
    found = TrainedRun(path)
    assert found.predictor  # what is wrong with it shows here
    return found


def predict(path: str | Path, inputs: str | Path | Inputs) -> list[Answer]:
    """``load(path).predict(inputs)``."""
    return load(path).predict(inputs)


def export(
    path: str | Path,
    *,
    format: str = "onnx",
    out: str | Path | None = None,
    force: bool = False,
    data: Dataset | None = None,
) -> Exported:
    """Write a trained model as one file for other programs; see `yisheng.experiments.export.export`.

    Raises:
        UsageError: the format is unknown, or the file is there already.
        DataError: it is no run folder, or the file would answer other than the run.
        MissingPartError: the format needs an extra that is not installed.
    """
    from yisheng.experiments.export import export as write

    file = None if out is None else folder_of(out, "out")
    return write(folder_of(path, "path"), format=format, out=file, force=force, data=data)


def evaluate(path: str | Path, data: Dataset | None = None) -> Scores:
    """Score a run again; see `TrainedRun.evaluate`."""
    return TrainedRun(path).evaluate(data)


def report(path: str | Path) -> Path:
    """Write the ``report.html`` of a run, a study of k folds or a search again; gives its path.

    Raises:
        DataError: it is no such folder, or a file in it is damaged.
    """
    from yisheng.experiments.search import run_search as tune

    folder = folder_of(path, "path")
    return tune.report(folder) if tune.is_search(folder) else TrainedRun(folder).report()


def diagnose(
    model: nn.Module,
    data: tuple[torch.Tensor, torch.Tensor] | Iterable[Any],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    optimizer: torch.optim.Optimizer,
    *,
    steps: int = 200,
) -> Diagnosis:
    """Train a copy of anyone's network for a few steps, say what is wrong with it, and try the remedies.

    See `yisheng.diagnosis.examination.examine`. Of a run folder ``yisheng diagnose RUN`` tells.

    Raises:
        UsageError: these are no network, data, loss and optimiser that fit one another.
    """
    from yisheng.diagnosis.examination import examine

    return examine(model, data, loss, optimizer, steps=steps)


def folder_of(value: Any, what: str) -> Path:
    """A path that was given in Python.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(value, str | os.PathLike) or "\0" in os.fspath(value):
        raise UsageError(f"{what} must be a path, got {value!r}", "give the path as text or as a pathlib.Path")
    return Path(value)


def resume(
    path: str | Path,
    *,
    epochs: int | None = None,
    force: bool = False,
    data: Dataset | None = None,
    quiet: bool = False,
) -> TrainedRun:
    """Continue a run that was stopped or killed; see `yisheng.experiments.run.resume`.

    Raises:
        UsageError: an argument is of the wrong kind, or the run cannot go on as it began.
        DataError: this is no run folder, or the data changed.
    """
    from yisheng.experiments import watch
    from yisheng.experiments.run import resume as live

    if epochs is not None and (isinstance(epochs, bool) or not isinstance(epochs, int)):
        raise UsageError(f"epochs must be a whole number, got {epochs!r}", "give epochs=20")
    stream = io.StringIO() if quiet else sys.stderr
    folder = folder_of(path, "path")
    with watch.resumed(folder, stream):
        return TrainedRun(live(folder, epochs=epochs, force=force, data=data, stream=stream))


def reproduce(
    path: str | Path, *, force: bool = False, data: Dataset | None = None, quiet: bool = False
) -> Reproduction:
    """Train again by a run's config and say whether it came out the same; see `yisheng.experiments.reproduce`."""
    from yisheng.experiments.reproduce import reproduce as live

    return live(folder_of(path, "path"), force=force, data=data, stream=io.StringIO() if quiet else sys.stderr)


def config(*, config: str | Path | None = None, **settings: Any) -> dict[str, Any]:
    """The config that `train` would take with the same words, as plain data; nothing is trained.

    Raises:
        UsageError: an unknown key or name, or a value that is not allowed.

    >>> config(model="mlp", lr=0.1)["optimizer"]
    {'name': 'auto', 'lr': 0.1}
    """
    settings_of_file = configs.read(folder_of(config, "config")) if config is not None else []
    return configs.resolve([*settings_of_file, *given(settings)]).config.to_dict()


def env() -> dict[str, Any]:
    """What this machine is good for, with ``advice`` on what is missing; see `yisheng.experiments.environment`."""
    from yisheng.experiments.environment import advice, facts

    found = facts()
    return {**found, "advice": advice(found)}


def explain(name: str, *, out: str | Path | None = None) -> Explanation:
    """A concept: equation, hand-written lines, usual call, when to use it; printed, it is a page of text.

    Args:
        name: the concept; ``yisheng explain`` lists them.
        out: file for its image (.png, .svg, .pdf).

    Raises:
        UsageError: there is no such concept, or no image of it.
        StorageError: the image cannot be written.

    >>> explain("sgd").equation
    'w ← w − lr (g + wd w)'
    """
    from yisheng.experiments.explain import explain as tell

    if not isinstance(name, str):
        raise UsageError(f"a concept is named by text, got {type(name).__name__}", 'say yisheng.explain("adam")')
    told = tell(name)
    if out is not None:
        told.draw(folder_of(out, "out"))
    return told


def given(settings: Mapping[str, Any]) -> Iterator[configs.Setting]:
    """Settings that were given in Python, a mapping as a name and its options.

    Raises:
        UsageError: a mapping has no name.
    """
    for key, value in settings.items():
        if isinstance(value, Mapping):
            if "name" not in value:
                raise UsageError(f"{key} must have a name, got {dict(value)!r}", f'write {key}={{"name": ..., ...}}')
            yield key, value["name"], "command line"
            yield from ((f"{key}.{option}", v, "command line") for option, v in value.items() if option != "name")
        else:
            yield key, value, "command line"
