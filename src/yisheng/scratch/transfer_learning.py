"""Transfer learning: a network that has learned another task, with a new head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS
from yisheng.scratch.kaiming import kaiming
from yisheng.scratch.mlp import gradients, mlp

Layer = tuple[Tensor, Tensor]
"""Weights (O, I) and biases (O,)."""


def _plot(axes: Any) -> None:
    """Draw the accuracy on 1,000 other rows of a task with 40 rows, from learned and from random weights."""
    x, y, body, head = learn_source_task()
    generator = torch.Generator().manual_seed(1)
    random = kaiming(torch.empty(body[0].shape), generator=generator), torch.zeros(len(body[0]))
    for start, color, label in ((body, COLORS[0], "pretrained"), (random, COLORS[1], "from scratch")):
        layers, accuracies = (start, head), []
        for _ in range(30):
            layers = transfer_learning(x[:40], y[:40], *layers, steps=5)
            accuracies.append(float((mlp(x[40:], layers).argmax(1) == y[40:]).double().mean()))
        axes.plot(range(5, 155, 5), accuracies, color=color, label=label)
    axes.set(xlabel="update", ylabel="accuracy on 1,000 other rows", title="40 rows of the new task")
    axes.legend()


def learn_source_task(*, seed: int = 0) -> tuple[Tensor, Tensor, Layer, Layer]:
    """Learn a task of 2,000 rows; return rows and classes of a related one, the learned body, and a new head of zeros.

    Both tasks label rows of 20 numbers by heads of their own on the same 8 hidden features.

    >>> x, y, body, head = learn_source_task()
    >>> x.shape, y.shape, body[0].shape, head[0].shape
    (torch.Size([1040, 20]), torch.Size([1040]), torch.Size([32, 20]), torch.Size([3, 32]))
    """
    generator = torch.Generator().manual_seed(seed)
    features, *heads = (torch.randn(shape, generator=generator) for shape in ((8, 20), (6, 8), (3, 8)))
    x = torch.randn(3040, 20, generator=generator)
    hidden = torch.clamp(x @ features.T, min=0)
    source, target = (((hidden - hidden.mean(0)) @ head.T).argmax(1) for head in heads)
    body = kaiming(torch.empty(32, 20), generator=generator), torch.zeros(32)
    source_head = torch.zeros(6, 32), torch.zeros(6)
    body, _ = transfer_learning(x[:2000], source[:2000], body, source_head, lr=0.3, head_lr=1.0, steps=300)
    return x[2000:], target[2000:], body, (torch.zeros(3, 32), torch.zeros(3))


@register(
    equation="""body: learned on another task        head: new, zeros or random
body ← body − lr ∂L/∂body            head ← head − head_lr · lr ∂L/∂head""",
    usual="""
import torch
body, head = torch.nn.Linear(20, 32), torch.nn.Linear(32, 3)  # the body with its pretrained weights
groups = [{"params": body.parameters()}, {"params": head.parameters(), "lr": 0.5}]
optimizer = torch.optim.SGD(groups, lr=0.05)
""",
    when="""For a few hundred or thousand images: weights from ImageNet know edges, textures and parts already (`yisheng
train data=photos/ model=squeezenet1-1 weights=imagenet`). With very few rows train the head alone (finetune=head);
with many, or if the data is of another kind, all layers.""",
    plot=_plot,
)
def transfer_learning(
    x: Tensor, y: Tensor, body: Layer, head: Layer, *, lr: float = 0.05, head_lr: float = 10.0, steps: int = 20
) -> tuple[Layer, Layer]:
    """Train a pretrained hidden layer slowly and a new output layer fast, with a relu between, by gradient descent.

    Args:
        x: inputs (N, D) of the new task.
        y: class numbers (N,) of the new task.
        body: weights (H, D) and biases (H,), pretrained.
        head: weights (C, H) and biases (C,), new.
        lr: learning rate of the body.
        head_lr: learning rate of the head, as a multiple of lr; 10 since it starts from nothing.
        steps: number of updates on all rows.

    Source: Yosinski et al., "How transferable are features in deep neural networks?", 2014; Zhang et al., "Dive into
    deep learning", 2023, section 14.2.

    >>> x, y, body, head = learn_source_task()
    >>> body, head = transfer_learning(x[:40], y[:40], body, head, steps=100)
    >>> bool((mlp(x[40:], [body, head]).argmax(1) == y[40:]).double().mean() > 0.6)  # chance is about 0.33
    True
    """
    for _ in range(steps):
        body_gradient, head_gradient = gradients(x, y, body, head)
        body = body[0] - lr * body_gradient[0], body[1] - lr * body_gradient[1]
        head = head[0] - head_lr * lr * head_gradient[0], head[1] - head_lr * lr * head_gradient[1]
    return body, head
