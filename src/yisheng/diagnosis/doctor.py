"""The doctor in any PyTorch training loop."""

from __future__ import annotations

from types import TracebackType

import torch
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.ranking import Diagnosis, diagnose
from yisheng.diagnosis.recorder.recorder import Recorder


class doctor:  # noqa: N801  # it is used like a function: with yisheng.doctor(model, optimizer) as dr
    """Record a plain PyTorch training loop and find what is wrong with it.

    The trained weights are the same to the bit: the doctor only observes, in each of the first steps and then ever
    fewer.

    Args:
        model: the network.
        optimizer: what updates it.

    Raises:
        UsageError: an argument is not a network or not an optimizer.

    >>> net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> x, y = torch.randn(16, 2), torch.zeros(16, dtype=torch.long)
    >>> with doctor(net, sgd) as dr:
    ...     for _ in range(5):
    ...         sgd.zero_grad()
    ...         nn.functional.cross_entropy(net(x).softmax(1), y).backward()
    ...         sgd.step()
    >>> dr.findings[0].check, dr.diagnose().findings[0].severity
    ('loss-pairing', 'error')
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        if not isinstance(model, nn.Module) or not isinstance(optimizer, torch.optim.Optimizer):
            raise UsageError(
                "the doctor requires a torch.nn.Module and a torch.optim.Optimizer, got "
                f"{type(model).__name__} and {type(optimizer).__name__}",
                "write: with yisheng.doctor(model, optimizer) as dr: ...",
            )
        self._recorder = Recorder(model, optimizer)

    def __enter__(self) -> doctor:
        self._recorder.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._recorder.__exit__(kind, error, trace)

    def diagnose(self) -> Diagnosis:
        """Run the training checks on what was recorded so far; this works during training, too."""
        return diagnose(Case.from_recorder(self._recorder))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the causes, the most likely first; empty if nothing is wrong."""
        return self.diagnose().findings

    def __str__(self) -> str:
        return str(self.diagnose())

    def _repr_html_(self) -> str:
        return self.diagnose()._repr_html_()
