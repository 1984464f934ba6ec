"""``scratch=true``: train the library's form of a run from scratch, and measure how far the two are apart."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import torch

from yisheng.core import files
from yisheng.core.errors import DataError, NonFiniteError, StoppedError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.signals import defer_signals
from yisheng.experiments import resume_run, run
from yisheng.experiments.run_callbacks import CALLBACKS
from yisheng.experiments.run_training import RunResult
from yisheng.reporting import run_page
from yisheng.reporting.scratch_comparison_schema import Difference, ScratchComparison
from yisheng.training import checkpoint


def compare_with_library(scratch_run: RunResult, *, force: bool) -> None:
    """Train the library's form of a run from scratch in its folder ``library/``, or continue it; then compare the two.

    Both begin with the same weights and see the same batches in the same order; only the arithmetic differs. After
    the comparison the run from scratch is finished.

    Args:
        scratch_run: the run from scratch, trained and scored.
        force: continue although the data or the versions of the code changed.

    Raises:
        StoppedError: a signal came; a checkpoint was written.
        NonFiniteError: a loss or gradient of the library's form became NaN or infinite.
        DataError: a log is damaged, or there is no intact checkpoint to compare.
    """
    folder = scratch_run.folder
    with folder.lock():
        try:
            _train_library_form(scratch_run, force=force)
        except StoppedError as error:
            run_page.write_run_page(folder.path)
            raise StoppedError(
                error.signal,
                Message("stopped by {name} in the library's form; what is trained is kept", name=error.signal_name),
                Message("continue with: yisheng resume {path}", path=folder.path),
            ) from None
        except NonFiniteError as error:
            run_page.write_run_page(folder.path)
            raise NonFiniteError(
                Message("the library's form: {problem}", problem=error.problem), error.remedy
            ) from None
        finished = Message("after both forms were trained; the run is finished")
        with defer_signals(finished, Message("see it in {path}", path=folder.path)):
            comparison = compare_runs(folder, RunFolder(folder.file(RunFolder.LIBRARY)))
            files.write_json(folder.file(RunFolder.SCRATCH_COMPARISON), json.loads(comparison.model_dump_json()))
            run_page.write_run_page(folder.path)
            logger.info(describe_comparison(comparison))
            folder.update_environment(finished=True)


def _train_library_form(scratch_run: RunResult, *, force: bool) -> None:
    folder, config, data = scratch_run.folder, scratch_run.config, scratch_run.data
    library = RunFolder(folder.file(RunFolder.LIBRARY))
    if not library.is_begun:
        library.path.mkdir(exist_ok=True)
        logger.info(Message("the library's form, from the same weights on the same batches:"))
        run.train(
            config.model_copy(update={"scratch": False}),
            data=data,
            out=folder.path,
            folder=library.path,
            threads=folder.threads,
            callbacks=CALLBACKS,
        )
    elif not library.is_finished or library.config.epochs != config.epochs:
        resume_run.resume(library.path, epochs=config.epochs, data=data, force=force, callbacks=CALLBACKS)


def compare_runs(scratch: RunFolder, library: RunFolder) -> ScratchComparison:
    """Return the largest differences of two finished runs of one config.

    Args:
        scratch: a run folder.
        library: another one, with the same ``log_every``.

    Raises:
        DataError: a log is damaged, or there is no intact checkpoint.
    """
    losses, library_losses = (_read_losses(folder.file(RunFolder.EVENTS)) for folder in (scratch, library))

    def compare(kind: str) -> Difference:
        common = [index for index in losses[kind] if index in library_losses[kind]]
        return _largest_difference((index, losses[kind][index], library_losses[kind][index]) for index in common)

    validation = compare("validation")
    weights, library_weights = (
        checkpoint.load_weights(folder.file(RunFolder.CHECKPOINT)) for folder in (scratch, library)
    )
    return ScratchComparison(
        epochs=(len(losses["training"]), len(library_losses["training"])),
        steps=compare("step"),
        training=compare("training"),
        validation=validation if validation.compared else None,
        weights=_largest_weight_difference(weights, library_weights),
    )


def describe_comparison(comparison: ScratchComparison) -> str:
    """Return the largest differences in one line.

    >>> close = Difference(compared=9, absolute=2e-9, relative=1e-8)
    >>> weights = Difference(compared=5)
    >>> describe_comparison(ScratchComparison(epochs=(3, 3), steps=close, training=close, weights=weights))
    'from scratch and library: losses of 9 steps differ by at most 2.0e-09 (relative 1.0e-08), final weights by 0'
    """
    losses = comparison.steps if comparison.steps.compared else comparison.training
    values = {
        "count": f"{losses.compared:,}",
        "losses": _format_difference(losses),
        "weights": _format_difference(comparison.weights),
    }
    if comparison.steps.compared:
        return Message(
            "from scratch and library: losses of {count} steps differ by at most {losses}, final weights by {weights}",
            **values,
        )
    return Message(
        "from scratch and library: losses of {count} epochs differ by at most {losses}, final weights by {weights}",
        **values,
    )


def _format_difference(difference: Difference) -> str:
    if not difference.absolute:
        return "0"
    values = {"absolute": f"{difference.absolute:.1e}", "relative": f"{difference.relative:.1e}"}
    return Message("{absolute} (relative {relative})", **values)


def _read_losses(path: Path) -> dict[str, dict[int, float]]:
    """Return the losses of a complete log: by step, and by epoch those of training and of validation."""
    losses: dict[str, dict[int, float]] = {"step": {}, "training": {}, "validation": {}}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event["event"] == "step":
                losses["step"][event["step"]] = float(event["loss"])
            elif event["event"] == "epoch":
                losses["training"][event["epoch"]] = float(event["loss"])
                if "loss" in event["scores"]:
                    losses["validation"][event["epoch"]] = float(event["scores"]["loss"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(Message("{path} is damaged: {error}", path=path, error=error), Message("train again")) from None
    return losses


def _largest_difference(pairs: Iterable[tuple[int | str, float, float]]) -> Difference:
    """Return the largest difference within pairs of numbers; a number and NaN or infinity differ by infinity.

    Args:
        pairs: step, epoch or name, and the two numbers.
    """
    compared, absolute, relative, index_of_largest = 0, 0.0, 0.0, None
    for index, a, b in pairs:
        compared += 1
        if a == b or (math.isnan(a) and math.isnan(b)):
            continue
        finite = math.isfinite(a) and math.isfinite(b)
        difference = abs(a - b) if finite else math.inf
        relative = max(relative, difference / max(abs(a), abs(b)) if finite else math.inf)
        if difference > absolute:
            absolute, index_of_largest = difference, index
    return Difference(compared=compared, absolute=absolute, relative=relative, at=index_of_largest)


def _largest_weight_difference(
    weights: dict[str, torch.Tensor], library_weights: dict[str, torch.Tensor]
) -> Difference:
    """Return the largest difference of weights by layer.

    The relative difference is relative to the layer's largest weight, because single weights may be nearly zero.
    """
    compared, absolute, relative = 0, 0.0, 0.0
    layer_of_largest: str | None = None
    for name, tensor in weights.items():
        a, b = tensor.double(), library_weights[name].double()
        difference = (a - b).abs().max().item()
        compared += a.numel()
        scale = max(a.abs().max().item(), b.abs().max().item())
        relative = max(relative, difference / scale if difference else 0.0)
        if difference > absolute:
            absolute, layer_of_largest = difference, name
    return Difference(compared=compared, absolute=absolute, relative=relative, at=layer_of_largest)
