"""Vectors of an embedding that evaluation looks up and training never did."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from yisheng.core.messages import Message
from yisheng.core.modes import evaluation_mode
from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case

MIN_LOOKUPS, MIN_NUMBERS = 40, 8
"""Vectors that evaluation looks up, and different ones among them."""
MIN_UNTRAINED = 0.2
"""Fraction of them, and of the different ones, that training never looked up: of words, which are rare alike in both
parts, it is a few percent of all, and padding is one of the different ones."""
MIN_UPDATES = 50
"""Updates: before, few vectors have been looked up."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not case.is_finished or case.began_trained:
        return Message("it needs a finished training of weights that were not trained before")
    if not any(isinstance(module, nn.Embedding) for module in case.model.modules()):
        return Message("the network has no embedding")
    if case.from_config or not case.evaluated.samples.list_samples() or case.steps < MIN_UPDATES:
        return Message("no evaluation of the trained network was seen")
    return ""


@register(
    needs=explain_skip,
    when="after",
    cause="data",
    explains=("memorization", "overfitting", "underfitting", "shifted-rows", "fading-columns"),
)
def untrained_vectors(case: Case) -> Iterator[Finding]:
    """Find an embedding of which evaluation looks up vectors that have their random initial values.

    The optimizer's averages of their gradients are exactly 0: no training row had these users, words or categories.

    Args:
        case: the network, its optimizer, and inputs of its evaluations.

    Source: Schein et al., "Methods and metrics for cold-start recommendations", 2002.
    """
    samples = case.evaluated.samples.list_samples()
    worst: tuple[float, str, int, int] | None = None
    for name, module in case.model.named_modules():
        untrained = _find_untrained(module, case.optimizer) if isinstance(module, nn.Embedding) else None
        if untrained is None or not bool(untrained.any()):
            continue
        fractions = [
            (_measure_untrained(untrained, numbers), name, len(numbers), len(untrained))
            for sample in samples
            if (numbers := _look_up(case.model, module, sample)) is not None
        ]
        if fractions and (worst is None or min(fractions) > worst):
            worst = min(fractions)  # a place that evaluates other rows on purpose does not count
    if worst is None or worst[0] < MIN_UNTRAINED:
        return
    fraction, name, lookups, size = worst
    yield Finding(
        "untrained-vectors",
        "warning",
        {"embedding": name, "looked up in evaluation": lookups, "fraction never trained": fraction, "vectors": size},
        Message(
            "{fraction} of the vectors of {name} that evaluation looks up were never trained: no training row has "
            "these numbers, and they have their random initial values",
            fraction=f"{fraction:.0%}",
            name=name,
        ),
        Message(
            "split the rows so that each user, word or category of the held-out rows is in the training rows, too; or "
            "map those that are not to one number for unknown ones, and train it by dropping some numbers at random"
        ),
        source=case.sources.get("evaluation", ""),
    )


def _find_untrained(module: nn.Embedding, optimizer: torch.optim.Optimizer) -> torch.Tensor | None:
    """Return which vectors never had a gradient ``(N,)``, or None if the optimizer keeps no average of gradients."""
    state = optimizer.state.get(module.weight, {})
    averages = [value for value in state.values() if isinstance(value, torch.Tensor)]
    averages = [value for value in averages if value.shape == module.weight.shape and not value.is_sparse]
    if not averages:
        return None
    untrained = torch.stack([(value == 0).all(1) for value in averages]).all(0).cpu()
    if module.padding_idx is not None:
        untrained[module.padding_idx] = False
    return untrained


def _measure_untrained(untrained: torch.Tensor, numbers: torch.Tensor) -> float:
    """Return the fraction of the lookups, or of the different numbers if it is smaller, that was never trained."""
    return min(float(untrained[part].float().mean()) for part in (numbers, numbers.unique()))


@torch.no_grad()
def _look_up(model: nn.Module, module: nn.Embedding, sample: torch.Tensor) -> torch.Tensor | None:
    """Return the numbers of the vectors that some inputs look up, or None if the network does not take them alone."""
    lookups: list[torch.Tensor] = []
    handle = module.register_forward_pre_hook(partial(_note_numbers, lookups))
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    try:
        with evaluation_mode(model), torch.random.fork_rng(enabled=device.type == "cpu", devices=[]):
            model(sample.to(device))
    except (RuntimeError, TypeError, ValueError, IndexError):
        return None
    finally:
        handle.remove()
    numbers = torch.cat(lookups) if lookups else torch.empty(0, dtype=torch.long)
    if module.padding_idx is not None:
        numbers = numbers[numbers != module.padding_idx]
    is_enough = len(numbers) >= MIN_LOOKUPS and len(numbers.unique()) >= MIN_NUMBERS
    return numbers if is_enough else None


def _note_numbers(lookups: list[torch.Tensor], _module: nn.Module, arguments: tuple[Any, ...]) -> None:
    if arguments and isinstance(arguments[0], torch.Tensor):
        lookups.append(arguments[0].detach().flatten().long().cpu())
