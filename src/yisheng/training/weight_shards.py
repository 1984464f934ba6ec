"""Weights that the processes of one training divide among themselves, and what they gather for one process.

Each process holds a part of every parameter and of the optimizer's tensors of it: rows of its first axis. torch's
`fully_shard` (FSDP2) gathers the parameters of a block before its forward and backward pass and adds up their
gradients. Everything that reads complete weights is called by all processes together: checkpoints, and the finished
network of the first process.

Source: Zhao et al., "PyTorch FSDP: experiences on scaling fully sharded data parallel", 2023, sections 3.1 and 3.2.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard

from yisheng.core.errors import NonFiniteError, ProcessError, UsageError
from yisheng.core.events import Event
from yisheng.core.messages import Message
from yisheng.training.distributed import TIMEOUT, Peers
from yisheng.training.state import State

MIN_BLOCK_PARAMETERS = 1 << 16
"""Parameters of a block that is gathered by itself; smaller ones are gathered together with their neighbors."""

Tensors = dict[str, torch.Tensor]


class WeightShards:
    """The parts of a network's weights and of its optimizer's tensors that this process holds.

    The network computes as before, in all processes together. The optimizer updates the part of this process: its
    parameters share the memory of the network's, and `take_gradients` gives them their gradients.

    Args:
        state: with the complete weights, the same in all processes; its network and optimizer are changed in place.
        peers: the processes.
        device: where the network computes.
    """

    def __init__(self, state: State, peers: Peers, device: torch.device) -> None:
        self._state, self._peers = state, peers
        names = {id(p): name for name, p in state.model.named_parameters()}
        self._skeleton = _copy_without_weights(state.model) if peers.is_first else None
        groups = [[names[id(p)] for p in group["params"]] for group in state.optimizer.param_groups]
        values = {names[id(p)]: value for p, value in state.optimizer.state.items()}
        group = dist.new_group(timeout=TIMEOUT)
        self._mesh = DeviceMesh.from_group(group, device.type)
        _divide(state.model, self._mesh)
        self._parameters = cast("dict[str, DTensor]", dict(state.model.named_parameters()))
        self.local = {
            name: nn.Parameter(p.to_local().detach(), requires_grad=p.requires_grad)
            for name, p in self._parameters.items()
        }
        """The part of each parameter that this process holds, by name; it shares the memory of the network's."""
        self._order = [name for group_names in groups for name in group_names]
        for param_group, group_names in zip(state.optimizer.param_groups, groups, strict=True):
            param_group["params"] = [self.local[name] for name in group_names]
        state.optimizer.state.clear()
        for name, tensors in values.items():
            state.optimizer.state[self.local[name]] = {
                key: self._take_part(value, self._parameters[name]) for key, value in tensors.items()
            }

    def count_values(self) -> int:
        """Return the number of values of weights and optimizer that this process holds."""
        tensors = [value for values in self._state.optimizer.state.values() for value in values.values()]
        tensors += self.local.values()
        return sum(value.numel() for value in tensors if isinstance(value, torch.Tensor) and value.ndim)

    def take_gradients(self) -> None:
        """Give the optimizer's parameters the gradients that the passes of all processes have left."""
        for name, parameter in self._parameters.items():
            gradient = cast("DTensor | None", parameter.grad)
            self.local[name].data = parameter.to_local().detach()  # fully_shard may move it at the first pass
            self.local[name].grad = None if gradient is None else gradient.to_local()
            parameter.grad = None

    def dump(self) -> tuple[Tensors, dict[str, Any]]:
        """Return the complete state as `State.dump` does, in the first process; all must call it.

        Raises:
            NonFiniteError: weights are NaN or infinite, in all processes.
            ProcessError: another process ended.
        """
        tensors, plain = self._state.dump()
        complete: Tensors = {}
        for key, value in sorted(tensors.items()):  # all in one order: that of a loaded checkpoint differs
            kind, _, name = key.partition(".")
            if kind == "optimizer":
                value = self._join(value, self._order[int(name.partition(".")[0])])
            full = self._gather(value)
            if kind == "model" and isinstance(value, DTensor) and not torch.isfinite(full).all():
                raise NonFiniteError(
                    Message(
                        "the weights {name} are not finite after step {step}: no checkpoint was written",
                        name=name,
                        step=self._state.step,
                    ),
                    Message("use a lower lr or clip gradients (clip_norm=1); the previous checkpoint is intact"),
                )
            if self._peers.is_first:
                complete[key] = full.to("cpu")
        return complete, plain

    def finish(self) -> None:
        """Put the complete network, with the best weights, into the state of the first process; all must call it.

        The network of the other processes keeps its parts.

        Raises:
            ProcessError: another process ended.
        """
        best: Tensors = {}
        for name, value in sorted(self._state.best.weights.items()):
            full = self._gather(value)
            if self._peers.is_first:
                best[name] = full.to("cpu")
        if self._skeleton is None:
            return
        self._state.best.weights = best
        buffers = dict(self._state.model.named_buffers())
        memo: dict[int, Any] = {
            id(p): nn.Parameter(best[name].clone(), requires_grad=p.requires_grad)
            for name, p in self._skeleton.named_parameters()
        }
        memo |= {id(b): buffers[name].detach().to("cpu", copy=True) for name, b in self._skeleton.named_buffers()}
        self._state.model = copy.deepcopy(self._skeleton, memo)

    def share_scores(self, make_scorer: Callable[..., Any]) -> Callable[..., Any]:
        """Return a maker of scorers that return the first process's scores, so that all take the same decisions."""

        def make(*args: Any, **options: Any) -> Any:
            scorer = make_scorer(*args, **options)

            def score(*values: Any) -> Mapping[str, float]:
                with explain_lost_processes(self._peers):
                    scores = scorer(*values)
                return cast("Mapping[str, float]", self._peers.broadcast_json(dict(scores)))

            return score

        return make

    def save_checkpoints(
        self, events: Iterator[Event], save: Callable[[], object], *, interval: float
    ) -> Iterator[Event]:
        """Call ``save`` in all processes when the first one's clock says so; see `callbacks.save_checkpoints`."""
        saved_at = time.monotonic()
        for event in events:
            yield event
            if self._is_due(time.monotonic() - saved_at >= interval):
                save()
                saved_at = time.monotonic()

    def _is_due(self, is_due: bool) -> bool:
        flag = torch.tensor([float(is_due and self._peers.is_first)])
        self._peers.add_up(flag)
        return bool(flag.item())

    def _take_part(self, value: Any, parameter: DTensor) -> Any:
        """Return this process's part of a tensor of the optimizer; step counters and the like are for all of it."""
        if not isinstance(value, torch.Tensor) or value.shape != parameter.shape:
            return value
        start = sum(self._count_rows(len(value), rank) for rank in range(self._peers.rank))
        part = value[start : start + self._count_rows(len(value), self._peers.rank)]
        return part.to(parameter.device, copy=True)

    def _count_rows(self, rows: int, rank: int) -> int:
        """Return the rows of a process: as `torch.chunk` divides them, so that the last ones may have fewer or none."""
        size = -(-rows // self._peers.size)
        return max(0, min(size, rows - rank * size))

    def _join(self, value: torch.Tensor, name: str) -> torch.Tensor:
        """Return a tensor of the optimizer as a part of the complete one, if it has the shape of a part."""
        parameter = self._parameters[name]
        if value.shape != self.local[name].shape:
            return value
        return cast(
            "torch.Tensor",
            DTensor.from_local(
                value, self._mesh, [Shard(0)], run_check=False, shape=parameter.shape, stride=parameter.stride()
            ),
        )

    def _gather(self, value: torch.Tensor) -> torch.Tensor:
        if not isinstance(value, DTensor):
            return value
        with explain_lost_processes(self._peers):
            return value.full_tensor()


@contextlib.contextmanager
def explain_lost_processes(peers: Peers) -> Iterator[None]:
    """Explain an error of torch.distributed in the block, and raise others as they are.

    Raises:
        ProcessError: another process ended.
        UsageError: the network reads the weights of a part that is not computing.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0][:200] if str(error) else ""
        if isinstance(error, dist.DistError) or "gloo" in reason.lower():
            raise ProcessError(
                Message(
                    "another of the {size} processes of this training ended, or cannot be reached ({reason})",
                    size=peers.size,
                    reason=reason,
                ),
                Message("see the messages of the others; train again, or resume the run"),
            ) from error
        if "DTensor" in str(error):
            raise UsageError(
                Message(
                    "the network reads the weights of a part outside of its forward pass, where they are divided "
                    "among the processes ({reason})",
                    reason=reason,
                ),
                Message("let the network call that part (self.part(x)), or use shard_weights=false"),
            ) from error
        raise


def list_blocks(model: nn.Module) -> list[nn.Module]:
    """Return the modules whose weights are gathered by themselves, without the network itself.

    They are the largest modules that hold at most half of all parameters and `MIN_BLOCK_PARAMETERS` at least; a module
    with more than half is divided into its children. Containers without a forward pass and modules that share
    parameters with others have no group of their own.

    >>> net = nn.Sequential(nn.Linear(300, 300), nn.Sequential(nn.Linear(300, 300), nn.ReLU()), nn.Linear(300, 3))
    >>> [type(block).__name__ for block in list_blocks(net)]
    ['Linear', 'Sequential']
    """
    total = sum(p.numel() for p in model.parameters())
    holders: dict[int, int] = {}
    for module in model.modules():
        for p in module.parameters(recurse=False):
            holders[id(p)] = holders.get(id(p), 0) + 1
    blocks: list[nn.Module] = []

    def visit(module: nn.Module) -> None:
        for child in module.children():
            parameters = list(child.parameters())
            size = sum(p.numel() for p in parameters)
            if size < MIN_BLOCK_PARAMETERS or child in blocks:
                continue
            has_children = next(child.children(), None) is not None
            computes = type(child).forward is not nn.Module.forward and not isinstance(child, nn.ModuleList)
            if not computes or (2 * size > total and has_children):
                visit(child)
            elif not any(_is_shared(p, child, holders) for p in parameters):
                blocks.append(child)

    visit(model)
    return blocks


def _is_shared(parameter: nn.Parameter, module: nn.Module, holders: Mapping[int, int]) -> bool:
    """Return whether a module outside of this one holds a parameter, too."""
    inside = sum(p is parameter for m in module.modules() for p in m.parameters(recurse=False))
    return inside < holders[id(parameter)]


def _divide(model: nn.Module, mesh: DeviceMesh) -> None:
    """Divide the weights of a network among the processes, and add up the gradients of all."""
    for module in (*list_blocks(model), model):
        group = fully_shard(module, mesh=mesh, reshard_after_forward=True)
        group.set_force_sum_reduction_for_comms(enable=True)  # gloo has no means
        group.set_gradient_divide_factor(1.0)
        group.set_reduce_scatter_unused_params(reduce_scatter_unused_params=True, recurse=False)


def _copy_without_weights(model: nn.Module) -> nn.Module:
    """Return a copy of a network whose parameters have shapes and no memory."""
    memo: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for p in model.parameters()
    }
    return copy.deepcopy(model, memo)
