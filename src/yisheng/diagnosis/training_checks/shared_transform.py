"""A transform that is set for one subset of a data set, and holds for the other as well."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    has_transform = case.shared_transform is not None
    return "" if has_transform else Message("no transform was set through one of several subsets of a data set")


@register(needs=explain_skip, when="during", cause="data", explains=("overfitting", "memorization"))
def shared_transform(case: Case) -> Iterator[Finding]:
    """Find ``subset.dataset.transform = ...`` where another subset has the same data set.

    A program that sets it again for each evaluation has another value at the end. It is a note if the transform is set
    through one subset only, which may be meant for both.

    Args:
        case: the subsets of its program.

    Source: PyTorch documentation, torch.utils.data.random_split and Subset (both keep the data set itself).
    """
    transform = case.shared_transform
    if transform is None or not transform.is_in_use:
        return
    name, partner = transform.names
    yield Finding(
        "shared-transform",
        "error" if transform.is_contradictory else "note",
        {"subsets": list(transform.names), "attribute": transform.attribute, "line": transform.line},
        Message(
            "{name}.dataset.{attribute} is set, and {partner} has the same data set: the {attribute} holds for both",
            name=name,
            partner=partner,
            attribute=transform.attribute,
        ),
        Message(
            "make two data sets, each with its own transform, and take the rows from them: "
            "Subset(Images(transform=augment), train_rows), Subset(Images(transform=None), validation_rows)"
        ),
        source=case.sources.get("forward", ""),
    )
