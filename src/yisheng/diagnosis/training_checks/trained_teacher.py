"""Targets of another network that is trained to agree."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.loss_problems import MIN_LOSSES, collect_forms


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    has_sides = any(form.learned_sides for form in collect_forms(case))
    return "" if has_sides else Message("no loss compares the outputs of two trained networks")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("collapsed-outputs", "constant-outputs", "instant-fit", "plateau", "unbounded-loss", "low-learning-rate"),
)
def trained_teacher(case: Case) -> Iterator[Finding]:
    """Find a loss that only compares two networks which are both trained: it is smallest if both say nothing.

    Targets may have a gradient if something else teaches them: labels, a second task, negative examples, or a
    normalization over the rows.

    Args:
        case: the form of its recorded losses.

    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015, section 2; Chen and He,
    "Exploring simple Siamese representation learning", 2021, section 4.1 (collapse without a stopped gradient).
    """
    forms = collect_forms(case)
    sides = [form.learned_sides for form in forms if form.learned_sides is not None]
    if len(sides) < MIN_LOSSES or len(sides) < len(forms):
        return
    output, target = sides[0]
    if not output | target <= case.optimizer_ids:
        return
    yield Finding(
        "trained-teacher",
        "error",
        {"losses": len(sides), "parameters of the target": len(target), "parameters of the output": len(output)},
        Message(
            "the loss compares the outputs of two networks, and the optimizer trains both to agree: it is smallest "
            "where both give the same for all rows, and nothing else says what they are to give"
        ),
        Message(
            "compute the targets under torch.no_grad(), or detach() them, and give the optimizer the parameters of the "
            "student only"
        ),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )
