"""An error that ended a user's own loop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.ranking import Diagnosis

CHECK = "loop-error"
MAX_MESSAGE = 300
REMEDIES = {
    "does not require grad": Message(
        "look for detach(), .data, .item(), numpy() or no_grad() between the network and the loss"
    ),
    "mat1 and mat2 shapes cannot be multiplied": Message(
        "make in_features of that layer the size of its input: print(x.shape) before it; images need flatten(1)"
    ),
    "Given groups=": Message(
        "make in_channels of that layer the number of channels of its input, axis 1 of (B, C, H, W)"
    ),
    "Expected all tensors to be on the same device": Message(
        "move network and batch to one device: model.to(device), x.to(device), y.to(device)"
    ),
    "must have the same dtype": Message("give inputs and weights one type: x.float()"),
    "backward through the graph a second time": Message(
        "compute the loss again from a new forward pass, and detach what is carried from one step to the next"
    ),
    "modified by an inplace operation": Message(
        "replace the in-place operation (+=, relu_, inplace=True) by one that makes a new tensor"
    ),
    "out of memory": Message("use smaller batches; keep loss.item() instead of the loss itself"),
}
"""What to do about an error, by a part of its message."""
CHANGED_TENSOR = re.compile(r"modified by an inplace operation: \[\S+ \[([0-9, ]+)\]\]")
"""Shape of the tensor that was changed between a forward pass and its backward pass, in torch's message."""


@dataclass(frozen=True)
class LoopError:
    """The error that ended a loop.

    Args:
        error: what was raised.
        source: line of the user's program.
    """

    error: Exception
    source: str


def explain_loop_error(loop_error: LoopError | None, case: Case, diagnosis: Diagnosis) -> Iterator[Finding]:
    """Yield the error that ended a loop as a finding, unless a check has found its reason.

    Args:
        loop_error: what ended the loop, or None.
        case: the training so far.
        diagnosis: of the training.
    """
    if loop_error is None or any(finding.check == "refused-loss" for finding in diagnosis.findings):
        return
    message = " ".join(str(loop_error.error).split())[:MAX_MESSAGE]
    remedy = next((text for part, text in REMEDIES.items() if part in message), "")
    if _has_changed_weights(message, case):
        remedy = Message(
            "an update has changed weights that this backward pass still needs: detach what is carried from one step "
            "to the next (hidden = hidden.detach()), or call all backward() before the first step()"
        )
    cut = case.sources.get("cut") or case.sources.get("cut after")
    has_no_graph = "does not require grad" in message and cut
    problem = Message(
        "the loop ended after {updates} updates with {error}: {message}",
        updates=f"{case.steps:,}",
        error=type(loop_error.error).__name__,
        message=message,
    )
    yield Finding(
        CHECK,
        "error",
        {"updates": case.steps, "type": type(loop_error.error).__name__},
        Message("{problem}; the graph is left at {line}", problem=problem, line=cut) if has_no_graph else problem,
        remedy or Message("fix the error at this line; what else was found may be its reason"),
        source=loop_error.source,
    )


def _has_changed_weights(message: str, case: Case) -> bool:
    """Return whether an update changed what a backward pass needs: it has the shape of a weight, or is transposed."""
    match = CHANGED_TENSOR.search(message)
    if match is None or not case.begun_updates + case.steps:
        return False
    shape = tuple(int(size) for size in match[1].split(","))
    return any(tuple(p.shape) in (shape, shape[::-1]) for p in case.model.parameters() if p.ndim > 1)
