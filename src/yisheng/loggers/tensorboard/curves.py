"""The curves of a run in TensorBoard: losses, learning rate and validation scores."""

from __future__ import annotations

from typing import Final

from yisheng.core.events import EpochEnd
from yisheng.loggers.tensorboard.event_file import EventFile
from yisheng.loggers.tensorboard.hparams import TRAINING_LOSS
from yisheng.reporting.history import Epoch, History, Step

BATCH_LOSS: Final = "loss/batch"
LEARNING_RATE: Final = "lr"
EPOCH_NUMBER: Final = "epoch"


def add_step(board: EventFile, step: Step) -> None:
    """Add the loss and the learning rate of an update."""
    board.scalars({BATCH_LOSS: step.loss, LEARNING_RATE: step.lr}, step.step)


def add_epoch(board: EventFile, epoch: EpochEnd | Epoch) -> None:
    """Add the losses and the validation scores of an epoch."""
    scores = {"loss/validation" if name == "loss" else f"score/{name}": value for name, value in epoch.scores.items()}
    board.scalars({TRAINING_LOSS: epoch.loss, **scores, EPOCH_NUMBER: float(epoch.epoch)}, epoch.step)


def add_history(board: EventFile, history: History) -> None:
    """Add the steps and epochs of a log."""
    for step in history.steps:
        add_step(board, step)
    for epoch in history.epochs:
        add_epoch(board, epoch)
