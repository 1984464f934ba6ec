"""An attention mask that hides the words and shows the padding."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.probe import REFUSALS, copied_network
from yisheng.diagnosis.training_checks.padded_targets import find_padding_tokens

MIN_HIDDEN_WORDS, MAX_HIDDEN_PADDING = 0.9, 0.1
"""Fractions of the words and of the padding that are hidden: a mask does the opposite."""
MIN_PADDING = 8
"""Places with padding, and with words, that are required."""
MASKS = (
    "key_padding_mask",
    "src_key_padding_mask",
    "tgt_key_padding_mask",
    "memory_key_padding_mask",
)
ATTENTION = (nn.MultiheadAttention, nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not any(isinstance(module, ATTENTION) for module in case.model.modules()):
        return Message("the network has no attention of torch.nn")
    return "" if case.example is not None and find_padding_tokens(case) else Message("the inputs are no padded tokens")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("underfitting", "plateau", "low-learning-rate", "read-padding", "memorization", "too-few-epochs"),
)
def inverted_mask(case: Case) -> Iterator[Finding]:
    """Find a ``key_padding_mask`` that is true where the words are: torch hides what is true, other libraries show it.

    Args:
        case: its network, a copy of which reads some rows again, and rows of its inputs.

    Source: PyTorch documentation, torch.nn.MultiheadAttention, ``key_padding_mask``.
    """
    assert case.example is not None  # ensured by needs
    x = case.example[0]
    for mask in _read_masks(case.model, case.example):
        if mask.shape != x.shape:
            continue
        hidden = mask if mask.dtype == torch.bool else torch.isneginf(mask)
        is_padding = torch.zeros_like(hidden)
        for token in find_padding_tokens(case):
            is_padding |= x == token
        if int(is_padding.sum()) < MIN_PADDING or int((~is_padding).sum()) < MIN_PADDING:
            continue
        words, padding = float(hidden[~is_padding].float().mean()), float(hidden[is_padding].float().mean())
        if words < MIN_HIDDEN_WORDS or padding > MAX_HIDDEN_PADDING:
            continue
        yield Finding(
            "inverted-mask",
            "error",
            {"hidden words": words, "hidden padding": padding},
            Message(
                "the key_padding_mask hides {words} of the words and {padding} of the padding: attention sees the "
                "padding only",
                words=f"{words:.0%}",
                padding=f"{padding:.0%}",
            ),
            Message("invert it: it is true at padding, as in key_padding_mask=(tokens == padding)"),
            source=case.sources.get("forward", ""),
        )
        return


def _read_masks(model: nn.Module, example: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """Return the masks that a copy of a network gives to its attention."""
    masks: list[torch.Tensor] = []

    def note(_module: nn.Module, _arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        masks.extend(options[name] for name in MASKS if isinstance(options.get(name), torch.Tensor))

    with contextlib.suppress(*REFUSALS), copied_network(model, example) as network:  # masks read until then are kept
        for module in network.modules():
            if isinstance(module, ATTENTION):
                module.register_forward_pre_hook(note, with_kwargs=True)
        network(*example)
    return masks
