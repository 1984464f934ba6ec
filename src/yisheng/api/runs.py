"""Run folders: list them, load one, continue it, train it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from yisheng.api.arguments import EventCallback, copy_weights_back, list_callbacks
from yisheng.core.errors import UsageError
from yisheng.core.logging import show_on_stderr
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path, parse_run_path
from yisheng.core.remote.sessions import publish_at_end
from yisheng.core.seeds import isolated_generators
from yisheng.core.setting_types import OWN_COMPONENTS, gather_components
from yisheng.core.signatures import declare_keywords
from yisheng.core.supplied_components import supply_components
from yisheng.results import TrainedRun

if TYPE_CHECKING:
    from yisheng.core.setting_types import OwnComponents
    from yisheng.experiments.reproduce import Reproduction
    from yisheng.experiments.run_folders.table import RunTable


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

    >>> import tempfile, yisheng
    >>> out = tempfile.mkdtemp()
    >>> run = yisheng.train(data="iris", epochs=1, out=out, name="first", quiet=True)
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

    >>> import tempfile, yisheng
    >>> run = yisheng.train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> load(run.path).predictor.spec.classes
    ('setosa', 'versicolor', 'virginica')
    """
    run = TrainedRun(path, model=model)
    assert run.predictor  # reading it raises an error if a file is damaged
    return run


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

    >>> import tempfile, yisheng
    >>> run = yisheng.train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> len(resume(run.path, epochs=2, quiet=True).history)
    2
    """
    from yisheng.experiments import dispatch, watch
    from yisheng.experiments.memory_data import load_again

    if epochs is not None and (isinstance(epochs, bool) or not isinstance(epochs, int)):
        raise UsageError(f"epochs must be a whole number, got {epochs!r}", "give epochs=20")
    folder = parse_run_path(path, "path", writes=True)
    supplied = _require_components(gather_components(**components))
    with supply_components(**supplied), show_on_stderr(quiet=quiet), watch.watch_resumed(folder):
        dataset = load_again(folder, data, validation=validation, test=test, **(options or {}))
        dispatch.resume(
            folder,
            epochs=epochs,
            force=force,
            data=dataset,
            event_callbacks=list_callbacks(callbacks),
            processes=processes,
            cluster=cluster,
        )
    copy_weights_back(folder, components.get("model"))
    return TrainedRun(folder, dataset, components.get("model"))


@isolated_generators()
def reproduce(
    path: str | Path,
    *,
    force: bool = False,
    data: Any = None,
    validation: Any = None,
    test: Any = None,
    options: Mapping[str, Any] | None = None,
    quiet: bool = False,
    **components: Unpack[OwnComponents],
) -> Reproduction:
    """Train again by a run's config and compare the results; see `yisheng.experiments.reproduce.reproduce`.

    Args:
        path: the folder of a run.
        force: train although the data or the versions of the code changed.
        data: the object that the run was trained on, if the config cannot name it.
        validation: as for `resume`.
        test: likewise.
        options: likewise.
        quiet: show no messages and no progress.
        **components: components of your own, as for `resume`.

    Raises:
        DataError: it is not a run folder, or the data changed.
        UsageError: the code changed.

    >>> import tempfile, yisheng
    >>> run = yisheng.train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> reproduce(run.path, quiet=True).identical
    True
    """
    from yisheng.experiments import reproduce as reproducing
    from yisheng.experiments.memory_data import load_again

    folder = parse_path(path, "path")
    with supply_components(**_require_components(gather_components(**components))), show_on_stderr(quiet=quiet):
        dataset = load_again(folder, data, validation=validation, test=test, **(options or {}))
        return reproducing.reproduce(folder, force=force, data=dataset)


def _require_components(components: Mapping[str, Any]) -> dict[str, Any]:
    """Return components of the user's own; the function of ``score=`` is one of ``metrics``.

    Raises:
        UsageError: another setting is given.
    """
    by_key = dict(components)
    if "score" in by_key:
        metrics = by_key.get("metrics") or []
        metrics = metrics if isinstance(metrics, list | tuple) else [metrics]
        by_key["metrics"] = [*metrics, by_key.pop("score")]
    for key in by_key:
        if key not in OWN_COMPONENTS:
            raise UsageError(
                Message("{key}= cannot be changed: a run keeps its settings", key=key),
                Message("leave {key} out, or train a new run with it", key=key),
            )
    return by_key


declare_keywords(resume, OWN_COMPONENTS)
declare_keywords(reproduce, OWN_COMPONENTS)
