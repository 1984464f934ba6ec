"""Trained weights that were not loaded, since their names do not fit."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return "" if case.unloaded is not None else Message("the program holds no trained weights of these shapes")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("frozen-parameters", "underfitting", "overfitting", "memorization", "plateau", "low-learning-rate"),
)
def unloaded_weights(case: Case) -> Iterator[Finding]:
    """Find trained weights in a variable whose shapes are those of the untrained network, under other names.

    `load_state_dict(..., strict=False)` leaves out what it finds no name for, without a word: a prefix such as
    ``module.`` is enough.

    Args:
        case: trained weights that its program holds in variables.

    Source: PyTorch documentation, torch.nn.Module.load_state_dict (missing_keys, unexpected_keys).
    """
    assert case.unloaded is not None  # ensured by needs
    saved, network_name = case.unloaded.names
    yield Finding(
        "unloaded-weights",
        "error",
        {"weights": case.unloaded.count, "saved name": saved, "name in the network": network_name},
        Message(
            "the program holds {count} trained weights of the shapes of this network under other names ({saved} "
            "instead of {own}), and the network has its random initial weights: they were not loaded",
            count=case.unloaded.count,
            saved=saved,
            own=network_name,
        ),
        Message(
            "rename the keys, and call load_state_dict without strict=False; or print what it returns (missing_keys)"
        ),
    )
