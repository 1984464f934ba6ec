"""Targets that a loss function of PyTorch accepts in another form than it expects: lists of labels, signs, counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from yisheng.core.messages import Message
from yisheng.diagnosis.recorder.loss_calls import LossCall

SIGNED_FUNCTIONS = ("soft_margin_loss", "hinge_embedding_loss", "cosine_embedding_loss", "margin_ranking_loss")
"""Functions whose targets are -1 and 1."""
MIN_WRONG_FRACTION = 0.02
"""Fraction of the rows or targets of the wrong form that is reported: single ones are errors of the data."""
MAX_ROUNDING = 1e-3
"""Distance of the sum of probabilities from 1."""
Problem = tuple[dict[str, Any], str, str]
"""Evidence, cause and remedy."""


def find_form_of_targets(calls: Sequence[LossCall]) -> Problem | None:
    """Return what is wrong with the form of the targets of the recorded calls of a loss function, or None.

    Args:
        calls: of loss functions.

    >>> labels = torch.tensor([[0, 1, 1, 0]])
    >>> call = LossCall("multilabel_margin_loss", (1, 4), (1, 4), "int64", labels)
    >>> find_form_of_targets([call])[0]
    {'rows with a repeated class': 1.0, 'columns': 4}
    >>> call = LossCall("multilabel_margin_loss", (1, 4), (1, 4), "int64", torch.tensor([[1, 2, -1, 0]]))
    >>> find_form_of_targets([call])
    """
    for functions, explain in FORMS:
        targets = [
            call.counted_targets
            for call in calls
            if call.function in functions and call.counted_targets is not None and not call.error
        ]
        same_shape = [target for target in targets if target.shape[1:] == targets[0].shape[1:]]
        problem = explain(torch.cat([torch.atleast_1d(target) for target in same_shape])) if same_shape else None
        if problem is not None:
            return problem
    return _explain_log_targets(calls)


def _explain_label_lists(targets: torch.Tensor) -> Problem | None:
    """Explain rows in which a class number comes twice before the first -1, as 0 and 1 do in rows of zeros and ones."""
    if targets.ndim != 2:
        return None
    is_listed = (targets >= 0).int().cumprod(1).bool()
    columns = torch.arange(targets.shape[1], device=targets.device)
    labels = torch.where(is_listed, targets, -1 - columns).sort(1).values  # what is not listed differs from all others
    is_repeated = (labels[:, 1:] == labels[:, :-1]).any(1)
    fraction = float(is_repeated.float().mean())
    if fraction < MIN_WRONG_FRACTION:
        return None
    evidence = {"rows with a repeated class": fraction, "columns": targets.shape[1]}
    cause = Message(
        "MultiLabelMarginLoss requires the class numbers of each row, followed by -1; in {fraction} of the rows a "
        "class comes twice before the first -1",
        fraction=f"{fraction:.0%}",
    )
    if bool(((targets == 0) | (targets == 1)).all()):
        cause = Message(
            "MultiLabelMarginLoss requires the class numbers of each row, followed by -1, and was given rows of zeros "
            "and ones: it takes them for the classes 0 and 1"
        )
    return (
        evidence,
        cause,
        Message(
            "use MultiLabelSoftMarginLoss or BCEWithLogitsLoss with labels.float(); or give class numbers and -1 after "
            "them: [1, 4, -1, -1] for [0, 1, 0, 0, 1]"
        ),
    )


def _explain_signs(targets: torch.Tensor) -> Problem | None:
    """Explain targets of a margin loss of which none is negative, 0 and 1 excepted: these are explained elsewhere."""
    values = targets.unique()
    if len(values) < 2 or float(values[0]) < 0 or float(values[-1]) <= 1 or bool((values != values.round()).any()):
        return None
    low, high = float(values[0]), float(values[-1])
    return (
        {"least": low, "most": high},
        Message(
            "a margin loss multiplies scores with targets of -1 and 1, and the targets are {low} to {high}: none is "
            "negative",
            low=f"{low:g}",
            high=f"{high:g}",
        ),
        Message("give the targets as -1 and 1: torch.where(y == 1, 1.0, -1.0)"),
    )


def _explain_unbounded_labels(targets: torch.Tensor) -> Problem | None:
    """Explain labels outside 0 to 1."""
    outside = float(((targets < 0) | (targets > 1)).float().mean())
    if outside < MIN_WRONG_FRACTION:
        return None
    low, high = float(targets.min()), float(targets.max())
    return (
        {"fraction outside": outside, "least": low, "most": high},
        Message(
            "MultiLabelSoftMarginLoss requires labels from 0 to 1, but {fraction} are outside ({low} to {high})",
            fraction=f"{outside:.0%}",
            low=f"{low:.4g}",
            high=f"{high:.4g}",
        ),
        Message("give the targets as 0 and 1"),
    )


def _explain_negative_counts(targets: torch.Tensor) -> Problem | None:
    """Explain counts below zero."""
    negative = float((targets < 0).float().mean())
    if negative < MIN_WRONG_FRACTION:
        return None
    return (
        {"fraction below zero": negative, "least": float(targets.min())},
        Message(
            "poisson_nll_loss requires counts, and {fraction} of the targets are below zero: the rates of these rows "
            "become ever smaller",
            fraction=f"{negative:.0%}",
        ),
        Message("give it the counts as they are, neither scaled nor as logarithms"),
    )


def _explain_log_targets(calls: Sequence[LossCall]) -> Problem | None:
    """Explain probabilities that a divergence was told to take for logarithms."""
    targets = [call.target for call in calls if call.function == "kl_div" and call.has_log_target and not call.error]
    tables = [target for target in targets if target is not None and target.ndim > 1 and target.numel()]
    if not tables or len(tables) < len(targets):
        return None
    if any(bool((p < 0).any()) or float((p.sum(1) - 1).abs().max()) > MAX_ROUNDING for p in tables):
        return None
    return (
        {"calls": len(tables)},
        Message(
            "kl_div was told by log_target=True to expect logarithms of probabilities, and was given probabilities"
        ),
        Message("leave out log_target=True, or give it the logarithms: F.log_softmax(teacher, dim=1)"),
    )


FORMS: tuple[tuple[tuple[str, ...], Callable[[torch.Tensor], Problem | None]], ...] = (
    (("multilabel_margin_loss",), _explain_label_lists),
    (SIGNED_FUNCTIONS, _explain_signs),
    (("multilabel_soft_margin_loss",), _explain_unbounded_labels),
    (("poisson_nll_loss",), _explain_negative_counts),
)
"""Functions, and what looks at their targets."""
