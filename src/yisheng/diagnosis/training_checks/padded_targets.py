"""Targets that are padding and count in the loss."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.loss_calls import LossCall
from yisheng.diagnosis.training_checks.refused_loss import CLASS_LOSSES

MIN_FRACTION = 0.2
"""Fraction of the targets: less padding hardly weighs in the loss."""
MIN_TRAILING = 0.8
"""Fraction of these targets that are at the end of their sequence; the number may also be that of a class."""
MIN_PER_ROW = 2
"""Targets for each row of the inputs: one is a class of the row."""
MIN_PADDED_ROWS = 0.3
"""Fraction of the rows that end in the same token twice or more, which is padding then."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    calls = [call for call in case.loss_calls if call.function in CLASS_LOSSES and not call.error]
    if not calls:
        return Message("the loss does not compare classes")
    return "" if find_padding_tokens(case) else Message("the inputs are no padded tokens")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("missed-classes", "class-imbalance", "plateau", "underfitting", "too-few-epochs", "saturated-activation"),
)
def padded_targets(case: Case) -> Iterator[Finding]:
    """Find a cross-entropy of tokens that counts padding, which is easy and most of what there is to predict.

    Args:
        case: the calls of its loss function, its embeddings, and rows of its inputs.

    Source: PyTorch documentation, torch.nn.CrossEntropyLoss, ``ignore_index``.
    """
    padding = find_padding_tokens(case)
    calls = [call for call in case.loss_calls if call.function in CLASS_LOSSES and not call.error]
    rows = max((record.inputs.shape[0] for record in case.records if record.inputs is not None), default=0)
    for call in calls:
        if not _has_several_per_row(call, rows):
            continue
        token, fraction = _find_most_padding(call, padding, rows)
        if call.ignore_index == token or fraction < MIN_FRACTION:
            continue
        yield Finding(
            "padded-targets",
            "warning",
            {"token": token, "fraction": fraction, "ignore_index": call.ignore_index},
            Message(
                "{fraction} of the targets are {token}, the padding of the inputs, and count in the loss: the network "
                "is trained to predict padding",
                fraction=f"{fraction:.0%}",
                token=token,
            ),
            Message("leave padding out of the loss: ignore_index={token}, or a mask", token=token),
            source=call.source,
        )
        return


def find_padding_tokens(case: Case) -> set[int]:
    """Return the tokens that pad the inputs: of embeddings with ``padding_idx``, and at the end of many rows."""
    tokens = {m.padding_idx for m in case.model.modules() if isinstance(m, nn.Embedding) and m.padding_idx is not None}
    x = case.example[0] if case.example else None
    if x is not None and not x.is_floating_point() and x.ndim == 2 and x.shape[1] > MIN_PER_ROW:
        last = x[:, -1]
        padded = last == x[:, -2]
        if float(padded.float().mean()) >= MIN_PADDED_ROWS and len(last[padded].unique()) == 1:
            tokens.add(int(last[padded][0]))
    return {token for token in tokens if token is not None}


def _find_most_padding(call: LossCall, padding: set[int], rows: int) -> tuple[int, float]:
    """Return the padding token that most targets at the end of a sequence are, and their fraction of all."""
    if call.target is None or call.target.is_floating_point() or not call.target.numel():
        return -1, 0.0
    length = call.target_shape[1] if len(call.target_shape) > 1 else call.target_shape[0] // max(rows, 1)
    target = call.target.flatten()
    sequences = target[: len(target) // length * length].view(-1, length)
    is_counted = sequences != call.ignore_index
    if call.counted is not None:
        is_counted &= call.counted.flatten()[: sequences.numel()].view(-1, length)
    counted = max(int(is_counted.sum()), 1)
    best = (-1, 0.0)
    for token in padding:
        is_token = (sequences == token) & is_counted
        is_trailing = is_token.flip(1).int().cummin(1).values.flip(1).bool()
        if int(is_trailing.sum()) >= MIN_TRAILING * int(is_token.sum()):
            best = max(best, (token, float(is_token.sum()) / counted), key=lambda pair: pair[1])
    return best


def _has_several_per_row(call: LossCall, rows: int) -> bool:
    """Return whether there are several targets for each row, as for sequences."""
    count = torch.Size(call.target_shape).numel()
    return len(call.target_shape) > 1 or count >= MIN_PER_ROW * rows > 0
