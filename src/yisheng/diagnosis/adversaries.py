"""In which direction a loss moves the outputs of a network on rows of another one, read from autograd's graph."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.loss_graph import LAYER_PREFIXES, LEAF_NODE, SAVED_INPUTS, Loss, first_child, saved_tensor
from yisheng.diagnosis.loss_terms import split_terms
from yisheng.diagnosis.recorder.repeated_graphs import OrdinaryGraphs

MAX_DEPTH, MAX_NODES, MAX_VALUES = 40, 1000, 64
"""Nodes from a term to the last layer, nodes below it, and values by which an input is recognized."""
WEIGHTS = {"Addmm": 2, "Mm": 1, "Convolution": 1}
"""By the beginning of a layer's name: which of its inputs is the weight."""
RISING = (
    "Softplus",
    "LogSigmoid",
    "Relu",
    "LeakyRelu",
    "ClampMin",
    "Log",
    "Sigmoid",
    "Exp",
    "Tanh",
    "Add",
    "Sum",
    "Mean",
)
PASSING = ("Squeeze", "Unsqueeze", "View", "UnsafeView", "Reshape", "Clone", "ToCopy", "Select", "Alias")
FALLING = ("Neg", "Rsub")


@dataclass(frozen=True)
class Pull:
    """A term of a loss that moves the outputs of a network in one direction.

    Args:
        direction: 1 if the loss falls as the outputs rise, -1 if it falls as they fall.
        goal: number that the outputs are compared with, or None.
        weight: ``id`` of the first weight of that network.
        signature: of its inputs.
        is_generated: whether the inputs have a graph that leads to parameters.
    """

    direction: int
    goal: float | None
    weight: int
    signature: int
    is_generated: bool


@torch.no_grad()
def read_pulls(loss: Loss) -> list[Pull]:
    """Return what the terms of a loss do with the outputs of networks, before its backward pass.

    >>> critic, points = nn.Linear(2, 1), torch.randn(4, 2)
    >>> loss = nn.functional.binary_cross_entropy_with_logits(critic(points), torch.ones(4, 1))
    >>> [(pull.direction, pull.is_generated) for pull in read_pulls(loss)]
    [(1, False)]
    >>> generated = nn.Linear(2, 2)(points)
    >>> read_pulls(critic(generated).mean())[0].is_generated, read_pulls(critic(generated.detach()).mean())[0].direction
    (True, -1)
    """
    pulls = []
    for node, factor in split_terms(loss.grad_fn):
        aim = _read_direction(node, 1 if factor > 0 else -1)
        if aim is not None:
            layer, direction, goal = aim
            pulls += [Pull(direction, goal, *entry) for entry in _list_inputs(layer)]
    return pulls


def compute_signature(values: torch.Tensor) -> int:
    """Return a number by which a tensor of several different values is recognized; 0 for others."""
    part = values.detach().flatten()[:MAX_VALUES].float().cpu()
    if len(part) < 2 or not bool((part != part[0]).any()):
        return 0
    return hash((values.numel(), part.numpy().tobytes()))


def _read_direction(node: Any, sign: int) -> tuple[Any, int, float | None] | None:
    """Return the last layer below a term, the direction in which its outputs are moved, and what they are to become."""
    goal: float | None = None
    for _ in range(MAX_DEPTH):
        if node is None or node.name() == LEAF_NODE:
            return None
        name, children = node.name(), [child for child, _ in node.next_functions]
        if name.startswith(LAYER_PREFIXES):
            return node, -sign, goal
        if sum(child is not None for child in children) != 1:
            return None
        if name.startswith(("BinaryCrossEntropy", "MseLoss")):
            target = saved_tensor(node, "target")
            if children[0] is None or target is None or not bool((target == target.flatten()[0]).all()):
                return None
            goal = float(target.flatten()[0])
            if name.startswith("Binary"):
                sign, goal = (-sign if goal > 0.5 else sign), None
        elif name.startswith(FALLING) or (name == "SubBackward0" and children[0] is None):
            sign = -sign
        elif name.startswith(("MulBackward", "DivBackward")):
            factor = _read_factor(node)
            if not factor:
                return None
            sign = sign if factor > 0 else -sign
        elif not name.startswith((*RISING, *PASSING, "SubBackward0")):
            return None
        node = first_child(node)
    return None


def _read_factor(node: Any) -> float:
    """Return the number that a product or quotient has next to its only term; 0 if it has several."""
    number = getattr(node, "_saved_other", None)
    if isinstance(number, int | float):
        return float(number)
    is_first = node.next_functions[0][0] is not None
    factor = saved_tensor(node, "other" if is_first else "self")
    is_inverted = node.name().startswith("Div") and not is_first
    return float(factor) if factor is not None and factor.numel() == 1 and not is_inverted else 0.0


