"""Attention whose heads were split by a reshape, so that each one sees a piece of the sequence."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_PIECE = 2
"""Positions of a piece: one whose positions do not see each other has no attention."""
MAX_LEARNED_FRACTION = 0.95
"""A training that has learned more than this needs no other positions."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not case.is_finished:
        return Message("the training is not finished")
    if not case.learned_less_than(MAX_LEARNED_FRACTION):
        return Message("the network has learned what its loss can show")
    positions = case.read_positions
    is_per_position = positions is not None and positions.is_per_position
    return "" if is_per_position else Message("the network does not predict each position of one tensor of sequences")


@register(needs=explain_skip, when="during", cause="structure", explains=("underfitting", "overfitting", "plateau"))
def reshaped_heads(case: Case) -> Iterator[Finding]:
    """Find predictions that depend on the positions of their own piece only, while the sequence has several pieces.

    `view(B, H, T, d)` of (B, T, H d) does not exchange axes: it cuts each sequence into H pieces, and each head
    attends to one of them. A convolution sees beyond such a border, and full attention sees everything.

    Args:
        case: its network in its last state, and rows of its inputs.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.2.2.
    """
    positions = case.read_positions
    assert positions is not None  # ensured by needs
    total = len(positions.influence)
    if not bool(positions.varies.all()):
        return
    pieces = find_pieces(positions.influence)
    if pieces < 2:
        return
    yield Finding(
        "reshaped-heads",
        "error",
        {"positions": total, "pieces": pieces},
        Message(
            "the prediction for a position depends on its own {size} of {total} positions only: the sequence is cut "
            "into {pieces} pieces that do not see each other, as view(B, H, T, d) does",
            size=total // pieces,
            total=total,
            pieces=pieces,
        ),
        Message(
            "split the heads by x.view(B, T, H, d).transpose(1, 2), and join them by "
            "x.transpose(1, 2).reshape(B, T, H * d)"
        ),
        source=case.sources.get("forward", ""),
    )


def find_pieces(influence: torch.Tensor) -> int:
    """Return into how many pieces of equal length positions fall that do not see each other; 1 if there are none.

    Args:
        influence: booleans ``(T, T)``.

    >>> find_pieces(torch.block_diag(torch.ones(3, 3), torch.ones(3, 3)).bool()), find_pieces(torch.ones(6, 6).bool())
    (2, 1)
    """
    total = len(influence)
    for size in range(MIN_PIECE, total // 2 + 1):
        if total % size:
            continue
        place = torch.arange(total) // size
        is_inside = place[:, None] == place[None]
        between = influence & is_inside & ~torch.eye(total, dtype=torch.bool)
        sees_others = between.reshape(total // size, size, total).flatten(1).any(1)
        if not bool((influence & ~is_inside).any()) and bool(sees_others.all()):
            return total // size
    return 1
