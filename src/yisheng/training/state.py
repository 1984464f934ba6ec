"""The state of a training: everything that an exact continuation needs."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn


@dataclass
class Best:
    """The best epoch so far: the reference of early stopping, and the weights that will be used.

    Args:
        epoch: number of the epoch, from 1; 0 before any.
        value: its validation score; None without scores (the latest epoch is the best then).
        weights: a copy of the model's state dict at its end.
        loss: its validation loss, which decides between epochs of the same score; infinite without one.
    """

    epoch: int = 0
    value: float | None = None
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    loss: float = math.inf


@dataclass
class State:
    """The mutable state of a training, updated in place by `yisheng.training.loop.fit`.

    Args:
        model: the network.
        optimizer: torch's optimizer over its parameters; each group has its ``initial_lr``.
        epoch: number of finished epochs.
        position: number of finished batches of the present epoch.
        step: number of updates.
        loss_sum: sum of the training loss over the present epoch's samples, on the device.
        samples: number of those samples.
        best: the best epoch so far.
        seconds: time spent training before this process.
        observe_loss: called with the mean loss of each (micro-)batch right before its backward pass; it must not change
            it. The doctor's recorder is set here; it is not saved.
        is_recorded: returns whether the layers are recorded in the present step, so that all of them must compute; it
            is set together with ``observe_loss``.
        log_bytes: length of ``events.jsonl`` that belongs to this state.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    position: int = 0
    step: int = 0
    loss_sum: torch.Tensor = field(default_factory=lambda: torch.zeros(()))
    samples: int = 0
    best: Best = field(default_factory=Best)
    seconds: float = 0.0
    log_bytes: int = 0
    observe_loss: Callable[[torch.Tensor], None] | None = None
    is_recorded: Callable[[], bool] | None = None

    def advance(self, loss: torch.Tensor, samples: int) -> None:
        """Count one update of ``samples`` samples with this mean loss, without reading the loss from its device."""
        self.step += 1
        self.position += 1
        self.loss_sum = self.loss_sum.to(loss.dtype).add_(loss, alpha=samples)
        self.samples += samples

    def end_epoch(self) -> float:
        """Count the epoch; return its mean training loss, which is read from its device only here."""
        mean = float(self.loss_sum) / max(self.samples, 1)
        self.epoch, self.position = self.epoch + 1, 0
        self.loss_sum, self.samples = torch.zeros_like(self.loss_sum), 0
        return mean

    def dump(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Return the state as named tensors and plain data; the tensors are not copied."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.weights.items()}
        tensors["loss_sum"] = self.loss_sum
        optimizer = self.optimizer.state_dict()
        plain_state: dict[str, dict[str, Any]] = {}
        for index, values in optimizer["state"].items():
            for name, value in values.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer.{index}.{name}"] = value
                elif isinstance(value, list):  # L-BFGS keeps its last steps in lists
                    tensors |= {
                        f"optimizer.{index}.{name}[{place}]": item
                        for place, item in enumerate(value)
                        if isinstance(item, torch.Tensor)
                    }
                    plain_values = [None if isinstance(item, torch.Tensor) else item for item in value]
                    plain_state.setdefault(str(index), {})[name] = plain_values
                else:
                    plain_state.setdefault(str(index), {})[name] = value
        version, numbers, gauss = random.getstate()
        _, keys, at, has_gauss, cached = np.random.get_state(legacy=True)
        tensors["random.torch"] = torch.get_rng_state()
        tensors["random.numpy"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
        if self.loss_sum.device.type == "cuda":  # of the GPU that trains: each other one would hold memory for it
            tensors["random.cuda.0"] = torch.cuda.get_rng_state(self.loss_sum.device)
        plain = {
            "epoch": self.epoch,
            "position": self.position,
            "step": self.step,
            "samples": self.samples,
            "seconds": self.seconds,
            "log_bytes": self.log_bytes,
            "best": {"epoch": self.best.epoch, "value": self.best.value, "loss": _finite(self.best.loss)},
            "optimizer": {"state": plain_state, "param_groups": optimizer["param_groups"]},
            "random": {"python": [version, list(numbers), gauss], "numpy": [int(at), int(has_gauss), float(cached)]},
        }
        return tensors, plain

    def load(self, tensors: dict[str, torch.Tensor], plain: dict[str, Any]) -> None:
        """Restore a state from the result of `dump`; model and optimizer must be built in the same way."""
        self.model.load_state_dict(_below(tensors, "model."))
        state: dict[int, dict[str, Any]] = {int(i): dict(v) for i, v in plain["optimizer"]["state"].items()}
        for name, value in _below(tensors, "optimizer.").items():
            index, _, key = name.partition(".")
            values = state.setdefault(int(index), {})
            if key.endswith("]"):
                key, _, place = key.removesuffix("]").partition("[")
                values[key][int(place)] = value
            else:
                values[key] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": plain["optimizer"]["param_groups"]})
        self._match_memory_format()
        self.loss_sum = tensors["loss_sum"].to(self.loss_sum.device)
        self.epoch, self.position, self.step = plain["epoch"], plain["position"], plain["step"]
        self.samples, self.seconds, self.log_bytes = plain["samples"], plain["seconds"], plain["log_bytes"]
        best = plain["best"]
        loss = math.inf if best["loss"] is None else best["loss"]
        self.best = Best(best["epoch"], best["value"], _below(tensors, "best."), loss)
        version, numbers, gauss = plain["random"]["python"]
        random.setstate((version, tuple(numbers), gauss))
        at, has_gauss, cached = plain["random"]["numpy"]
        np.random.set_state(("MT19937", tensors["random.numpy"].numpy().astype(np.uint32), at, has_gauss, cached))
        torch.set_rng_state(tensors["random.torch"])
        gpu, device = tensors.get("random.cuda.0"), self.loss_sum.device
        if gpu is not None and device.type == "cuda":
            torch.cuda.set_rng_state(gpu, device)

    def _match_memory_format(self) -> None:
        """Give the optimizer's tensors the memory format of their parameters: fused kernels rely on it."""
        for parameter, tensors in self.optimizer.state.items():
            for name, value in tensors.items():
                if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                    tensors[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _finite(value: float) -> float | None:
    """Return the number, or None for infinity and NaN, which JSON does not have."""
    return value if math.isfinite(value) else None
