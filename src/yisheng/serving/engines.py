"""What computes the predictions of a service: torch, or onnxruntime where it is faster and predicts the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.inference import onnx_engine
from yisheng.inference.export.example_inputs import draw_example_inputs
from yisheng.inference.onnx_engine import OnnxEngine
from yisheng.inference.predictor import Predictor

ENGINES = ("auto", "torch", "onnxruntime")
RELATIVE_DIFFERENCE = 1e-5
"""Largest difference of onnxruntime's outputs: of an input's largest probability, or of a target's largest value."""
LEVEL_DIFFERENCE = 1e-3
"""Largest difference of out-of-distribution scores, quantile levels that are kept for each hundredth."""
MAX_TRIAL_INPUTS = 64
MAX_TRIALS, MAX_TRIAL_SECONDS = 7, 1.0
"""Forward passes of each engine that are timed, and elapsed time after which no further one is started."""

Compute = Callable[[np.ndarray], tuple[list[np.ndarray], np.ndarray | None]]


@dataclass(frozen=True)
class Engine:
    """What computes outputs and out-of-distribution scores.

    Args:
        name: ``torch`` or ``onnxruntime``.
        compute: raw inputs ``(B, *shape)`` to the outputs of each model, and scores ``(B,)`` or None.
        reason: why it was chosen, for people.
    """

    name: Literal["torch", "onnxruntime"]
    compute: Compute
    reason: str


def choose_engine(predictor: Predictor, name: str, batch: int, threads: int) -> Engine:
    """Return the engine of a service; onnxruntime is imported only if it is tried.

    Args:
        predictor: the model.
        name: one of `ENGINES`; ``auto`` takes onnxruntime if it is installed, predicts the same, and is faster. That it
            cannot be converted, or predicts other values, is remembered for this model and these versions.
        batch: largest number of samples in one forward pass.
        threads: of a forward pass.

    Raises:
        UsageError: there is no such engine, or onnxruntime cannot compute the model.
        MissingPartError: onnxruntime was asked for, and is not installed.
        DataError: onnxruntime was asked for, and predicts other values.
    """
    if name not in ENGINES:
        raise UsageError(Message("there is no engine {name}", name=f"{name!r}"), suggest(name, ENGINES))
    if name == "torch":
        return _torch_engine(predictor, Message("as engine=torch asks for"))
    unsupported = onnx_engine.explain_unsupported(predictor)
    if name == "onnxruntime":
        onnx_engine.require_packages()
        if unsupported is not None:
            raise UsageError(
                Message("onnxruntime cannot compute this model: {reason}", reason=unsupported),
                Message("use engine=torch"),
            )
    elif not onnx_engine.is_installed():
        return _torch_engine(predictor, Message("onnxruntime is not installed"))
    elif unsupported is not None:
        return _torch_engine(predictor, unsupported)
    elif (refusal := onnx_engine.read_refusal(predictor)) is not None:
        problem = Message("{problem} (tried before; engine=onnxruntime tries it again)", problem=refusal)
        return _torch_engine(predictor, problem)
    try:
        # Threads of torch are those of the thread that sets them.
        with ThreadPoolExecutor(1, "trial", torch.set_num_threads, (threads,)) as executor:
            engine = executor.submit(_try_onnxruntime, predictor, name, batch, threads).result()
    except (UsageError, DataError) as error:
        if name == "onnxruntime":
            raise
        onnx_engine.remember_refusal(predictor, error.problem)
        return _torch_engine(predictor, error.problem)
    onnx_engine.forget_refusal(predictor)
    return engine


def _torch_engine(predictor: Predictor, reason: str) -> Engine:
    return Engine("torch", predictor.compute_model_outputs, reason)


def _try_onnxruntime(predictor: Predictor, name: str, batch: int, threads: int) -> Engine:
    """Return onnxruntime's engine if it predicts what torch does; for ``auto`` torch's, if that is faster.

    Raises:
        UsageError: the model cannot be converted.
        DataError: onnxruntime predicts other values.
    """
    x = _draw_trial_inputs(predictor, min(batch, MAX_TRIAL_INPUTS))
    compute = _load_engine(predictor, x, threads).compute_model_outputs
    ratios = [_compare_times(predictor.compute_model_outputs, compute, x[:count]) for count in (1, len(x))]
    ratio, count = f"{ratios[-1]:.1f}", len(x)
    if name == "auto" and min(ratios) <= 1:
        problem = Message("onnxruntime is not faster: {ratio} times on {count} inputs", ratio=ratio, count=count)
        return _torch_engine(predictor, problem)
    reason = Message("{ratio} times as fast as torch on {count} inputs", ratio=ratio, count=count)
    return Engine("onnxruntime", compute, reason)


