"""Calls of PyTorch loss functions on a network's output: what they compared, and what they refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from yisheng.diagnosis.recorder.counted_targets import find_counted
from yisheng.diagnosis.recorder.source_lines import find_source

LOSS_FUNCTIONS = frozenset(
    {
        "cross_entropy",
        "nll_loss",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "kl_div",
        "gaussian_nll_loss",
        "poisson_nll_loss",
        "multilabel_margin_loss",
        "multilabel_soft_margin_loss",
        "multi_margin_loss",
        "soft_margin_loss",
        "hinge_embedding_loss",
        "cosine_embedding_loss",
        "ctc_loss",
    }
)
"""Names of the functions of ``torch.nn.functional`` that compare an output with targets."""
WEIGHTED_FUNCTIONS = ("cross_entropy", "nll_loss", "binary_cross_entropy_with_logits")
"""Functions with weights of classes; that of ``binary_cross_entropy`` is one of rows."""
PAIR_FUNCTIONS = ("cosine_embedding_loss",)
"""Functions that compare two outputs, and have the targets as their third argument."""
MAX_CLASSES = 1000
IGNORED = -100
"""The class number that `torch.nn.functional.cross_entropy` leaves out by default."""
NEAREST_FRACTION = 0.1
"""Quantile of the distances of the sums of probabilities from 1."""
MAX_VALUES, MAX_MESSAGE = 1 << 16, 300
"""Values of the targets, and characters of a message, that are kept."""


@dataclass(slots=True)
class LossCall:
    """One call of a loss function.

    Args:
        function: its name.
        output_shape: of the network's output.
        target_shape: of the targets.
        target_dtype: type of the targets, as ``int64``.
        target: a copy of the targets of the first rows, or None if they were no tensor.
        ignore_index: the class number that is left out.
        equals_input: whether the targets are the network's input itself.
        source: file and line of the call.
        error: torch's message if it refused the call.
        low: smallest target; 0 for targets that cannot be ordered.
        high: largest target.
        output_total: mean sum of the outputs of a row of a divergence, if none is negative; else None.
        label_smoothing: the part of each label that a cross-entropy spreads over all classes.
        class_weights: the weight of each class; one number is the weight of class 1 relative to that of class 0.
        blanks: targets of a CTC loss that are its blank.
        log_total: distance from 0 of the logarithm of the sum of the probabilities of a CTC loss, that of the times
            that are nearest to 0; else 0.
        has_log_target: whether a divergence takes its targets for logarithms.
        counted: of the kept targets, those that the program has not masked afterwards; None if it has masked none.
    """

    function: str
    output_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    target_dtype: str
    target: torch.Tensor | None
    ignore_index: int = IGNORED
    equals_input: bool = False
    source: str = ""
    error: str = ""
    low: float = 0.0
    high: float = 0.0
    output_total: float | None = None
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()
    blanks: int = 0
    log_total: float = 0.0
    has_log_target: bool = False
    counted: torch.Tensor | None = None

    def note_gradient(self, gradient: torch.Tensor) -> None:
        """Note the gradient of the losses of the single targets: that of a masked one is zero."""
        counted = find_counted(gradient, self.target_shape)
        if counted is None or self.target is None or not self.target.ndim:
            return
        counted = counted[: len(self.target)]
        self.counted = counted if self.counted is None else self.counted | counted
        if bool(self.counted.any()):
            self.low, self.high = _find_range(self.target[self.counted])

    @property
    def counted_targets(self) -> torch.Tensor | None:
        """Return the targets that count; flat if others are masked."""
        return self.target if self.target is None or self.counted is None else self.target[self.counted]


def describe_loss_call(
    function: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    inputs: torch.Tensor | None,
    error: BaseException | None = None,
) -> LossCall | None:
    """Return what a call of a loss function compared, or None if its output was no tensor.

    Args:
        function: name of the function.
        args: its positional arguments.
        kwargs: its other arguments.
        inputs: the network's last input.
        error: what torch raised.
    """
    output, target = output_and_target(args, kwargs, function)
    if not isinstance(output, torch.Tensor):
        return None
    message = "" if error is None else " ".join(str(error).split())[:MAX_MESSAGE]
    source = find_source()
    if not isinstance(target, torch.Tensor):
        return LossCall(function, tuple(output.shape), (), type(target).__name__, None, source=source, error=message)
    rows = max(1, MAX_VALUES * len(target) // max(1, target.numel())) if target.ndim else 1
    low, high = _find_range(target.detach())
    return LossCall(
        function,
        tuple(output.shape),
        tuple(target.shape),
        str(target.dtype).removeprefix("torch."),
        (target[:rows] if target.ndim else target).detach().clone(),
        int(kwargs.get("ignore_index", IGNORED)),
        _equal_ids(inputs, target, int(kwargs.get("ignore_index", IGNORED))),
        source,
        message,
        low,
        high,
        _total_of_rows(output.detach()) if function == "kl_div" else None,
        float(kwargs.get("label_smoothing") or 0.0),
        _read_class_weights(function, kwargs),
        *(_describe_alignment(args, kwargs, output, target) if function == "ctc_loss" and not message else (0, 0.0)),
        bool(kwargs.get("log_target", False)),
    )


def output_and_target(args: Sequence[Any], kwargs: Mapping[str, Any], function: str = "") -> tuple[Any, Any]:
    """Return the output and the targets among the arguments of a loss function; one of pairs has two outputs."""
    position = 2 if function in PAIR_FUNCTIONS else 1
    output = args[0] if args else kwargs.get("input", kwargs.get("input1", kwargs.get("log_probs")))
    target = args[position] if len(args) > position else kwargs.get("target", kwargs.get("targets"))
    return output, target


def count_rows(output: torch.Tensor, function: str) -> int:
    """Return the number of rows of an output: its first axis, or the second one after the time of a CTC loss.

    >>> count_rows(torch.zeros(12, 20, 5), "ctc_loss"), count_rows(torch.zeros(20, 5), "cross_entropy")
    (20, 20)
    """
    if function == "ctc_loss":
        return output.shape[1] if output.ndim == 3 else 1
    return len(output) if output.ndim else 1


def _describe_alignment(
    args: Sequence[Any], kwargs: Mapping[str, Any], output: torch.Tensor, target: torch.Tensor
) -> tuple[int, float]:
    """Return how many targets of a CTC loss are its blank, and how far its probabilities are from a sum of 1.

    Targets are rows ``(B, S)``, whose lengths are the fourth argument, or all of them one after another ``(N,)``.
    """
    names = ("log_probs", "targets", "input_lengths", "target_lengths", "blank")
    options = {**dict(zip(names, args, strict=False)), **kwargs}
    blank, lengths = int(options.get("blank", 0)), options.get("target_lengths")
    is_blank = target.detach().cpu() == blank
    if target.ndim == 2 and lengths is not None:
        lengths = torch.as_tensor(lengths).cpu()
        is_blank = is_blank & (torch.arange(target.shape[1]) < lengths.reshape(-1, 1))
    log_totals = output.detach().float().logsumexp(-1).abs().flatten()[:MAX_VALUES]
    return int(is_blank.sum()), float(log_totals.quantile(NEAREST_FRACTION))  # times of padding may be filled with 0


def _read_class_weights(function: str, kwargs: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the weights of the classes; empty if there are none, or many."""
    name = "pos_weight" if function == "binary_cross_entropy_with_logits" else "weight"
    weights = kwargs.get(name)
    if function not in WEIGHTED_FUNCTIONS or not isinstance(weights, torch.Tensor) or weights.numel() > MAX_CLASSES:
        return ()
    return tuple(weights.detach().flatten().tolist())


def _find_range(target: torch.Tensor) -> tuple[float, float]:
    """Return the smallest and the largest target; 0 for targets that cannot be ordered."""
    if not target.numel() or target.is_complex():
        return 0.0, 0.0
    if target.is_cpu and target.dtype != torch.bfloat16:  # NumPy has none
        array = target.numpy()
        return float(array.min()), float(array.max())
    return float(target.min()), float(target.max())


def _total_of_rows(output: torch.Tensor) -> float | None:
    """Return the mean sum of the outputs of a row, or None if one is negative, as logarithms of probabilities are."""
    if output.ndim < 2 or not output.numel() or float(output.min()) < 0:
        return None
    return float(output.sum(1).mean())


def _equal_ids(inputs: torch.Tensor | None, target: torch.Tensor, ignored: int) -> bool:
    """Return whether the targets that count are whole numbers and equal the network's input there, up to its shape."""
    if inputs is None or inputs.is_floating_point() or target.is_floating_point() or target.numel() < 2:
        return False
    if inputs.numel() != target.numel() or inputs.device != target.device:
        return False
    counts = target.reshape(-1) != ignored
    return bool(counts.any()) and bool((inputs.reshape(-1) == target.reshape(-1))[counts].all())
