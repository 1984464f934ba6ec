"""Tokens that are masked far more often in training than in evaluation."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import Case

CHECK = "evaluated-inputs"
MIN_ROWS, MIN_LENGTH = 64, 8
"""Rows of each part, and tokens of a row."""
MIN_MASKED, MAX_MASKED_IN_EVALUATION = 0.6, 0.4
"""Fractions of the tokens that are one and the same: published trainings mask 15% to 40%, and 0.85 is 1 - 0.15."""
MIN_MASKED_IN_EVALUATION = 0.02
"""A smaller fraction is none: the evaluation may be another task."""
MIN_VISIBLE_RATIO = 2.5
"""Fraction of the tokens that evaluation shows relative to that in training."""
MIN_SCATTER = 0.7
"""Changes between the token and others along a row, relative to those of independent places: padding has one."""


def find_other_masking(case: Case) -> Iterator[Finding]:
    """Yield that one token replaces most others in training and few in evaluation, at random places in both.

    Args:
        case: rows of the inputs of training and evaluation.

    Source: Devlin, Chang, Lee and Toutanova, "BERT: pre-training of deep bidirectional transformers for language
    understanding", 2019, section 3.1 (15%); Wettig, Gao, Zhong and Chen, "Should you mask 15% in masked language
    modeling?", 2023.
    """
    batches = [record.sample for record in case.records if record.sample is not None]
    rows = _join([batch for batch in batches if batch.shape[1:] == batches[0].shape[1:]])
    if rows is None or len(rows) < MIN_ROWS:
        return
    token = int(rows.flatten().mode().values)
    masked, scatter = _measure(rows, token)
    if masked < MIN_MASKED or scatter < MIN_SCATTER:
        return
    samples = [_join([sample]) for sample in case.evaluated.samples.list_samples()]
    parts = [_measure(sample, token) for sample in samples if sample is not None and len(sample) >= MIN_ROWS]
    if not parts or any(not _is_lighter(masked, *part) for part in parts):
        return
    yield Finding(
        CHECK,
        "warning",
        {"token": token, "fraction in training": masked, "fraction in evaluation": parts[0][0]},
        Message(
            "{masked} of the tokens of training are {token}, at random places, and {other} of those of evaluation: "
            "most of what the network could learn from is masked",
            masked=f"{masked:.0%}",
            token=token,
            other=f"{parts[0][0]:.0%}",
        ),
        Message("mask as many tokens as in evaluation: torch.rand(ids.shape) < 0.15 is true where a token is masked"),
        source=case.sources.get("forward", ""),
    )


def _join(batches: list[torch.Tensor]) -> torch.Tensor | None:
    """Return rows of tokens ``(N, T)``, or None if these are no tokens."""
    is_tokens = batches and all(x.ndim == 2 and x.dtype in (torch.int64, torch.int32) for x in batches)
    rows = torch.cat(batches).cpu() if is_tokens else None
    return rows if rows is not None and rows.shape[1] >= MIN_LENGTH else None


def _measure(rows: torch.Tensor, token: int) -> tuple[float, float]:
    """Return which fraction of the places a token has, and how often it alternates relative to random places.

    >>> _measure(torch.tensor([[1, 0, 1, 0], [0, 1, 1, 0]]), 0)[0]
    0.5
    """
    is_token = rows == token
    fraction = float(is_token.float().mean())
    changes = float((is_token[:, 1:] != is_token[:, :-1]).float().mean())
    return fraction, changes / max(2 * fraction * (1 - fraction), 1e-9)


def _is_lighter(masked: float, fraction: float, scatter: float) -> bool:
    """Return whether an evaluation masks far fewer tokens, at random places."""
    is_lower = MIN_MASKED_IN_EVALUATION <= fraction <= MAX_MASKED_IN_EVALUATION
    return is_lower and scatter >= MIN_SCATTER and 1 - fraction >= MIN_VISIBLE_RATIO * (1 - masked)