def _draw_trial_inputs(predictor: Predictor, count: int) -> np.ndarray:
    """Return raw inputs, the first of them zero: a blank image, or the most common category of each column."""
    x = draw_example_inputs(predictor.spec, predictor.artifacts[0].scale, count)
    x[0] = 0
    return x


def _load_engine(predictor: Predictor, x: np.ndarray, threads: int) -> OnnxEngine:
    """Return the engine of a converted network that predicts what torch does; it is converted if the cache has none.

    Raises:
        UsageError: the model cannot be converted.
        DataError: onnxruntime predicts other values.
    """
    converted = onnx_engine.find_converted(predictor)
    if converted.is_file():
        try:
            engine = OnnxEngine(predictor, converted.read_bytes(), threads)
            _require_same_outputs(predictor, engine, x)
        except (UsageError, DataError, OSError):  # a damaged file in the cache is replaced
            converted.unlink(missing_ok=True)
        else:
            return engine
    logger.info(Message("converting the network for onnxruntime, once for this model"))
    engine = OnnxEngine(predictor, onnx_engine.convert(predictor), threads)
    _require_same_outputs(predictor, engine, x)
    return engine


def _require_same_outputs(predictor: Predictor, engine: OnnxEngine, x: np.ndarray) -> None:
    """Compare both engines on a batch, and on its first input alone.

    Raises:
        DataError: the values differ by more than is allowed, or an engine refuses the inputs.
    """
    for inputs in (x, x[:1]):
        try:
            (expected, expected_levels), (actual, levels) = (
                compute(inputs) for compute in (predictor.compute_model_outputs, engine.compute_model_outputs)
            )
        except Exception as error:  # a network may refuse such inputs; onnxruntime has a class for each error
            raise DataError(
                Message("the trial of onnxruntime failed: {error}", error=" ".join(str(error).split())[:300]),
                Message("use engine=torch"),
            ) from None
        # Probabilities are compared with the largest one of their row, values with the largest one of their column.
        axis = 0 if predictor.spec.task == "regression" else 1
        differences = [_relative_difference(*pair, axis) for pair in zip(actual, expected, strict=True)]
        level_difference = 0.0
        if levels is not None and expected_levels is not None:
            level_difference = float(np.abs(levels - expected_levels).max())
        if not max(differences) <= RELATIVE_DIFFERENCE or not level_difference <= LEVEL_DIFFERENCE:
            raise DataError(
                Message(
                    "onnxruntime predicts other values than torch: they differ by {difference}, scores by {levels}",
                    difference=f"{max(differences):.1e}",
                    levels=f"{level_difference:.1e}",
                ),
                Message("use engine=torch"),
            )


def _relative_difference(actual: np.ndarray, expected: np.ndarray, axis: int) -> float:
    """Return the largest difference in units of the largest value along an axis; infinite if types or NaN differ.

    >>> _relative_difference(np.array([[0.5, 0.25]]), np.array([[0.5, 0.5]]), 1)
    0.5
    """
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return np.inf
    is_finite = np.isfinite(expected)
    if not np.array_equal(actual[~is_finite], expected[~is_finite], equal_nan=True):
        return np.inf
    size = np.abs(np.where(is_finite, expected, 0)).max(axis, keepdims=True)
    difference = np.where(is_finite, np.abs(actual - np.where(is_finite, expected, 0)), 0)
    return float((difference / np.maximum(size, np.finfo(expected.dtype).tiny)).max())


def _compare_times(compute: Compute, compute_faster: Compute, x: np.ndarray) -> float:
    """Return how many times as long one takes as the other, by the shortest of a few alternating passes of each."""
    shortest = {compute: np.inf, compute_faster: np.inf}
    end = time.monotonic() + MAX_TRIAL_SECONDS
    for _ in range(MAX_TRIALS):
        for function in shortest:
            start = time.perf_counter()
            function(x)
            shortest[function] = min(shortest[function], time.perf_counter() - start)
        if time.monotonic() > end:
            break
    return float(shortest[compute] / shortest[compute_faster])
