"""A network whose forward and backward pass are compiled with ``torch.compile``; what cannot be compiled is refused.

Compiled code is for one shape of the inputs and one state of the network. Everything else is computed without it:
the last, smaller batch of an epoch, evaluations, steps whose layers are recorded, and passes with hooks that came
later.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from yisheng.core import autocast, nested
from yisheng.core.errors import UsageError
from yisheng.core.input_spec import Inputs
from yisheng.core.messages import Message
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.core.seeds import isolated_generators

MAX_COMPILED_STATES = 4
"""States of the network, such as different frozen layers, that code is compiled for; it takes seconds for each."""
MAX_RELATIVE_ERRORS = {torch.float64: 1e-8, torch.float32: 1e-2}
"""Largest difference of a compiled pass from an ordinary one, relative to its norm; rounding alone is far below it."""
MAX_RELATIVE_ERROR_BF16 = 0.2
MAX_REASON_CHARACTERS = 300
ADVICE_OF_TORCH = "Set TORCHDYNAMO_VERBOSE"
"""Where, in its errors, the compiler's advice to its developers begins."""
CPP_COMPILERS = {"darwin": "clang++", "win32": "cl"}


def find_obstacle(config: ResolvedConfig, device: torch.device) -> tuple[Message, Message] | None:
    """Return why the networks of a config cannot be compiled, and a remedy; None if nothing is against it.

    Args:
        config: the resolved config.
        device: where it trains.
    """
    if config.shards > 1:
        return (
            Message("compile=true and shards={shards}: shards are computed by torch itself", shards=config.shards),
            Message("leave compile out, or use shards=1 and one process"),
        )
    if config.finetune == "head" and config.feature_cache != "off":
        return (
            Message(
                "compile=true and feature_cache={value}: only the last layer is trained", value=config.feature_cache
            ),
            Message("leave compile out, or use feature_cache=off"),
        )
    if device.type not in ("cpu", "cuda"):
        return (
            Message("compile=true works on a CPU and on an NVIDIA GPU, not on device={device}", device=device),
            Message("leave compile out"),
        )
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return Message("compile=true needs the package triton on a GPU"), Message("pip install triton")
    compiler = find_cpp_compiler()
    if device.type == "cpu" and shutil.which(compiler) is None:
        return (
            Message("compile=true needs a C++ compiler, and {command} is not installed", command=compiler),
            Message("install g++, clang++ or (Windows) MSVC, and set CXX to its path if it has another name"),
        )
    return None


def find_cpp_compiler() -> str:
    """Return the command of the C++ compiler that torch uses: ``CXX``, or the platform's."""
    return os.environ.get("CXX", "").strip() or CPP_COMPILERS.get(sys.platform, "g++")


def require_compilable(config: ResolvedConfig, device: torch.device) -> None:
    """Refuse ``compile=true`` where a network cannot be compiled.

    Raises:
        UsageError: see `find_obstacle`.
    """
    obstacle = find_obstacle(config, device) if config.compile else None
    if obstacle is not None:
        raise UsageError(*obstacle)


