"""The doctor at anyone's training loop."""

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
    """Watches a plain PyTorch training loop and says what is wrong with it.

    What is trained is the same to the bit: it only looks, at every step in the beginning and then ever fewer.

    Args:
        model: the network.
        optimizer: what updates it.

    Raises:
        UsageError: these are no network and no optimiser.

    >>> net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> x, y = torch.randn(16, 2), torch.zeros(16, dtype=torch.long)
    >>> with doctor(net, sgd) as dr:
    ...     for _ in range(5):
    ...         sgd.zero_grad()
    ...         nn.functional.cross_entropy(net(x).softmax(1), y).backward()
    ...         sgd.step()
    >>> dr.findings[0].check
    'loss-pairing'
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        if not isinstance(model, nn.Module) or not isinstance(optimizer, torch.optim.Optimizer):
            raise UsageError(
                f"the doctor wants a torch.nn.Module and a torch.optim.Optimizer, got {type(model).__name__} and "
                f"{type(optimizer).__name__}",
                "with yisheng.doctor(model, optimizer) as dr: ...",
            )
        self._watch = Recorder(model, optimizer)

    def __enter__(self) -> doctor:
        self._watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.__exit__(kind, error, trace)

    def diagnose(self) -> Diagnosis:
        """What can be said so far: during training, too."""
        return diagnose(Case.from_recorder(self._watch))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The causes, the likeliest first; empty when all is well."""
        return self.diagnose().findings

    def __str__(self) -> str:
        return str(self.diagnose())
