"""Begin, resume and evaluate a cross-validation: one run per fold, stopped and resumed as one experiment."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from yisheng.core import machine
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError
from yisheng.core.logging import log_findings, logger
from yisheng.core.messages import Message
from yisheng.core.new_folder import require_space
from yisheng.core.references import short_name
from yisheng.core.run_environment import describe_environment
from yisheng.core.run_folder import RunFolder
from yisheng.core.score import Scores
from yisheng.data.fingerprint import fingerprint
from yisheng.experiments.cross_validation.fold_results import (
    read_fold_result,
    write_results,
)
from yisheng.experiments.cross_validation.folds import Fold, fold_config, plan_folds, shared_config
from yisheng.experiments.cross_validation.out_of_fold import score_cross_validation
from yisheng.experiments.cross_validation.training import CrossValidationTraining
from yisheng.experiments.evaluate import evaluate_run
from yisheng.experiments.groups import require_groups
from yisheng.experiments.load_data import load_dataset
from yisheng.inference import ensemble
from yisheng.reporting import run_page
from yisheng.search.executors.cluster import open_if_given, require_cluster
from yisheng.training.portfolio.plan import plan_ensemble
from yisheng.training.pretrained import load_pretrained
from yisheng.training.setup import Assembly, assemble


def train(config: Config, *, data: Dataset | None = None, out: Path, cluster: str | None = None) -> Path:
    """Train a model for each fold by a config with ``folds``; return the folder of the cross-validation.

    Each fold is a complete run in its own folder, the same to the bit as one trained with ``fold=2/5``. The data is
    read once.

    Args:
        config: every choice; ``auto`` is resolved for each fold.
        data: the data set, if the config cannot name it.
        out: folder of runs.
        cluster: where the folds are trained; see `yisheng.search.executors.cluster.require_cluster`. None for this
            process.

    Raises:
        ProcessError: the cluster cannot be reached, or a training was lost there again and again.
        StoppedError: a signal came; a checkpoint was written.
        NonFiniteError: a loss or gradient became NaN or infinite in one of the folds.
        StorageError: there is too little space on the disk, or it became full.
        UsageError: a choice does not fit the data, or another key contradicts the folds.
    """
    if config.scratch:
        raise UsageError(
            Message(
                "scratch=true compares two runs of one model, folds={folds} trains many models", folds=config.folds
            ),
            Message("use fold=1/{folds} for one of the folds, or leave scratch out", folds=config.folds),
        )
    if cluster is not None:
        require_cluster(cluster)
    load = functools.partial(load_dataset, config) if data is None else None
    data = load_dataset(config) if data is None else data
    require_groups(config, data.spec)
    folds = plan_folds(config, data)
    config, ensemble_notes = plan_ensemble(config, data.spec, len(data), len(folds))
    for note in ensemble_notes:
        logger.info(note)
    device = machine.select_device(config.device)
    named_config, weights = load_pretrained(config)
    first = assemble(
        fold_config(named_config, folds[0]), data, folds[0].split, device, weights
    )  # reports what is wrong
    weight_bytes = sum(value.nbytes for value in first.state.model.state_dict().values())
    require_space(out, len(folds) * weight_bytes)
    config = shared_config(config, first.config, data, folds)
    label = f"{short_name(config.model.name)}-{config.folds}-folds"
    environment = describe_environment(config, data, fingerprint(data), device)

    def begin(folder: RunFolder) -> None:
        write_results(folder, config, folds, {})
        folder.begin(config, environment)

    with open_if_given(cluster) as opened:
        folder = RunFolder.create(out, data.name, label, config.name, write=begin)
        with folder.lock():
            _log_beginning(config, data, folds, first)
            del first  # the models of the folds are built one by one
            CrossValidationTraining(folder, config, data, folds, opened, load).complete()
    return folder.path


def _log_beginning(config: Config, data: Dataset, folds: Sequence[Fold], first: Assembly) -> None:
    test_rows = len(folds[0].split.test)
    values = {
        "model": config.model.name,
        "data": data.name,
        "folds": config.folds,
        "repeats": config.repeats,
        "models": len(folds),
        "rows": f"{len(data) - test_rows:,}",
        "test": f"{test_rows:,}",
        "device": first.train.device,
    }
    if config.repeats > 1:
        about = Message(
            "{model} on {data}: {folds} folds x {repeats} repeats, {models} models ({rows} rows, {test} test rows) on "
            "{device}",
            **values,
        )
    else:
        about = Message(
            "{model} on {data}: {folds} folds, {models} models ({rows} rows, {test} test rows) on {device}", **values
        )
    logger.info(about)
    log_findings(data.findings)
    for note in first.notes:
        logger.info(note)


def resume(
    folder: Path,
    *,
    epochs: int | None = None,
    force: bool = False,
    data: Dataset | None = None,
    cluster: str | None = None,
) -> Path:
    """Continue a cross-validation: finished folds are kept, an interrupted one continues from its checkpoint.

    On a CPU it ends with the same scores and weights as if it had never stopped.

    Args:
        folder: of the cross-validation.
        epochs: refused: a cross-validation cannot be made longer.
        force: continue although the data or the versions of the code changed.
        data: the data set, if the config cannot name it.
        cluster: as in `train`, for the folds that have not begun.

    Raises:
        DataError: this is not a cross-validation, or the data changed.
        UsageError: the code changed, ``epochs`` is given, or another process is training in it.
    """
    run = RunFolder(folder)
    config = run.cross_validation_config
    if epochs is not None:
        command = f"yisheng train config={run.file(RunFolder.CONFIG)} epochs={epochs}"
        raise UsageError(
            Message("a cross-validation cannot be made longer"), Message("train again: {command}", command=command)
        )
    with run.lock():
        if run.environment.get("finished"):
            logger.info(
                Message(
                    "the cross-validation is finished: all {folds} folds are trained; nothing is to do",
                    folds=config.folds,
                )
            )
            return folder
        load = functools.partial(load_dataset, config) if data is None else None
        data = load_dataset(config) if data is None else data
        if not force:
            run.require_unchanged(fingerprint(data), config)
        folds = plan_folds(config, data)
        finished = sum(RunFolder(folder / fold.name).is_finished for fold in folds)
        values = {"folder": folder, "finished": finished, "folds": len(folds)}
        logger.info(Message("continuing {folder}: {finished} of {folds} folds are trained", **values))
        with open_if_given(cluster) as opened:
            CrossValidationTraining(run, config, data, folds, opened, load, force=force).complete()
    return folder


def evaluate(folder: Path, data: Dataset | None = None, *, groups: str | None = None) -> Scores:
    """Score the models of all folds and the cross-validation again; write scores and reports again.

    Args:
        folder: of a finished cross-validation.
        data: the data set, if the config cannot name it.
        groups: a column by whose values the scores are reported too, instead of that of the config.

    Raises:
        DataError: the cross-validation or its data cannot be read, or the data differs from the data of the training.
    """
    run = RunFolder(folder)
    config = run.cross_validation_config
    config = config if groups is None else config.model_copy(update={"groups": groups})
    ensemble.read_description(folder)  # reports an unfinished one
    data = load_dataset(config) if data is None else data
    require_groups(config, data.spec)
    folds = plan_folds(config, data)
    with run.lock():
        for fold in folds:
            evaluate_run(folder / fold.name, data, groups=groups)
        results = {fold.name: read_fold_result(RunFolder(folder / fold.name)) for fold in folds}
        write_results(run, config, folds, results)
        scores = score_cross_validation(run, config, data, folds)
        run_page.write_run_page(folder)
    return scores
