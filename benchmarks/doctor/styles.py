"""Everyday faults in loops of many styles: does what the doctor finds depend on how the loop is written?

Digits of 8 x 8 are learned in sixteen styles: outputs in dictionaries, a loss within the network, accumulation, mixed
precision, closures, two optimizers, losses that are written out, averages of weights, recurrent networks, two heads,
raw parameters, soft labels, transformers. Each has a healthy loop and fifteen faulty ones.

    python -m benchmarks.doctor.styles [styles=plain,...] [faults=healthy,no-zero,...] [seeds=1]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from yisheng.core.findings import Finding
from yisheng.diagnosis.doctor import doctor

FAULTS: dict[str, tuple[str, ...]] = {
    "healthy": (),
    "no-zero": ("carried-gradients",),
    "rate-high": ("high-learning-rate",),
    "rate-low": ("low-learning-rate",),
    "rate-vanishes": ("low-learning-rate",),
    "softmax-output": ("loss-pairing",),
    "relu-output": ("loss-pairing",),
    "evaluation-mode": ("mode",),
    "evaluated-in-training-mode": ("mode",),
    "head-only": ("uncovered-parameters",),
    "shuffled-labels": ("memorization", "baseline-not-beaten"),
    "detached": ("no-gradient",),
    "zero-weights": ("symmetric-weights",),
    "dead-units": ("dead-relu",),
    "large-weights": ("exploding-gradients", "initial-loss", "high-learning-rate"),
    "strong-decay": ("strong-decay",),
}
"""The checks that name each fault rightly."""
BODIES = {
    "lstm": "recurrent",
    "transformer": "transformer",
    "raw-parameters": "raw",
    "written-loss": "dense",
    "numpy-batches": "dense",
    "two-heads": "dense",
}
"""Networks of the other styles."""
CONVOLUTIONAL_STYLES = (
    "plain",
    "dictionaries",
    "loss-inside",
    "accumulated",
    "autocast",
    "closure",
    "two-optimizers",
    "weighted-rows",
    "averaged-weights",
    "soft-labels",
)
STYLES = (*CONVOLUTIONAL_STYLES, *BODIES)
ADAPTIVE = ("averaged-weights", "lstm", "transformer", "dictionaries", "soft-labels")
"""Styles with Adam or AdamW instead of SGD."""
WITHOUT_UNITS = ("lstm",)
"""Styles whose body has no relu units that could be dead."""
ROWS, EPOCHS, BATCH, ACCUMULATED = 1200, 10, 32, 4
DEAD_BIAS, LARGE_FACTOR = -30.0, 30.0


class Body(nn.Module):
    """The layers below the head.

    Args:
        kind: convolutional, dense, recurrent, transformer or raw (bare parameters).
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.dropout = nn.Dropout(0.2)
        self.layers: nn.Module
        if kind == "recurrent":
            self.layers, self.width = nn.LSTM(8, 48, batch_first=True), 48
        elif kind == "transformer":
            self.project, self.positions = nn.Linear(8, 32), nn.Parameter(torch.randn(1, 8, 32) * 0.1)
            self.layers, self.width = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True), 32
        elif kind == "raw":
            self.weight, self.bias = nn.Parameter(torch.randn(64, 64) * 64**-0.5), nn.Parameter(torch.zeros(64))
            self.width = 64
        elif kind == "dense":
            layers = [nn.Flatten(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2)]
            self.layers, self.width = nn.Sequential(*layers, nn.Linear(64, 48), nn.ReLU()), 48
        else:
            first = [nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)]
            second = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
            self.layers, self.width = nn.Sequential(*first, *second, nn.Dropout(0.2)), 128

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features ``(N, width)`` of images ``(N, 1, 8, 8)``."""
        if self.kind == "recurrent":
            return self.dropout(self.layers(x.squeeze(1))[0][:, -1])
        if self.kind == "transformer":
            return self.layers(self.project(x.squeeze(1)) + self.positions).mean(1)
        if self.kind == "raw":
            return self.dropout(F.relu(F.linear(x.flatten(1), self.weight, self.bias)))
        return self.layers(x)


class Network(nn.Module):
    """A body and its head, with the faults that are in a network.

    Args:
        style: of the loop.
        fault: one of `FAULTS`.
    """

    def __init__(self, style: str, fault: str) -> None:
        super().__init__()
        self.style, self.fault = style, fault
        self.body = Body(BODIES.get(style, "convolutional"))
        self.head = nn.Linear(self.body.width, 10)
        self.parity = nn.Linear(self.body.width, 2) if style == "two-heads" else None
        self._spoil()

    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None) -> Any:
        """Return the outputs in the style of the loop."""
        features = self.body(x)
        if self.fault == "detached":
            features = features.detach()
        logits = self.head(features)
        logits = F.relu(logits) if self.fault == "relu-output" else logits
        logits = logits.softmax(-1) if self.fault == "softmax-output" else logits
        if self.style == "dictionaries":
            return {"logits": logits, "features": features}
        if self.style == "loss-inside":
            return (None if y is None else F.cross_entropy(logits, y)), logits
        return logits if self.parity is None else (logits, self.parity(features))

    @torch.no_grad()
    def _spoil(self) -> None:
        for p in self.parameters():
            if self.fault == "zero-weights":
                p.zero_()
            if self.fault == "large-weights" and p.ndim > 1:
                p.mul_(LARGE_FACTOR)
        if self.fault == "dead-units":
            for module in self.body.modules():
                if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.Conv2d | nn.Linear):
                    module.get_parameter("bias").fill_(DEAD_BIAS)
            if self.body.kind == "raw":
                self.body.bias.fill_(DEAD_BIAS)


@dataclass
class Loop:
    """A training loop in one style with one fault.

    Args:
        style: one of `STYLES`.
        fault: one of `FAULTS`.
        seed: of the network and the batches.
    """

    style: str
    fault: str
    seed: int = 0
    network: Network = field(init=False)
    optimizers: list[torch.optim.Optimizer] = field(init=False)
    accuracy: float = 0.0

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        self.network = Network(self.style, self.fault)
        self.optimizers = self._create_optimizers()

    def run(self) -> tuple[Finding, ...]:
        """Train, and return what the doctor finds."""
        generator = torch.Generator().manual_seed(self.seed)
        images, classes = load_digits(return_X_y=True)
        order = torch.randperm(len(images), generator=generator)
        x = torch.tensor(images / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)[order]
        y = torch.tensor(classes)[order]
        labels = y[:ROWS]
        if self.fault == "shuffled-labels":
            labels = labels[torch.randperm(ROWS, generator=generator)]
        with doctor(self.network, self.optimizers[0]) as observer:
            self._train(x[:ROWS], labels, x[ROWS:], y[ROWS:], generator)
        return observer.findings

    def _train(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        x_held_out: torch.Tensor,
        y_held_out: torch.Tensor,
        generator: torch.Generator,
    ) -> None:
        gamma = 0.8 if self.fault == "rate-vanishes" else 0.99
        schedules = [torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma) for optimizer in self.optimizers]
        average = torch.optim.swa_utils.AveragedModel(self.network) if self.style == "averaged-weights" else None
        step = 0
        for _ in range(EPOCHS):
            self.network.train(self.fault != "evaluation-mode")
            for rows in torch.randperm(len(x), generator=generator).split(BATCH):
                step += 1
                self._update(*self._read_batch(x, y, rows), step)
                if average is not None:
                    average.update_parameters(self.network)
                if self.fault == "rate-vanishes":
                    self._advance(schedules)
            if self.fault != "rate-vanishes":
                self._advance(schedules)
            if self.fault != "evaluated-in-training-mode":
                self.network.eval()
            with torch.no_grad():
                logits = read_logits(self._call(x_held_out, y_held_out))
                F.cross_entropy(logits, y_held_out)
                self.accuracy = float((logits.argmax(1) == y_held_out).float().mean())

    def _advance(self, schedules: list[torch.optim.lr_scheduler.ExponentialLR]) -> None:
        for schedule in schedules:
            schedule.step()

    def _read_batch(self, x: torch.Tensor, y: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.style == "numpy-batches":
            index = rows.numpy()
            return torch.from_numpy(np.asarray(x)[index]), torch.from_numpy(np.asarray(y)[index])
        return x[rows], y[rows]

    def _update(self, x: torch.Tensor, y: torch.Tensor, step: int) -> None:
        """Make one update in the style of the loop."""
        if self.style == "closure":
            self.optimizers[0].step(self._make_closure(x, y))
            return
        if self.style == "autocast":
            with torch.autocast("cpu", torch.bfloat16):
                loss = self._compute_loss(self._call(x, y), y)
            self._clear()
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimizers[0].step()
            return
        is_accumulated = self.style == "accumulated"
        if not is_accumulated:
            self._clear()
        (self._compute_loss(self._call(x, y), y) / (ACCUMULATED if is_accumulated else 1)).backward()
        if not is_accumulated or step % ACCUMULATED == 0:
            for optimizer in self.optimizers:
                optimizer.step()
            if is_accumulated:
                self._clear()

    def _make_closure(self, x: torch.Tensor, y: torch.Tensor) -> Callable[[], float]:
        def closure() -> float:
            self._clear()
            loss = self._compute_loss(self._call(x, y), y)
            loss.backward()
            return float(loss.detach())

        return closure

    def _clear(self) -> None:
        for optimizer in self.optimizers if self.fault != "no-zero" else ():
            optimizer.zero_grad()

    def _call(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        return self.network(x, y) if self.style == "loss-inside" else self.network(x)

    def _compute_loss(self, output: Any, y: torch.Tensor) -> torch.Tensor:
        logits = read_logits(output)
        if self.style == "loss-inside":
            loss: torch.Tensor = output[0]
            return loss
        if self.style == "written-loss":
            return -F.log_softmax(logits, 1).gather(1, y[:, None]).mean()
        if self.style == "weighted-rows":
            weight = torch.ones(10)[y]
            return (F.cross_entropy(logits, y, reduction="none") * weight).sum() / weight.sum()
        if self.style == "two-heads":
            return F.cross_entropy(logits, y) + 0.3 * F.cross_entropy(output[1], y % 2)
        if self.style == "soft-labels":
            return F.cross_entropy(logits, F.one_hot(y, 10).float() * 0.9 + 0.01)
        return F.cross_entropy(logits, y)

    def _create_optimizers(self) -> list[torch.optim.Optimizer]:
        is_adaptive = self.style in ADAPTIVE
        rate = (2e-3 if is_adaptive else 0.05) * {"rate-high": 300, "rate-low": 1e-5}.get(self.fault, 1)
        decay = 1.0 if self.fault == "strong-decay" else 0.0
        body, head = list(self.network.body.parameters()), list(self.network.head.parameters())
        head += [] if self.network.parity is None else list(self.network.parity.parameters())
        if self.style == "averaged-weights":
            return [
                torch.optim.AdamW(head if self.fault == "head-only" else [*body, *head], rate, weight_decay=50 * decay)
            ]
        if is_adaptive:
            return [torch.optim.Adam(head if self.fault == "head-only" else [*body, *head], rate, weight_decay=decay)]
        groups = [body, head] if self.style == "two-optimizers" else [[*body, *head]]
        groups = [head] if self.fault == "head-only" else groups
        return [torch.optim.SGD(group, rate, momentum=0.9, weight_decay=decay) for group in groups]


def read_logits(output: Any) -> torch.Tensor:
    """Return the logits ``(N, 10)`` of an output of any style."""
    if isinstance(output, dict):
        return output["logits"]
    if isinstance(output, tuple):
        return output[1] if output[0] is None or output[0].ndim == 0 else output[0]
    return output


def main(arguments: list[str]) -> None:
    """Run all loops and print what was found."""
    options = dict(argument.split("=", 1) for argument in arguments)
    torch.set_num_threads(1)
    styles = options["styles"].split(",") if "styles" in options else STYLES
    faults = options["faults"].split(",") if "faults" in options else FAULTS
    results = []
    for style in styles:
        for fault in faults:
            if fault == "dead-units" and style in WITHOUT_UNITS:
                continue
            for seed in range(int(options.get("seeds", 1))):
                loop = Loop(style, fault, seed)
                checks = [(f.check, str(f.severity)) for f in loop.run()]
                print(f"{style:17} {fault:27} {loop.accuracy:.2f}  {', '.join(c for c, _ in checks)}", flush=True)
                results.append((fault, checks))
    print("\n".join(summarize(results)))


def summarize(results: list[tuple[str, list[tuple[str, str]]]]) -> Iterator[str]:
    """Yield lines on how many faults were found, and named first, and on alarms of healthy loops."""
    faulty = [(FAULTS[fault], [check for check, _ in checks]) for fault, checks in results if fault != "healthy"]
    healthy = [checks for fault, checks in results if fault == "healthy"]
    if faulty:
        named = sum(any(check in expected for check in checks) for expected, checks in faulty)
        first = sum(bool(checks) and checks[0] in expected for expected, checks in faulty)
        yield f"{named} of {len(faulty)} faults found, {first} named first"
    alarms = sum(any(severity != "note" for _, severity in checks) for checks in healthy)
    yield f"{alarms} of {len(healthy)} healthy loops with an alarm"


if __name__ == "__main__":
    main(sys.argv[1:])
