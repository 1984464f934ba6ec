"""Vectors of an embedding that evaluation looks up and training never did."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.modes import evaluation_mode
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_LOOKUPS, MIN_NUMBERS = 40, 8
"""Vectors that evaluation looks up, and different ones among them."""
MIN_UNTRAINED = 0.2
"""Fraction of them, and of the different ones, that training never looked up: of words, which are rare alike in both
parts, it is a few percent of all, and padding is one of the different ones."""
MIN_ROWS, MIN_FRACTION_OF_STARTS = 8, 0.2
"""Rows that all begin with one number, as those of a decoder do with that of the start; and how many of such calls
begin with a number that was never trained: of the steps of a diffusion, which all rows have at once, some may be
missing."""
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

    The optimizer's averages of their gradients are exactly 0: no training row had these users, words or categories. One
    such vector is enough if all rows of an evaluation begin with it: that of a start token which training does not use.

    Args:
        case: the network, its optimizer, and inputs of its evaluations.

    Source: Schein et al., "Methods and metrics for cold-start recommendations", 2002.
    """
    samples = case.evaluated.samples.list_samples()
    calls: dict[str, list[torch.Tensor]] = {}
    worst: tuple[float, str, int, int] | None = None
    for name, module in case.model.named_modules():
        untrained = _find_untrained(module, case.optimizer) if isinstance(module, nn.Embedding) else None
        if untrained is None or not bool(untrained.any()):
            continue
        calls_by_sample = [_look_up(case.model, module, sample) for sample in samples]
        calls[name] = [numbers for sample_calls in calls_by_sample for numbers in sample_calls]
        fractions = [
            (_measure_untrained(untrained, numbers), name, len(numbers), len(untrained))
            for sample_calls in calls_by_sample
            if (numbers := _join(sample_calls, module.padding_idx)) is not None
        ]
        if fractions and (worst is None or min(fractions) > worst):
            worst = min(fractions)  # a place that evaluates other rows on purpose does not count
    if worst is None or worst[0] < MIN_UNTRAINED:
        yield from _find_untrained_start(case, calls)
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


def _find_untrained_start(case: Case, calls: dict[str, list[torch.Tensor]]) -> Iterator[Finding]:
    """Yield the number that all rows of evaluations begin with, if no training row has it.

    Args:
        case: the training.
        calls: by the name of an embedding, numbers that evaluated rows look up in the trained network.
    """
    noted = case.evaluated.lookups
    for name, repeated in calls.items():
        module = case.model.get_submodule(name)
        untrained = _find_untrained(module, case.optimizer) if isinstance(module, nn.Embedding) else None
        trained = noted.trained.get(name, []) if noted is not None else []
        if untrained is None or noted is None or not trained:
            continue
        evaluated = [*noted.evaluated.get(name, []), *repeated]
        starts = [int(first[0]) for numbers in evaluated if _is_one(first := _select_first(numbers))]
        missing = [number for number in starts if bool(untrained[number])]
        if not missing or len(missing) < MIN_FRACTION_OF_STARTS * len(starts):
            continue
        number = max(set(missing), key=missing.count)
        if bool((torch.cat([x.cpu() for x in trained]) == number).any()):  # masked in training, as padding is
            continue
        yield Finding(
            "untrained-vectors",
            "warning",
            {"embedding": name, "number": number, "calls": len(starts), "calls that begin with it": len(missing)},
            Message(
                "all rows of an evaluation begin with the number {number} in {name}, whose vector was never trained: "
                "no training row has this number, and the vector has its random initial values",
                number=number,
                name=name,
            ),
            Message(
                "begin generated rows with the start token that the training rows begin with, such as "
                "torch.full((rows, 1), start)"
            ),
            source=case.sources.get("evaluation", ""),
        )
        return


def _select_first(numbers: torch.Tensor) -> torch.Tensor:
    """Return the first number of each row of ``(B,)`` or ``(B, T)``; none of other shapes."""
    return numbers.reshape(len(numbers), -1)[:, 0].cpu() if numbers.ndim in (1, 2) and numbers.numel() else numbers[:0]


def _is_one(first: torch.Tensor) -> bool:
    """Return whether enough rows all begin with one number."""
    return len(first) >= MIN_ROWS and bool((first == first[0]).all())


@torch.no_grad()
def _look_up(model: nn.Module, module: nn.Embedding, sample: torch.Tensor) -> list[torch.Tensor]:
    """Return the numbers of each call of an embedding for some inputs; none if the network does not take them alone."""
    lookups: list[torch.Tensor] = []
    handle = module.register_forward_pre_hook(partial(_note_numbers, lookups))
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    try:
        with evaluation_mode(model), torch.random.fork_rng(enabled=device.type == "cpu", devices=[]):
            model(sample.to(device))
    except (RuntimeError, TypeError, ValueError, IndexError):
        return []
    finally:
        handle.remove()
    return lookups


def _join(lookups: list[torch.Tensor], padding: int | None) -> torch.Tensor | None:
    """Return all numbers without padding, or None if they are too few or too similar."""
    numbers = torch.cat([x.flatten() for x in lookups]) if lookups else torch.empty(0, dtype=torch.long)
    if padding is not None:
        numbers = numbers[numbers != padding]
    is_enough = len(numbers) >= MIN_LOOKUPS and len(numbers.unique()) >= MIN_NUMBERS
    return numbers if is_enough else None


def _note_numbers(lookups: list[torch.Tensor], _module: nn.Module, arguments: tuple[Any, ...]) -> None:
    if arguments and isinstance(arguments[0], torch.Tensor):
        lookups.append(arguments[0].detach().long().cpu())
