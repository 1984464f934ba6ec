"""Updates in evaluation mode, or evaluation in training mode."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.evaluations import MODE_DEPENDENT

MIN_UPDATES, MIN_UPDATE_FRACTION = 5, 0.25
"""Updates in evaluation mode that are reported, at least, and as a fraction of all."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.is_finished and case.probe.active_dropout:
        return ""
    depends_on_mode = any(isinstance(module, MODE_DEPENDENT) for module in case.model.modules())
    return "" if depends_on_mode else Message("the network has neither dropout nor batch norm")


@register(needs=explain_skip, when="first", cause="structure")
def mode(case: Case) -> Iterator[Finding]:
    """Find updates in evaluation mode, or evaluation in training mode, if the network has layers that depend on it.

    A frozen part may be in evaluation mode: only the mode of the network as a whole counts, while layers that depend
    on the mode learn.

    Args:
        case: the modes of its updates and evaluations.

    Source: PyTorch documentation, torch.nn.Module.eval.
    """
    if case.is_finished and case.probe.active_dropout:
        function = case.probe.active_dropout
        yield Finding(
            "mode",
            "error",
            {"change in standard deviations": case.probe.chance or 0.0},
            Message(
                "F.{function} drops values in evaluation mode, too: two predictions for the same row differ "
                "by {chance} standard deviations",
                function=function,
                chance=f"{case.probe.chance or 0.0:.2g}",
            ),
            Message("use F.{function}(x, p, training=self.training), or an nn.Dropout module", function=function),
            source=case.sources.get("evaluation", "") or case.sources.get("forward", ""),
        )
        return
    modules = [(name, module) for name, module in case.model.named_modules() if isinstance(module, MODE_DEPENDENT)]
    learning = [name for name, module in modules if _is_active(module)]
    count = case.updated_in_evaluation_mode
    if learning and count >= MIN_UPDATES and count > MIN_UPDATE_FRACTION * case.steps:
        yield Finding(
            "mode",
            "warning",
            {"updates": count, "of": case.steps, "layers": learning[:5]},
            Message(
                "{count} of {steps} updates are made in evaluation mode: {learning} does not work as it "
                "should in training",
                count=count,
                steps=case.steps,
                learning=learning[0],
            ),
            Message("call model.train() before the training steps, and again after each evaluation"),
        )
    if case.evaluated_in_training_mode > 1:
        layer = modules[0][0] if modules else "dropout"
        yield Finding(
            "mode",
            "warning",
            {"forward passes": case.evaluated_in_training_mode},
            Message(
                "the network is evaluated in training mode: {layer} makes its predictions random or "
                "dependent on the other rows of the batch",
                layer=layer,
            ),
            Message("call model.eval() before evaluating"),
        )


def _is_active(module: nn.Module) -> bool:
    """Return whether a layer is dropout with a positive probability, or has parameters that learn."""
    drops = getattr(module, "p", 0) > 0  # only dropout has an attribute p
    return drops or any(p.requires_grad for p in module.parameters())
