"""The contents of ``program.json``; what is read is checked against these classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

MAX_NODES = 100_000
MAX_TENSORS = 100_000

Name = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\W\d][\w.]*$")]
Size = Annotated[int, Field(ge=0, lt=2**48)]


TensorKind = Literal["parameter", "buffer", "constant"]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class InputNode(_Part):
    """One input tensor; the size of an axis that is the batch is None."""

    name: Name
    shape: Annotated[list[Size | None], Field(max_length=32)]
    dtype: Name


class TensorNode(_Part):
    """One tensor of the network.

    Args:
        name: of the node; None if the graph does not use the tensor.
        tensor: name in the state dict, or of a constant in ``program.safetensors``.
        kind: parameter or buffer of the state dict, or constant.
        shape: its shape.
        dtype: the type that the network computes with.
    """

    name: Name | None
    tensor: Annotated[str, Field(min_length=1, max_length=1024)]
    kind: TensorKind
    shape: Annotated[list[Size], Field(max_length=32)]
    dtype: Name


class OperatorNode(_Part):
    """One call of an operator; arguments as in `yisheng.inference.program_json`."""

    name: Name
    op: Annotated[str, Field(max_length=128)]
    args: Annotated[list[Any], Field(max_length=64)]
    kwargs: Annotated[dict[Name, Any], Field(max_length=64)]


class FeatureNode(_Part):
    """A value inside the network that the out-of-distribution detector reads."""

    kind: Literal["maps", "head"]
    layer: Annotated[str, Field(max_length=1024)]
    node: Name


class ProgramData(_Part):
    """Contents of ``program.json``."""

    format: Literal[1]
    torch: Annotated[str, Field(max_length=100)]
    batch: Literal[1] | None
    inputs: Annotated[list[InputNode], Field(min_length=1, max_length=1000)]
    arguments: Any
    tensors: Annotated[list[TensorNode], Field(max_length=MAX_TENSORS)]
    nodes: Annotated[list[OperatorNode], Field(max_length=MAX_NODES)]
    outputs: Annotated[list[Name], Field(min_length=1, max_length=1000)]
    result: Any
    features: Annotated[list[FeatureNode], Field(max_length=100)]


@dataclass(frozen=True)
class Program:
    """The graph of a network in eval mode.

    Args:
        data: contents of ``program.json``.
        constants: tensors that are not in the network's state dict.
    """

    data: dict[str, Any]
    constants: Mapping[str, torch.Tensor]
