"""The doctor in the book's training functions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.modes import evaluation_mode

if TYPE_CHECKING:
    from yisheng.diagnosis.ranking import Diagnosis


@contextlib.contextmanager
def watch(net: Any, updater: Any, doctor: bool) -> Iterator[Callable[[float], None]]:
    """Watch the training inside with the doctor, if asked, and show its findings at the end.

    Args:
        net: the network.
        updater: what updates it.
        doctor: whether to watch.

    Yields:
        A function that takes the test accuracy after each epoch.

    Raises:
        UsageError: the network or the updater is a function, which the doctor cannot watch.
    """
    if not doctor:
        yield lambda _: None
        return
    if not isinstance(net, nn.Module) or not isinstance(updater, torch.optim.Optimizer):
        raise UsageError(
            Message(
                "doctor=True requires a torch.nn.Module and a torch.optim.Optimizer, "
                "got {model_type} and {optimizer_type}",
                model_type=type(net).__name__,
                optimizer_type=type(updater).__name__,
            ),
            Message("use nn.Sequential(...) and torch.optim.SGD(net.parameters(), lr), or leave doctor=True out"),
        )
    from yisheng.diagnosis.doctor import doctor as doctor_context

    recording = doctor_context(net, updater)
    try:
        with recording:
            yield lambda accuracy: recording.validation(score=accuracy)
    finally:
        show_findings(recording.diagnose())


def create_lazy_layers(net: Any, batches: Iterable[Any]) -> None:
    """Create the lazy layers of a network by one batch; a network without lazy layers is left as it is.

    Args:
        net: the network.
        batches: its inputs and labels.
    """
    if not isinstance(net, nn.Module) or not any(isinstance(p, nn.UninitializedParameter) for p in net.parameters()):
        return
    device = next((p.device for p in net.parameters()), None)
    *inputs, _ = next(iter(batches))
    with torch.no_grad(), evaluation_mode(net):
        net(*(x.to(device) for x in inputs))


def show_findings(diagnosis: Diagnosis) -> None:
    """Show the doctor's findings: as a table in a notebook, as text elsewhere.

    The checks that such a training gives no occasion for are left out; `yisheng.doctor` lists them.
    """
    from yisheng.d2l.figure_files import in_notebook

    diagnosis = replace(diagnosis, unchecked={})
    if in_notebook():
        from IPython.display import display

        display(diagnosis)
    else:
        print(diagnosis)
