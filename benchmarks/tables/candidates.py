"""Measure the candidates of an ensemble and their weighted mean on several tables, without a limit of time.

    python benchmarks/tables/candidates.py data=FOLDER cache=FOLDER [tables=nine|ten|pima,wine] [folds=5]
                                           [candidates=boosting,linear] [without=kernel,lasso] [threads=1]

Every candidate is trained without each fold of the rows to its end, and predicts that fold; the predictions are kept in
`cache=` by the settings of the candidate, so that a later call trains only what changed. Delete it after a change
of a model. The errors are the RMSE in units of the target's standard deviation, the RMSE of the logarithm, or the log
loss, all out of fold. The weights of the ensemble are chosen for each fold by the other folds. `without=` leaves
candidates out of a second ensemble, and prints its error relative to the first one.

A candidate early-stops by the fold that it predicts, as in a training, so that all errors are a little too small; those
of two ensembles can be compared.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import time
from pathlib import Path

from yisheng.core.process import prepare

prepare()

import numpy as np  # noqa: E402
import torch  # noqa: E402

from tables import TABLES, list_names  # noqa: E402
from yisheng.core import registry  # noqa: E402
from yisheng.core.choice import Choice  # noqa: E402
from yisheng.core.config import Config  # noqa: E402
from yisheng.core.dataset import Dataset, Split  # noqa: E402
from yisheng.data import tables as readers  # noqa: E402
from yisheng.evaluation.scorer import make_scorer  # noqa: E402
from yisheng.models import lightgbm  # noqa: E402
from yisheng.models.ensemble import CANDIDATES  # noqa: E402
from yisheng.training.fit_assembly import fit_assembly  # noqa: E402
from yisheng.training.portfolio.candidates import Candidate, has_texts_and_columns, make_candidate  # noqa: E402
from yisheng.training.portfolio.fit_member import Limits, fit_member  # noqa: E402
from yisheng.training.portfolio.fold_data import FoldData, make_fold_data  # noqa: E402
from yisheng.training.portfolio.outcome import Outcome  # noqa: E402
from yisheng.training.portfolio.target_encoding import list_encoded_columns  # noqa: E402
from yisheng.training.portfolio.weights import choose_weights  # noqa: E402
from yisheng.training.setup import assemble  # noqa: E402

CPU = torch.device("cpu")
MAX_ROWS = 5000
"""Rows of a table at most, drawn at random."""


def main(words: list[str]) -> None:
    """Train what the cache does not have, and print the errors."""
    options = dict(word.split("=", 1) for word in words)
    torch.set_num_threads(int(options.get("threads", 1)))
    data, cache = Path(options.get("data", ".")), Path(options["cache"])
    cache.mkdir(parents=True, exist_ok=True)
    names = options["candidates"].split(",") if "candidates" in options else list(CANDIDATES)
    without = options["without"].split(",") if "without" in options else []
    ratios = []
    for table in list_names(options.get("tables")):
        frame = TABLES[table](data)
        outcome = make_outcome(table, data, int(options.get("folds", 5)))
        results = {name: train(name, table, outcome.rows, cache) for name in names}
        predictions = {name: values for name, values in results.items() if values is not None}
        scale = "log-rmse" if frame.score == "log-rmse" else "rmse"
        outcome = Outcome(outcome.config.model_copy(update={"score": scale}), outcome.spec, outcome.rows)
        print(f"\n{table}, {len(outcome.rows.data):,} rows, {outcome.rows.data.x.shape[1]} columns")
        for name, prediction in predictions.items():
            seconds = json.loads(_cache_path(name, table, outcome.rows, cache).with_suffix(".json").read_text())
            print(f"  {name:28} {compute_error(outcome, [prediction]):.5f}  {seconds:7.1f} s", flush=True)
        error = compute_error(outcome, list(predictions.values()))
        remaining = [values for name, values in predictions.items() if name not in without]
        ratio = compute_error(outcome, remaining) / error if without and remaining else 1.0
        ratios.append(ratio)
        print(f"  {'ensemble':28} {error:.5f}  without {','.join(without) or 'none'}: {ratio:.4f} times as large")
    print(f"\nmean ratio {np.mean(ratios):.4f}, from {min(ratios):.4f} to {max(ratios):.4f}")


def make_outcome(table: str, data: Path, folds: int) -> Outcome:
    """Return the rows of a table in folds."""
    source = TABLES[table](data)
    frame = source.rows
    if len(frame) > MAX_ROWS:
        frame = frame.sample(MAX_ROWS, random_state=0) if not source.in_time else frame[-MAX_ROWS:]
    task = "classification" if source.score == "accuracy" else "regression"
    dataset: Dataset = readers.from_frame(frame.reset_index(drop=True), target=source.target, task=task)
    none = np.zeros(0, np.int64)
    config = Config(
        data=Choice(name="arrays"),
        model=Choice(name="ensemble"),
        budget=None,
        split="contiguous" if source.in_time else "auto",
    )
    assembly = assemble(config, dataset, Split(np.arange(len(dataset)), none, none), CPU)
    return Outcome(assembly.config, assembly.spec, make_fold_data(assembly, folds))


def _find_candidate(name: str, rows: FoldData) -> Candidate:
    return make_candidate(name, rows.data.spec, len(rows.data), lightgbm=lightgbm.PACKAGE.is_installed())


def _cache_path(name: str, table: str, rows: FoldData, cache: Path) -> Path:
    """Return the file of a candidate's predictions, whose name depends on its settings."""
    settings = repr((_find_candidate(name, rows), len(rows.folds), rows.data.x.shape))
    return cache / f"{table}-{name}-{hashlib.sha256(settings.encode()).hexdigest()[:12]}.npy"


