"""Targets that torch's loss function refused."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.loss_calls import LossCall

CLASS_LOSSES = ("cross_entropy", "nll_loss", "multi_margin_loss")
Explanation = tuple[str, str]
"""What was compared, and the remedy."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return Message("the loss of a config is checked before training")
    return "" if case.loss_calls else Message("no call of a PyTorch loss function was seen")


@register(needs=explain_skip, when="first", cause="structure", explains=("missing-update", "unused-class"))
def refused_loss(case: Case) -> Iterator[Finding]:
    """Find a call of a loss function that torch refused: classes out of range, types or shapes that do not fit.

    Args:
        case: its calls of loss functions.

    Source: PyTorch documentation, torch.nn.CrossEntropyLoss, BCELoss, BCEWithLogitsLoss ("Shape").
    """
    call = next((call for call in reversed(case.loss_calls) if call.error), None)
    if call is None:
        return
    problem, remedy = explain_refusal(call)
    yield Finding(
        "refused-loss",
        "error",
        {"output": list(call.output_shape), "target": list(call.target_shape), "type": call.target_dtype},
        Message("{function} refused its arguments: {problem}", function=call.function, problem=problem),
        remedy,
        source=call.source,
    )


def explain_refusal(call: LossCall) -> Explanation:
    """Return why a loss function refused a call, and what to do.

    >>> call = LossCall("cross_entropy", (8, 10), (8,), "int64", None, low=1, high=10, error="out of bounds")
    >>> explain_refusal(call)[1]
    'subtract 1 from the class numbers: they must begin at 0'
    """
    is_integer = call.target_dtype.startswith(("int", "uint"))
    same_rows = call.output_shape[:1] == call.target_shape[:1]
    if not call.target_dtype.startswith(("int", "uint", "float", "bfloat", "bool")):
        return Message("the target is a {target_dtype}", target_dtype=call.target_dtype), Message(
            "give the targets as a tensor"
        )
    if call.target_shape and not same_rows:
        return (
            Message(
                "the output has {value} rows and the target {target_shape}",
                value=call.output_shape[0] if call.output_shape else 1,
                target_shape=call.target_shape[0],
            ),
            Message("keep the batch as the first axis: reshape with x.flatten(1), not with view(-1, n)"),
        )
    if call.function in CLASS_LOSSES:
        return _explain_classes(call, is_integer)
    if call.function.startswith("binary_cross_entropy"):
        return _explain_binary(call, is_integer)
    return _describe_error(call)


def _explain_classes(call: LossCall, is_integer: bool) -> Explanation:
    classes = call.output_shape[1] if len(call.output_shape) > 1 else 0
    if is_integer and classes and len(call.target_shape) == len(call.output_shape) and call.target_shape[1:] == (1,):
        return (
            Message(
                "class numbers must have shape {expected}, got {shape}",
                expected=call.target_shape[:1],
                shape=call.target_shape,
            ),
            "use y.squeeze(1)",
        )
    if is_integer and classes and (call.high >= classes or call.low < 0):
        numbers = Message("the class numbers go from {low} to {high}", low=f"{call.low:g}", high=f"{call.high:g}")
        expected = Message(
            "the output has {classes} units, for the classes 0 to {value}", classes=classes, value=classes - 1
        )
        if call.low >= 1 and call.high == classes:
            return Message("{numbers}, and {expected}", numbers=numbers, expected=expected), Message(
                "subtract 1 from the class numbers: they must begin at 0"
            )
        if call.low < 0:
            return Message("{numbers}, and {expected}", numbers=numbers, expected=expected), Message(
                "give each row a class from 0 to {value}", value=classes - 1
            )
        return (
            Message("{numbers}, and {expected}", numbers=numbers, expected=expected),
            Message(
                "give the last layer one unit per class ({value}), or check how the classes are numbered",
                value=f"{call.high + 1:g}",
            ),
        )
    if not is_integer and call.target_shape != call.output_shape:
        return Message("class numbers must be int64, got {target_dtype}", target_dtype=call.target_dtype), Message(
            "use y.long()"
        )
    if is_integer and call.target_dtype not in ("int64", "uint8"):
        return Message("class numbers must be int64, got {target_dtype}", target_dtype=call.target_dtype), Message(
            "use y.long()"
        )
    return _describe_error(call)


def _explain_binary(call: LossCall, is_integer: bool) -> Explanation:
    if call.target_shape != call.output_shape:
        axes = len(call.output_shape) - len(call.target_shape)
        remedy = (
            Message("use output.squeeze(1)")
            if axes == 1 and call.output_shape[-1:] == (1,)
            else Message("use y.view_as(output)")
        )
        return Message(
            "the output has shape {output_shape} and the target {target_shape}",
            output_shape=call.output_shape,
            target_shape=call.target_shape,
        ), remedy
    if is_integer:
        return Message(
            "the targets must be of the type of the output, got {target_dtype}", target_dtype=call.target_dtype
        ), Message("use y.float()")
    if call.function == "binary_cross_entropy" and 0 <= call.low <= call.high <= 1:
        return (
            Message("the output is not between 0 and 1"),
            Message("use binary_cross_entropy_with_logits on the raw output, or apply a sigmoid first"),
        )
    return _describe_error(call)


def _describe_error(call: LossCall) -> Explanation:
    return (
        call.error,
        Message(
            "compare output and target: shapes {output_shape} and {target_shape}, type {target_dtype}",
            output_shape=call.output_shape,
            target_shape=call.target_shape,
            target_dtype=call.target_dtype,
        ),
    )