def _list_inputs(layer: Any) -> Iterator[tuple[int, int, bool]]:
    """Yield the weight of each layer below a node, the signature of its inputs, and whether these are generated."""
    queue, visited = [layer], set[Any]()
    while queue and len(visited) < MAX_NODES:
        node = queue.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        prefix = next((prefix for prefix in WEIGHTS if node.name().startswith(prefix)), "")
        if prefix and len(node.next_functions) > WEIGHTS[prefix]:
            field, position = SAVED_INPUTS[prefix]
            inputs = saved_tensor(node, field)
            weight = _find_leaf(node.next_functions[WEIGHTS[prefix]][0])
            child = node.next_functions[position][0]
            signature = 0 if inputs is None or weight is None else compute_signature(inputs)
            if signature and weight is not None and (child is None or _has_parameters(child)):
                yield id(weight), signature, child is not None
        queue.extend(child for child, _ in node.next_functions)


def _find_leaf(node: Any) -> torch.Tensor | None:
    """Return the parameter that a weight is, or is computed from."""
    for _ in range(MAX_DEPTH):
        if node is None:
            return None
        if node.name() == LEAF_NODE:
            leaf: torch.Tensor = node.variable
            return leaf
        node = first_child(node)
    return None


def _has_parameters(node: Any) -> bool:
    queue, visited = [node], set[Any]()
    while queue and len(visited) < MAX_NODES:
        current = queue.pop()
        if current is None or current in visited:
            continue
        visited.add(current)
        if current.name() == LEAF_NODE and isinstance(current.variable, nn.Parameter):
            return True
        queue.extend(child for child, _ in current.next_functions)
    return False


class AdversarialSteps:
    """The directions in which the losses of each recorded step move a network on rows that another one generates.

    Attributes:
        same: steps in which generator and discriminator move the outputs on generated rows in the same direction.
        opposed: steps in which they move them in opposite directions.
    """

    def __init__(self) -> None:
        self.same = self.opposed = 0
        self._pulls: list[Pull] = []
        self._generated: set[int] = set()
        self._previous: tuple[list[Pull], set[int]] = ([], set())
        self._has_generator = False
        self._ordinary = OrdinaryGraphs()

    def add(self, loss: Loss, output: torch.Tensor | None, form: Hashable) -> None:
        """Note a loss of a recorded step, before its backward pass.

        Args:
            loss: with its graph.
            output: the last output of the trained network, which may be a generator.
            form: a number for the names of the nodes; while no rows are generated, only a few losses of each are read.
        """
        if not self._has_generator and form in self._ordinary:
            return
        try:
            pulls = read_pulls(loss)
            if pulls and output is not None:
                self._generated.add(compute_signature(output))
        except (
            RuntimeError,
            AttributeError,
            TypeError,
            ValueError,
        ):  # a graph of another form must not end the program
            return
        if any(pull.is_generated for pull in pulls):
            self._has_generator = True
        else:
            self._ordinary.add(form)
        self._pulls += pulls

    def end_step(self) -> None:
        """Compare the losses of a step with each other and those of the one before, which are then forgotten.

        The step of a discriminator ends between its loss and that of the generator.
        """
        pulls, generated = self._previous[0] + self._pulls, self._previous[1] | self._generated
        signatures = generated | {pull.signature for pull in pulls if pull.is_generated}
        through = [i for i, pull in enumerate(pulls) if pull.is_generated and i >= len(self._previous[0])]
        self._previous, self._pulls, self._generated = (self._pulls, self._generated), [], set()
        for i in through:
            pull, previous = pulls[i], pulls[:i]  # losses after it are about the next generated rows
            at_weight = [entry for entry in previous if entry.weight == pull.weight and not entry.is_generated]
            fakes = [entry for entry in at_weight if entry.signature in signatures]
            reals = [entry for entry in at_weight if entry.signature not in signatures]
            if fakes and reals and all(not _agree(fake, real) for fake in fakes for real in reals):
                self.same += all(_agree(pull, fake) for fake in fakes)
                self.opposed += not any(_agree(pull, fake) for fake in fakes)
                return


def _agree(first: Pull, second: Pull) -> bool:
    """Return whether two terms move outputs to the same number, or else in the same direction."""
    if first.goal is not None and second.goal is not None:
        return first.goal == second.goal
    return first.goal is None and second.goal is None and first.direction == second.direction
