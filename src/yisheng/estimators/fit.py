"""Training in memory, without a run folder, for the many small fits of a search."""

from __future__ import annotations

from dataclasses import dataclass

from yisheng import transforms
from yisheng.core import machine
from yisheng.core.choice import AUTO
from yisheng.core.components import is_custom
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import UsageError
from yisheng.core.events import EpochEnd
from yisheng.core.logging import logger, progress_stream
from yisheng.core.messages import Message
from yisheng.core.resolved_config import ResolvedConfig, resolve_config
from yisheng.core.seeds import isolated_generators
from yisheng.data.split import hold_out
from yisheng.estimators.fitted_network import FittedNetwork
from yisheng.estimators.merge_rows import may_have_fewer_rows, merge_equal_rows
from yisheng.evaluation.scorer import make_scorer
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.pretrained import load_pretrained
from yisheng.training.progress import show_assembly_progress
from yisheng.training.setup import Assembly, assemble
from yisheng.training.threads import count_useful_threads

MIN_ROWS_TO_HOLD_OUT = 100
"""With fewer different rows ``validation=auto`` holds none out: 15 rows cannot distinguish two epochs."""


@dataclass(frozen=True)
class FitResult:
    """The result of `fit`.

    Args:
        network: with the weights of the best epoch.
        config: resolved.
        history: for each epoch its number, training loss, and validation scores if there is a validation part.
        best_epoch: from 1; the last one if no rows are held out.
    """

    network: FittedNetwork
    config: ResolvedConfig
    history: tuple[dict[str, float], ...]
    best_epoch: int


def fit(config: Config, dataset: Dataset) -> FitResult:
    """Train by a config on some rows; the global random generators are left unchanged.

    Args:
        config: any config; its ``data`` and ``test`` are ignored.
        dataset: all rows to learn from.

    Raises:
        UsageError: a choice does not fit the data.
        DataError: a value is missing or infinite where that is not allowed.
        NonFiniteError: the loss or a gradient became NaN or infinite.
    """
    if config.scratch:
        raise UsageError(
            Message("scratch=true compares two runs in their folders; estimators write no folders"),
            Message("use yisheng.train(...)"),
        )
    device = machine.select_device(config.device)
    config, pretrained = load_pretrained(config)
    config, dataset, split = split_rows(config, dataset)
    with isolated_generators(device):
        assembly = assemble(config, dataset, split, device, pretrained)
        with machine.use_threads(count_useful_threads(assembly)):
            history = _train(assembly)
    best = assembly.state.best
    network = FittedNetwork(
        assembly.config.model.name,
        dict(assembly.config.model.options),
        assembly.spec,
        {role: None if t is None else transforms.to_json(t) for role, t in assembly.transforms.items()},
        {name: value.cpu().numpy() for name, value in best.weights.items()},
        assembly.state.model.cpu() if is_custom(assembly.config.model) else None,
    )
    return FitResult(network, assembly.config, tuple(history), best.epoch)


def split_rows(config: Config, dataset: Dataset) -> tuple[Config, Dataset, Split]:
    """Return config, rows and parts; equal rows are merged into one if every update sees all rows.

    Merged, the result depends only on the set of rows and their weights: a row of weight 3 and one that occurs three
    times give the same model, to the bit, in any order. If batches are drawn or some rows are held out, the rows stay
    as they are.

    Args:
        config: its ``validation`` and ``batch`` may be auto; see `MIN_ROWS_TO_HOLD_OUT`.
        dataset: all rows to learn from.
    """
    is_auto = config.validation == AUTO
    merged = None
    if not config.validation or (is_auto and may_have_fewer_rows(dataset, MIN_ROWS_TO_HOLD_OUT)):
        merged = merge_equal_rows(dataset)
    if is_auto and merged is not None and len(merged) < MIN_ROWS_TO_HOLD_OUT:
        config = config.model_copy(update={"validation": 0})
    if not config.validation and merged is not None:
        batch = resolve_config(config, dataset.spec, len(merged)).batch
        dataset = merged if batch >= len(merged) else dataset
    split = hold_out(dataset, validation=config.validation, test=0, seed=config.seed, method=config.split)
    return config, dataset, split


def _train(assembly: Assembly) -> list[dict[str, float]]:
    """Run the loop to its end; return each epoch's losses and scores."""
    for note in assembly.notes:
        logger.info(note)
    events = fit_assembly(assembly, make_scorer)
    stream = progress_stream()
    if stream is not None:
        events = show_assembly_progress(events, assembly, stream)
    return [{"epoch": e.epoch, "training_loss": e.loss, **e.scores} for e in events if isinstance(e, EpochEnd)]
