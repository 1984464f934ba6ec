"""Tokens that are to be predicted and come later than the next one."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.records import StepRecord
from yisheng.diagnosis.wording import describe_shortage

MIN_RECORDS = 3
"""Recorded steps in which the targets are tokens of the inputs."""
MAX_DISTANCE = 4
"""Largest distance that is looked for: the shift is made once too often, or by a constant that is too large."""
MIN_TOKENS, MIN_COMPARED = 4, 32
"""Tokens of a row, and targets of a step that are compared."""
MIN_DIFFERENT = 0.2
"""Fraction of the tokens that differ from the one before: constant rows are equal at every distance."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is None or case.pairing.loss != "nll" or not case.pairing.is_only_term:
        return Message("the loss is not the cross-entropy of one label per token")
    count = sum(_read_tokens(record) is not None for record in case.records)
    return describe_shortage(MIN_RECORDS, count, Message("recorded steps with a target for each token"))


@register(
    needs=explain_skip, when="first", cause="structure", explains=("plateau", "underfitting", "low-learning-rate")
)
def shifted_labels(case: Case) -> Iterator[Finding]:
    """Find targets that are the inputs' tokens two or more places later: labels that were shifted twice.

    Models of a hub shift the labels themselves, so that a loop must not.

    Args:
        case: rows of its inputs and targets.

    Source: Hugging Face documentation, "Causal language modeling" (labels are shifted inside the model).
    """
    pairs = [pair for pair in map(_read_tokens, case.records) if pair is not None]
    distances = [_find_distance(*pair) for pair in pairs]
    distance = distances[0]
    if distance < 2 or set(distances) != {distance}:
        return
    yield Finding(
        "shifted-labels",
        "error",
        {"recorded steps": len(pairs), "places": distance},
        Message(
            "each target is the token {distance} places after its input, not the next one: the network never learns "
            "what follows",
            distance=distance,
        ),
        Message(
            "shift the labels once: model(ids, labels=ids) if the model shifts them itself, or inputs ids[:, :-1] and "
            "targets ids[:, 1:] if it does not"
        ),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )


def _read_tokens(record: StepRecord) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return tokens ``(B, T)`` and targets ``(B, L)`` of the first rows of a recorded step, or None."""
    if record.rows is None or record.targets is None or record.inputs is None or len(record.rows) != 1:
        return None
    tokens, targets, shape = record.rows[0], record.targets.flatten(), record.inputs.shape
    if tokens.is_floating_point() or targets.is_floating_point() or tokens.ndim != 2 or tokens.shape[1:] != shape[1:]:
        return None
    length = _find_length(record, shape)
    rows = min(len(tokens), len(targets) // max(1, length))
    if not MIN_TOKENS <= length <= tokens.shape[1] or rows * length < MIN_COMPARED:
        return None
    tokens, targets = tokens[:rows].cpu(), targets[: rows * length].view(rows, length).cpu()
    is_different = tokens[:, 1:] != tokens[:, :-1]
    return (tokens, targets) if float(is_different.float().mean()) >= MIN_DIFFERENT else None


def _find_length(record: StepRecord, shape: tuple[int, ...]) -> int:
    """Return the number of targets of each row of a batch ``(B, T)``; 0 if it is unknown."""
    pairing = record.pairing
    count = 0 if pairing is None or not pairing.shape else pairing.shape[0]
    if pairing is not None and len(pairing.shape) == 3:  # (B, C, L)
        return pairing.shape[2] if pairing.shape[0] == shape[0] else 0
    return count // shape[0] if count % shape[0] == 0 else 0


def _find_distance(tokens: torch.Tensor, targets: torch.Tensor) -> int:
    """Return how many places after its input each target is, at most `MAX_DISTANCE`; 0 if it is its input, or none.

    >>> row = torch.arange(12).reshape(2, 6)
    >>> _find_distance(row, row[:, 2:]), _find_distance(row, row[:, 1:]), _find_distance(row, row)
    (2, 1, 0)
    """
    for distance in range(MAX_DISTANCE + 1):
        length = min(targets.shape[1], tokens.shape[1] - distance)
        if length >= 2 and torch.equal(tokens[:, distance : distance + length], targets[:, :length]):
            return distance
    return 0
