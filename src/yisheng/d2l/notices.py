"""Messages of `yisheng.d2l` on standard error, and its fast mode."""

from __future__ import annotations

import os

from yisheng.core.errors import UsageError
from yisheng.core.logging import logger, show_on_stderr
from yisheng.core.messages import Message

FAST_VARIABLE = "YISHENG_D2L_FAST"
FAST_PIXELS = 25_600 * 28 * 28
"""Training pixels in fast mode: 25,600 images of 28 x 28, after which softmax regression reaches the book's loss."""
FAST_RESIZED_PIXELS = 64 * 224 * 224
"""Training pixels in fast mode of images that were enlarged for a deep network."""
FAST_EPOCHS = 2
"""Epochs of `train_ch3`, `train_ch6` and `train_ch13` in fast mode."""
_announced: set[str] = set()


def announce(text: str) -> None:
    """Print a message for the reader on standard error."""
    with show_on_stderr():
        logger.info(text)


def announce_once(text: str) -> None:
    """Print a message unless this process has printed it before."""
    if text not in _announced:
        _announced.add(text)
        announce(text)


def is_fast() -> bool:
    """Return whether ``YISHENG_D2L_FAST`` asks for less data, so that a notebook runs in seconds.

    Raises:
        UsageError: it is neither yes nor no.
    """
    text = os.environ.get(FAST_VARIABLE, "").strip()
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("", "0", "false", "no", "off"):
        return False
    raise UsageError(
        Message("{variable} must be 1 or 0, got {text}", variable=FAST_VARIABLE, text=f"{text!r}"),
        Message("set it to 1, or remove it"),
    )


def limit_rows(count: int, limit: int, name: str) -> int:
    """Return how many of ``count`` rows to use: all, or ``limit`` in fast mode, which is announced.

    Args:
        count: rows of the data.
        limit: rows in fast mode.
        name: what is limited, for the message.
    """
    if not is_fast() or count <= limit:
        return count
    announce_once(
        Message(
            "{variable}=1: {name} has the first {limit} of {count} rows only",
            variable=FAST_VARIABLE,
            name=name,
            limit=f"{limit:,}",
            count=f"{count:,}",
        )
    )
    return limit


def limit_epochs(epochs: int) -> int:
    """Return how many epochs to train: all, or a few in fast mode, which is announced."""
    if not is_fast() or epochs <= FAST_EPOCHS:
        return epochs
    announce_once(
        Message(
            "{variable}=1: training {count} epochs instead of {epochs}",
            variable=FAST_VARIABLE,
            count=FAST_EPOCHS,
            epochs=epochs,
        )
    )
    return FAST_EPOCHS
