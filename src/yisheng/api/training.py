"""Train a model, in one call, in a loop of the user's, or by a search."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from yisheng.api.arguments import (
    EventCallback,
    collect_settings,
    copy_weights_back,
    list_callbacks,
    require_keywords,
    separate_dataset,
)
from yisheng.core.errors import UsageError
from yisheng.core.logging import show_on_stderr
from yisheng.core.paths import parse_runs_path
from yisheng.core.remote.sessions import publish_at_end
from yisheng.core.seeds import isolated_generators
from yisheng.core.setting_types import SEARCH_SETTINGS, SETTINGS, gather_search_settings, gather_settings
from yisheng.core.settings import merge_settings
from yisheng.core.signatures import declare_keywords
from yisheng.core.supplied_components import separate_components, supply_components
from yisheng.results import SearchResult, TrainedRun

if TYPE_CHECKING:
    from yisheng.core.setting_types import SearchSettings, Settings
    from yisheng.experiments.event_loop import Fit


@require_keywords
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
        dataset, keywords = separate_dataset(config, data, gather_settings(**settings))
    folder = parse_runs_path(out)
    merged = merge_settings(collect_settings(config, keywords)).config
    is_watched = merged.watch and is_first_process()
    page = watch.watch_training(folder) if is_watched else contextlib.nullcontext()
    with show_on_stderr(quiet=quiet), page:
        path = dispatch.train(
            merged,
            data=dataset,
            out=folder,
            fix=fix,
            event_callbacks=list_callbacks(callbacks),
            processes=processes,
            cluster=cluster,
        )
    if merged.folds is None:
        copy_weights_back(path, merged.model.component)
    return TrainedRun(path, dataset, merged.model.component)


@require_keywords
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

    dataset, keywords = separate_dataset(config, data, gather_settings(**settings))
    return Fit(merge_settings(collect_settings(config, keywords)).config, dataset)


@require_keywords
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
        dataset, keywords = separate_dataset(config, data, gather_search_settings(**settings))
    options = dict(search) if isinstance(search, Mapping) else {"name": search}
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise UsageError(f"search must be a name, got {name!r}", 'write search="random"')
    folder = parse_runs_path(out)
    plain, components = separate_components(collect_settings(config, keywords))
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


declare_keywords(train, SETTINGS)
declare_keywords(fit, SETTINGS)
declare_keywords(tune, SEARCH_SETTINGS)
