"""Follow numbers without a gradient that are added to a loss from step to step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

SUMS = frozenset(
    f"{prefix}{name}{suffix}"
    for name in ("add", "sub")
    for prefix, suffix in (("", ""), ("", "_"), ("__", "__"), ("__r", "__"), ("__i", "__"))
)
"""Names of functions that add a term."""
READS = frozenset({"item", "__float__", "tolist", "detach"})
"""Names of functions that make a number without a gradient of a value with one."""
LINEAR_NODES = (
    "AddBackward",
    "SubBackward",
    "MulBackward",
    "DivBackward",
    "NegBackward",
    "MeanBackward",
    "SumBackward",
    "SqueezeBackward",
    "UnsqueezeBackward",
    "ViewBackward",
    "ReshapeAliasBackward",
    "StackBackward",
    "ToCopyBackward",
)
"""Nodes through which a constant term stays one: inside of an absolute value it is a threshold."""
MAX_SERIES, MAX_VALUES, MAX_READS, MAX_NODES = 8, 256, 16, 48


@dataclass(frozen=True)
class NumberTerm:
    """A number that was added to something with a gradient.

    Args:
        value: of the number.
        operand: value of what it was added to.
        reads: numbers that the program had made of values with a gradient before, since the last update.
    """

    value: float
    operand: float
    reads: tuple[float, ...]


@dataclass
class NumberSeries:
    """The numbers that one line of the program adds to the losses that it propagates.

    Args:
        source: file and line.
        terms: in the order of the losses.
    """

    source: str
    terms: list[NumberTerm] = field(default_factory=list)


class NumberTerms:
    """The numbers without a gradient in the losses of one thread.

    Attributes:
        series: by line of the program.
    """

    def __init__(self) -> None:
        self.series: dict[str, NumberSeries] = {}
        self._reads: list[float] = []
        self._pending: list[tuple[Any, str, NumberTerm]] = []

    def forget(self) -> None:
        """Let go of the sums that were not propagated: the update has been made."""
        self._reads.clear()
        self._pending.clear()

    def note_read(self, value: Any) -> None:
        """Note that the program has made a number, or a tensor without a gradient, of a tensor."""
        is_scalar = isinstance(value, torch.Tensor) and value.numel() == 1 and value.requires_grad and value.is_cpu
        if is_scalar and len(self._reads) < MAX_READS:
            self._reads.append(float(value.detach()))

    def note_sum(self, args: Sequence[Any], result: Any, find_source: Callable[[], str]) -> None:
        """Note a sum of one value with a gradient and a number.

        Args:
            args: the two operands.
            result: of the sum.
            find_source: returns the line of the program.
        """
        if len(args) < 2 or not isinstance(result, torch.Tensor) or not result.requires_grad:
            return
        if result.numel() != 1 or not result.is_cpu or len(self._pending) >= MAX_SERIES:
            return
        numbers = [value for value in map(_read_number, args[:2]) if value is not None]
        operands = [x for x in args[:2] if isinstance(x, torch.Tensor) and x.requires_grad]
        if len(numbers) == len(operands) == 1 and numbers[0] != 0 and result.grad_fn is not None:
            # An operand that was changed in place holds the sum by now.
            operand = float(result.detach()) - numbers[0] if operands[0] is result else float(operands[0].detach())
            term = NumberTerm(numbers[0], operand, tuple(self._reads))
            self._pending.append((result.grad_fn, find_source(), term))

    def confirm(self, loss: Any) -> None:
        """Keep the sums that a loss contains as terms.

        Args:
            loss: that is about to be propagated.
        """
        if not self._pending or not isinstance(loss, torch.Tensor):
            return
        nodes = list(_list_linear_nodes(loss.grad_fn))
        for node, source, term in self._pending:
            if any(node is candidate for candidate in nodes):
                if source not in self.series and len(self.series) >= MAX_SERIES:
                    continue
                terms = self.series.setdefault(source, NumberSeries(source)).terms
                if len(terms) < MAX_VALUES:
                    terms.append(term)
        self._pending.clear()


def _read_number(value: Any) -> float | None:
    """Return a number, or the value of a tensor of one value without a gradient; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    is_number = isinstance(value, torch.Tensor) and value.numel() == 1 and value.is_cpu and not value.requires_grad
    return float(value) if is_number and value.is_floating_point() else None


def _list_linear_nodes(root: Any) -> Iterator[Any]:
    """Yield the nodes of a loss that its terms pass without being changed otherwise than by a factor."""
    queue, visited = [root], 0
    while queue and visited < MAX_NODES:
        node = queue.pop(0)
        if node is None:
            continue
        visited += 1
        yield node
        name, children = node.name(), [child for child, _ in node.next_functions if child is not None]
        is_product = name.startswith(("MulBackward", "DivBackward"))
        if name.startswith(LINEAR_NODES) and not (is_product and len(children) > 1):
            queue += children
