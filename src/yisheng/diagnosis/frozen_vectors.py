"""Find an embedding whose frozen vectors lack what the task needs, by training a copy in which they learn."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.modes import evaluation_mode
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.given_rows import are_inputs, compare
from yisheng.diagnosis.restart import MAX_REMAINING_AFTER_RESTART, MAX_STEPS, Beginning, train_again
from yisheng.diagnosis.training_state import preserve_training_state
from yisheng.diagnosis.validation_rows import LOSSES, MIN_ROWS

CHECK = "frozen-parameters"
MIN_HELD_OUT_LOSS = 0.6
"""Held-out loss relative to that of guessing, below which the network has learned in spite of its frozen vectors."""
MIN_STEPS = 50
"""Updates after which a training that starts again can be compared."""


@dataclass(frozen=True)
class _Tables:
    """Frozen embeddings.

    Args:
        names: of the embeddings.
        rows: vectors that training looked up, in the recorded steps.
        zeros: those of them that are zero.
    """

    names: tuple[str, ...]
    rows: int
    zeros: int


def find_frozen_vectors(case: Case, beginning: Beginning | None, data: Any, validation: Any) -> Iterator[Finding]:
    """Yield that the network predicts far better once the frozen vectors of its embeddings learn, too.

    Vectors of a file are often frozen on purpose. So two copies start again from the initial weights, with the same
    optimizer and number of updates (400 at most), and only one of them has vectors that learn.

    Args:
        case: the finished training.
        beginning: its network before the first update.
        data: the training rows ``(x, y)``.
        validation: the held-out rows ``(x, y)``.

    Source: PyTorch documentation, torch.nn.Embedding.from_pretrained (``freeze`` is True by default).
    """
    tables, pairing = _find_tables(case), case.pairing
    loss = None if pairing is None or not pairing.is_only_term else LOSSES.get((pairing.loss, pairing.operations))
    is_comparable = loss is not None and case.baseline_loss > 0 and case.steps >= MIN_STEPS
    if tables is None or beginning is None or not is_comparable or len(validation[0]) < MIN_ROWS:
        return
    if not are_inputs(case, data, validation):
        return
    batch = next((record.inputs.shape[0] for record in case.records if record.inputs is not None), 32)
    lr = max((record.lr for record in case.records), default=0.0)
    arguments = {"steps": case.steps, "batch": batch}
    try:
        with preserve_training_state(case.model, case.optimizer):
            with evaluation_mode(case.model), torch.no_grad():
                present = float(compare(loss, case.model(validation[0]), validation[1]))
            if not present > MIN_HELD_OUT_LOSS * case.baseline_loss:
                return
            learned = train_again(_unfreeze(beginning, tables.names), lr, loss, data, validation, **arguments)
            if not learned < MAX_REMAINING_AFTER_RESTART * present:
                return
            frozen = train_again(beginning, lr, loss, data, validation, **arguments)
            if not learned < MAX_REMAINING_AFTER_RESTART * frozen:
                return
    except (RuntimeError, TypeError, ValueError, IndexError):
        return
    yield _describe(case, tables, present, learned)


def _find_tables(case: Case) -> _Tables | None:
    """Return the embeddings whose vectors do not learn, or None if all do."""
    frozen = {
        name: module
        for name, module in case.model.named_modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and not module.weight.requires_grad
    }
    if not frozen:
        return None
    lookups = {} if case.evaluated.lookups is None else case.evaluated.lookups.trained
    used = [
        module.weight.detach().cpu()[torch.cat([numbers.cpu() for numbers in lookups[name]]).unique()]
        for name, module in frozen.items()
        if lookups.get(name)
    ]
    zeros = sum(int((vectors == 0).all(1).sum()) for vectors in used)
    return _Tables(tuple(frozen), sum(map(len, used)), zeros)


def _unfreeze(beginning: Beginning, names: Sequence[str]) -> Beginning:
    """Return a copy in which the vectors of some embeddings learn."""
    start = Beginning(*copy.deepcopy((beginning.model, beginning.optimizer)))
    held = {id(p) for group in start.optimizer.param_groups for p in group["params"]}
    weights = [start.model.get_parameter(f"{name}.weight").requires_grad_() for name in names]
    missing = [weight for weight in weights if id(weight) not in held]
    if missing:
        start.optimizer.add_param_group({"params": missing})
    return start


def _describe(case: Case, tables: _Tables, present: float, learned: float) -> Finding:
    values = {
        "names": ", ".join(tables.names),
        "present": f"{present:.3g}",
        "learned": f"{learned:.3g}",
        "updates": f"{min(case.steps, MAX_STEPS):,}",
    }
    return Finding(
        CHECK,
        "warning",
        {
            "embeddings": list(tables.names),
            "held-out loss": present,
            "with vectors that learn": learned,
            "vectors that were looked up": tables.rows,
            "zero vectors among them": tables.zeros,
        },
        Message(
            "the vectors of {names} are frozen, and the held-out loss is {present}; a copy in which they learn, too, "
            "reaches {learned} in {updates} updates: the vectors lack what the task needs, such as those of words that "
            "the file does not have",
            **values,
        )
        if not tables.zeros
        else Message(
            "the vectors of {names} are frozen ({zeros} of the {rows} that were looked up are zero), and the held-out "
            "loss is {present}; a copy in which they learn, too, reaches {learned} in {updates} updates",
            zeros=tables.zeros,
            rows=tables.rows,
            **values,
        ),
        Message(
            "let the vectors learn: nn.Embedding.from_pretrained(vectors, freeze=False), since it freezes by default, "
            "and give the optimizer their weight; count how many words of the vocabulary the file has"
        ),
        source=case.sources.get("optimizer", ""),
    )