class CompiledNetwork:
    """The forward pass of a network in training, compiled when it is first needed; its backward pass is, too.

    The network stays as it is, with its names, weights and generators. Before compiled code is used, its output and
    gradients are compared with those of the ordinary pass.

    Args:
        model: the network, on its device.
        rows: number of samples of a pass; passes of other sizes are not compiled.
        uses_graphs: on a GPU, also replay the kernels as a CUDA graph. Gradients that are held from one pass to the
            next do not allow it: the graph writes to the same memory again.

    >>> compiled = CompiledNetwork(nn.Linear(2, 1), rows=64)
    >>> compiled.forward(compiled.model, torch.ones(3, 2), bf16=False).shape  # another number of rows
    torch.Size([3, 1])
    """

    def __init__(self, model: nn.Module, rows: int, *, uses_graphs: bool = False) -> None:
        self.model, self._rows = model, rows
        self._uses_graphs = uses_graphs
        self._call: Callable[..., Any] | None = None  # torch's compiler takes seconds to import
        self._modules, self._parameters = list(model.modules()), list(model.parameters())
        self._hooks: list[dict[Any, Any]] = []
        self._hook_count = 0
        self._prepared: set[Any] = set()

    def forward(self, model: nn.Module, x: Inputs, *, bf16: bool) -> torch.Tensor:
        """Return the output of the network, in float32; see `yisheng.core.autocast.forward`.

        Args:
            model: if it is not the network of this object, it is computed without compiled code.
            x: its input ``(B, ...)``, or several.
            bf16: compute layers in bfloat16 where this is safe.

        Raises:
            UsageError: the network cannot be compiled.
        """
        is_training = model is self.model and model.training and torch.is_grad_enabled()
        if not is_training or len(nested.tensors(x)[0]) != self._rows or not self.prepare(x, bf16=bf16):
            return autocast.forward(model, x, bf16=bf16)
        with torch.compiler.set_stance("eager_on_recompile"):
            return self._compute(x, bf16=bf16)

    def prepare(self, x: Inputs, *, bf16: bool) -> bool:
        """Compile for some inputs, unless it is done already; return whether compiled code can be used.

        Raises:
            UsageError: the network cannot be compiled.
        """
        state = self._describe_state(x, bf16=bf16)
        if state in self._prepared:
            return not self._has_new_hooks()
        if len(self._prepared) == MAX_COMPILED_STATES or (self._call and self._has_new_hooks()):
            return False
        if self._call is None:
            self._call = _compile(self.model, uses_graphs=self._uses_graphs)
            self._hooks = [
                hooks
                for module in self._modules
                for name, hooks in vars(module).items()
                if name.endswith("hooks") and isinstance(hooks, dict)
            ]
            self._hook_count = self._count_hooks()
        self._compile_for(x, bf16=bf16)
        self._prepared.add(state)
        return True

    def _describe_state(self, x: Inputs, *, bf16: bool) -> Any:
        """Return what compiled code depends on."""
        inputs = tuple((value.shape, value.stride(), value.dtype) for value in nested.tensors(x))
        modes = tuple(module.training for module in self._modules)
        return inputs, modes, tuple(p.requires_grad for p in self._parameters), torch.get_num_threads(), bf16

    def _count_hooks(self) -> int:
        return sum(map(len, self._hooks))

    def _has_new_hooks(self) -> bool:
        """Return whether there are other hooks than at the beginning: compiled code would not call them."""
        return self._count_hooks() != self._hook_count

    def _compute(self, x: Inputs, *, bf16: bool) -> torch.Tensor:
        if self._uses_graphs:
            torch.compiler.cudagraph_mark_step_begin()
        return autocast.forward(self.model, x, bf16=bf16, call=self._call)

    def _compile_for(self, x: Inputs, *, bf16: bool) -> None:
        """Compile both passes, and compare them with the ordinary ones; nothing else changes.

        Raises:
            UsageError: they cannot be compiled, or compute something else.
        """
        expected = self._differentiate(lambda: autocast.forward(self.model, x, bf16=bf16))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # those of the compiler's own code; the ordinary pass showed all others
                actual = self._differentiate(lambda: self._compute(x, bf16=bf16))
            with torch.compiler.set_stance("fail_on_recompile"):
                self._differentiate(lambda: self._compute(x, bf16=bf16))
        except Exception as error:  # the compiler raises errors of any kind
            raise _explain_failure(error) from error
        dtype = expected[0].dtype
        limit = MAX_RELATIVE_ERROR_BF16 if bf16 else MAX_RELATIVE_ERRORS.get(dtype, MAX_RELATIVE_ERROR_BF16)
        difference = max(map(_compare, expected, actual))
        if difference > limit:
            raise UsageError(
                Message(
                    "the compiled network computes something else: its output or gradient differs by {error} of its "
                    "norm",
                    error=f"{difference:.1%}",
                ),
                Message("use compile=false"),
            )

    def _differentiate(self, forward: Callable[[], torch.Tensor]) -> list[torch.Tensor]:
        """Return the output of a pass and the gradients ``(P,)`` of a sum over it, all others as they were."""
        with isolated_generators(), keep_buffers(self.model):
            output = forward()
            weights = torch.linspace(-1, 1, output.numel(), device=output.device).cos().view_as(output)
            parameters = [p for p in self._parameters if p.requires_grad]
            gradients = torch.autograd.grad((output * weights).sum(), parameters, allow_unused=True)
            flat = [gradient.detach().flatten() for gradient in gradients if gradient is not None]
            return [output.detach().clone(), torch.cat(flat) if flat else output.new_zeros(0)]


def _compile(model: nn.Module, *, uses_graphs: bool) -> Callable[..., Any]:
    """Return a function that computes a network, compiled at its first call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return model(*args, **kwargs)

    # torch keeps a few compiled variants of a function; a copy of the code has its own for each training.
    function = types.FunctionType(call.__code__.replace(), globals(), call.__name__, None, call.__closure__)
    options: dict[str, Any] = {"fallback_random": True}  # dropout draws the numbers that it draws without compilation
    if uses_graphs:
        options["triton.cudagraphs"] = True
    else:
        options["compile_threads"] = 1  # others would stay as processes
    compiled: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=False, options=options)
    return compiled


@contextlib.contextmanager
def keep_buffers(model: nn.Module) -> Iterator[None]:
    """Restore the buffers of a network, such as running statistics, at the end of the block."""
    start = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                if name in start:
                    buffer.copy_(start[name])


def _compare(expected: torch.Tensor, actual: torch.Tensor) -> float:
    """Return the norm of a difference, relative to the expected norm; 0 where nothing can be compared."""
    if expected.shape != actual.shape:
        return float("inf")
    norm = float(torch.linalg.vector_norm(expected.double()))
    difference = float(torch.linalg.vector_norm(expected.double() - actual.double()))
    return difference / norm if norm and norm < float("inf") else 0.0


def _explain_failure(error: Exception) -> UsageError:
    """Return the error of a network that cannot be compiled, with the first lines of the compiler's."""
    text = str(error).partition(ADVICE_OF_TORCH)[0]
    reason = " ".join(text.split())[:MAX_REASON_CHARACTERS] or type(error).__name__
    return UsageError(
        Message("the network cannot be compiled: {reason}", reason=reason),
        Message("use compile=false, or remove what the message names from the network's forward"),
    )
