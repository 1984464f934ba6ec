"""The training loop of the book's object-oriented edition."""

from __future__ import annotations

from typing import Any

import torch

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.d2l import figure_files
from yisheng.d2l.devices import gpu
from yisheng.d2l.devices import num_gpus as count_gpus
from yisheng.d2l.hyper_parameters import HyperParameters
from yisheng.d2l.notices import limit_epochs
from yisheng.d2l.watching import create_lazy_layers, watch


class Trainer(HyperParameters):
    """Train a model on data for some epochs, and draw its curves.

    Args:
        max_epochs: passes over the training batches; fewer with ``YISHENG_D2L_FAST=1``.
        num_gpus: GPUs to use, as far as the machine has them; the first one trains.
        gradient_clip_val: largest norm of all gradients together; 0 does not limit it.
        doctor: watch the training with the doctor and show what it finds; for optimizers of torch.

    Yisheng's own: ``yisheng.train(data=..., model=net, epochs=10, clip=1.0)``.
    """

    def __init__(
        self, max_epochs: int, num_gpus: int = 0, gradient_clip_val: float = 0, *, doctor: bool = False
    ) -> None:
        self.max_epochs, self.num_gpus, self.gradient_clip_val = max_epochs, num_gpus, gradient_clip_val
        self.doctor = doctor
        self.gpus = [gpu(i) for i in range(min(num_gpus, count_gpus()))]

    def __deepcopy__(self, memo: dict[int, Any]) -> Trainer:
        """Return itself: the copy of a model has the same trainer, not a copy of all its data."""
        return self

    def prepare_data(self, data: Any) -> None:
        """Get the loaders of the data.

        Raises:
            UsageError: there is no batch to train on.
        """
        self.train_dataloader, self.val_dataloader = data.train_dataloader(), data.val_dataloader()
        self.num_train_batches = len(self.train_dataloader)
        self.num_val_batches = len(self.val_dataloader) if self.val_dataloader is not None else 0
        if not self.num_train_batches:
            raise UsageError(Message("there is no batch to train on"), Message("give data with at least one batch"))

    def prepare_model(self, model: Any) -> None:
        """Let the model know its trainer, and move it to the device."""
        model.trainer = self
        model.board.xlim = [0, self.max_epochs]
        if self.gpus:
            model.to(self.gpus[0])
        self.model = model

    def prepare_batch(self, batch: Any) -> Any:
        """Return a batch on the device."""
        return [tensor.to(self.gpus[0]) for tensor in batch] if self.gpus else batch

    def fit(self, model: Any, data: Any) -> None:
        """Train a model on data; it is left in evaluation mode if there is a validation part.

        Args:
            model: a `Module`.
            data: a `DataModule`.

        Raises:
            UsageError: there is no batch to train on, or the doctor cannot watch this optimizer.
        """
        self.max_epochs = limit_epochs(self.max_epochs)
        self.prepare_data(data)
        self.prepare_model(model)
        self.optim = model.configure_optimizers()
        self.epoch = self.train_batch_idx = self.val_batch_idx = 0
        if self.doctor:
            create_lazy_layers(model, self.train_dataloader)
        with watch(model, self.optim, self.doctor):
            while self.epoch < self.max_epochs:
                self.fit_epoch()
                self.epoch += 1
        figure_files.flush()

    def fit_epoch(self) -> None:
        """Train one epoch, then validate."""
        self.model.train()
        for batch in self.train_dataloader:
            loss = self.model.training_step(self.prepare_batch(batch))
            self.optim.zero_grad()
            loss.backward()
            with torch.no_grad():  # for optimizers from scratch
                if self.gradient_clip_val > 0:
                    self.clip_gradients(self.gradient_clip_val, self.model)
                self.optim.step()
            self.train_batch_idx += 1
        if self.val_dataloader is None:
            return
        self.model.eval()
        for batch in self.val_dataloader:
            with torch.no_grad():
                self.model.validation_step(self.prepare_batch(batch))
            self.val_batch_idx += 1

    def clip_gradients(self, grad_clip_val: float, model: Any) -> None:
        """Scale the gradients down if their common norm is larger than a limit."""
        torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip_val)
