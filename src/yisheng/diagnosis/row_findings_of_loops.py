"""Which findings about rows hold for a user's own loop, whose loss shows how the targets are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from yisheng.core.findings import Finding
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case

CIRCULAR, SIGNAL, CAPPED = "circular-target", "no-signal", "capped-targets"
ABSENT = "absent-classes"
TARGET_KIND, READING = "target-kind", "data in memory"
CHECKS_OF_TARGETS = ("target-in-inputs", "fading-columns", "shifted-targets")
"""Checks that compare inputs with targets, which are the same in an autoencoder."""
COMPOSED_LOSSES = ("squared", "absolute")
"""Losses of elementary operations, between which there may be others, such as a mask or a limit."""
CLASS_LOSSES = ("nll", "soft_nll", "binary_cross_entropy", "binary_cross_entropy_with_logits")


def select_for_loop(findings: Sequence[Finding], case: Case, data: Any) -> list[Finding]:
    """Return the findings about rows without those about how Yisheng itself would read or learn them.

    In an autoencoder the targets are the inputs, on purpose. Angles may be given to the doctor while the loop learns
    their sine and cosine, or with a loss of its own.

    Args:
        findings: of the checks of the rows.
        case: the training, whose loss compares classes or numbers.
        data: the training rows ``(x, y)``.
    """
    if _is_autoencoder(data):
        findings = [finding for finding in findings if finding.check not in CHECKS_OF_TARGETS]
    if not _learns_numbers(case, data):
        findings = [finding for finding in findings if finding.check != CIRCULAR]
    if not _compares_directly(case):
        findings = [finding for finding in findings if finding.check != CAPPED]
    if not _has_known_loss(case):  # another loss may learn more than the mean, which the quick model predicts
        findings = [replace(finding, severity="note") if finding.check == SIGNAL else finding for finding in findings]
    kinds = [finding for finding in findings if finding.check == TARGET_KIND and finding.severity != "error"]
    compares_classes = case.pairing is not None and case.pairing.loss in CLASS_LOSSES
    if case.pairing is not None and case.pairing.loss in REGRESSION_LOSSES:  # whole numbers are no classes there
        findings = [finding for finding in findings if finding.check != ABSENT]
    dropped = kinds if compares_classes or len(kinds) > 1 else []
    return [finding for finding in findings if finding.check != READING and finding not in dropped]


def _learns_numbers(case: Case, data: Any) -> bool:
    """Return whether an error of numbers compares as many of each row as the given targets have."""
    y = data[1] if isinstance(data, tuple | list) and len(data) == 2 else None
    targets = next((record.targets for record in case.records if record.targets is not None), None)
    if case.pairing is None or case.pairing.loss not in REGRESSION_LOSSES:
        return False
    if targets is None or not isinstance(y, torch.Tensor) or not len(targets) or not len(y):
        return True
    return targets[0].numel() == y[0].numel()


def _compares_directly(case: Case) -> bool:
    """Return whether an error of numbers is output minus target, and nothing is done with it before its power."""
    pairing = case.pairing
    if pairing is None or pairing.loss not in REGRESSION_LOSSES or not pairing.is_only_term or pairing.is_weighted:
        return False
    return pairing.loss not in COMPOSED_LOSSES or pairing.difference is not None


def _has_known_loss(case: Case) -> bool:
    """Return whether the loss is one of classes or numbers, and nothing else."""
    pairing = case.pairing
    return pairing is not None and pairing.is_only_term and pairing.loss in (*CLASS_LOSSES, *REGRESSION_LOSSES)


def _is_autoencoder(data: Any) -> bool:
    """Return whether the targets are the inputs themselves."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        return False
    x, y = data
    if not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor) or x.numel() != y.numel():
        return False
    return y.ndim > 1 and x.dtype == y.dtype and torch.equal(x.reshape(-1), y.reshape(-1))
