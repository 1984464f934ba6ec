"""A logarithm that is cut off at zero, such as that of a variance after a relu."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.loss_problems import MIN_LOSSES, collect_forms


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    has_exponent = any(form.positive_exponent for form in collect_forms(case))
    return "" if has_exponent else Message("no exponential is taken of a number that cannot be negative")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("underfitting", "plateau", "dead-relu", "collapsed-outputs", "strong-entropy", "constant-outputs"),
)
def bounded_code(case: Case) -> Iterator[Finding]:
    """Find exponentials of a relu or softplus: exp(max(0, a)) >= 1, so that no variance or rate is below 1.

    Variational autoencoders and networks that predict a variance learn its logarithm, which must be free to be
    negative; so must the means next to it.

    Args:
        case: the form of its recorded losses.

    Source: Kingma and Welling, "Auto-encoding variational Bayes", 2014, appendix C.2 (linear layers for mean and
    logarithm of the variance).
    """
    forms = collect_forms(case)
    names = [form.positive_exponent for form in forms if form.positive_exponent]
    if len(names) < MIN_LOSSES or len(names) < len(forms):
        return
    yield Finding(
        "bounded-code",
        "warning",
        {"losses": len(names), "activation": names[0]},
        Message(
            "an exponential is taken of the result of {activation}, which is never negative: the variance (or rate) on "
            "one side of 1 is out of reach, and so are negative means if they come from the same activation",
            activation=names[0],
        ),
        Message("leave out the activation after the last layer of means and logarithms: they may be negative"),
        source=case.sources.get("forward", "") or case.sources.get("backward", ""),
    )