def train(name: str, table: str, rows: FoldData, cache: Path) -> np.ndarray | None:
    """Return the out-of-fold predictions of a candidate, or None if it does not fit the table."""
    path = _cache_path(name, table, rows, cache)
    if path.is_file():
        cached: np.ndarray = np.load(path)
        return cached
    candidate, spec = _find_candidate(name, rows), rows.data.spec
    fits = registry.find("models", candidate.model).meta["fits"](spec)
    has_texts = has_texts_and_columns(spec)
    is_encoded = not candidate.encodes_targets or list_encoded_columns(spec)
    if candidate.model == "tabicl" or not (fits and is_encoded and (has_texts or not candidate.needs_texts)):
        return None
    fit = functools.partial(fit_assembly, make_scorer=make_scorer)
    width = max(2, len(spec.classes)) if spec.task == "classification" else spec.outputs
    predictions = np.full((len(rows.data), width), np.nan, np.float32)
    config = candidate.make_config(Config(data=Choice(name="arrays"), budget=None))
    limits = Limits(np.inf, candidate.min_epochs, np.inf, 1)
    start = time.process_time()
    for fold in rows.folds:
        member = fit_member(config, rows.data, fold, spec, CPU, fit, limits, encodes_targets=candidate.encodes_targets)
        predictions[fold.validation] = member.out_of_fold.numpy()
    path.with_suffix(".json").write_text(json.dumps(time.process_time() - start))
    np.save(path, predictions)
    return predictions


def compute_error(outcome: Outcome, predictions: list[np.ndarray]) -> float:
    """Return the error of the mean, whose weights are chosen for each fold by the others."""
    folds = outcome.rows.validation_rows
    rows = np.sort(np.concatenate(folds))
    problem = outcome.make_problem([prediction[rows] for prediction in predictions], rows)
    places = [np.searchsorted(rows, np.sort(fold)) for fold in folds]
    losses = np.empty(len(rows))
    for number, held_out in enumerate(places):
        fitting_places = [place for i, place in enumerate(places) if i != number]
        fitting_rows = np.sort(np.concatenate(fitting_places))
        fitting = problem.take(fitting_rows)
        fitting_folds = [np.searchsorted(fitting_rows, place) for place in fitting_places]
        weights = choose_weights(fitting, fitting_folds, seed=0)
        losses[held_out] = problem.take(held_out).row_losses(weights)
    error = float(losses.mean())
    return error**0.5 if outcome.spec.task == "regression" else error


if __name__ == "__main__":
    main(sys.argv[1:])
