"""Judge a trained model: its scores, its report, and the doctor's findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.api.training import train
from yisheng.core.errors import UsageError
from yisheng.core.paths import parse_out_path, parse_path, parse_run_path
from yisheng.core.remote.sessions import publish_at_end
from yisheng.core.run_folder import RunFolder
from yisheng.core.seeds import isolated_generators
from yisheng.core.supplied_components import supply_components
from yisheng.results import SearchResult, TrainedRun

if TYPE_CHECKING:
    import torch
    from torch import nn

    from yisheng.diagnosis.ranking import Diagnosis
    from yisheng.experiments.comparison import Comparison
    from yisheng.experiments.other_data.result import Evaluation


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

    if isinstance(run, TrainedRun) and model is None:  # it has its data and network
        with supply_components(metrics=metrics):
            return run.evaluate(data, **options)
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
def compare(*runs: Any, score: str | None = None, out: str | Path | None = None, data: Any = None) -> Comparison:
    """Compare runs: their scores, what differs in their configs, and whether the difference is real; prints as text.

    Each is compared with the first. Cross-validations with the same folds are compared fold by fold; two single runs
    cannot show which one is really better.

    Args:
        *runs: two or more runs, cross-validations, or their folders; a list for runs that differ only in their seed.
        score: the score to compare; by default the one that chose the weights of the first.
        out: file for the curves over the epochs: .html with the whole comparison, .svg or .png.
        data: the object that the runs were trained on, if their configs cannot name it; a run that `train` returned
            has it.

    Raises:
        UsageError: fewer than two are given, a group differs in more than its seed, or there is no such score.
        DataError: a folder is not a finished run, or damaged.
        StorageError: the file cannot be written.

    >>> import tempfile
    >>> settings = {"data": "iris", "folds": 3, "epochs": 2, "out": tempfile.mkdtemp(), "quiet": True}
    >>> comparison = compare(train(model="linear", **settings), train(model="mlp", **settings))
    >>> comparison.differing["model"], comparison.tests[0].outcome in ("better", "worse", "unclear")
    (('linear', 'mlp'), True)
    """
    from yisheng.experiments.compare import compare as compare_runs
    from yisheng.experiments.compare import draw_comparison, require_drawable
    from yisheng.experiments.memory_data import load_again

    file = None if out is None else parse_out_path(out)
    if file is not None:
        require_drawable(file)
    groups = [list(group) if isinstance(group, list | tuple) else [group] for group in runs]
    folders = [[parse_path(run, "run") for run in group] for group in groups]
    members = [run for group in groups for run in group]
    dataset = next((run.dataset for run in members if isinstance(run, TrainedRun) and run.dataset is not None), None)
    if data is not None and members:
        dataset = load_again(parse_path(members[0], "run"), data)
    comparison = compare_runs(folders, score=score, data=dataset)
    if file is not None:
        draw_comparison(comparison, file)
    return comparison


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
