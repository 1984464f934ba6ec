"""Which line of the user's program a finding is about."""

from __future__ import annotations

from dataclasses import replace

from yisheng.core.findings import Finding
from yisheng.diagnosis.case import Case

SOURCES: dict[str, tuple[str, ...]] = {
    "carried-gradients": ("backward",),
    "half-precision": ("optimizer",),
    "high-learning-rate": ("optimizer",),
    "inputs": ("forward",),
    "loss-pairing": ("loss", "backward"),
    "low-learning-rate": ("optimizer",),
    "missing-update": ("backward",),
    "mode": ("evaluation", "forward"),
    "no-gradient": ("cut", "cut after"),
    "non-finite-loss": ("loss", "backward"),
    "oscillation": ("optimizer",),
    "strong-decay": ("optimizer",),
    "target-range": ("loss", "backward"),
    "target-scale": ("loss", "backward"),
    "uncovered-parameters": ("optimizer",),
}
"""For each check what its finding is about: the first of these whose line is known."""


def add_source(finding: Finding, case: Case) -> Finding:
    """Return a finding with the line of the user's program that it is about, if the line is known."""
    if finding.source:
        return finding
    lines = (case.sources.get(event, "") for event in SOURCES.get(finding.check, ()))
    source = next((line for line in lines if line), "")
    return replace(finding, source=source) if source else finding
