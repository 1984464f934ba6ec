"""Read a saved program: every part of it is checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.run_folder import INTACT_COPY
from yisheng.core.validation_texts import describe_all_invalid
from yisheng.inference.program_data import ProgramData
from yisheng.inference.program_json import DTYPES, decode_argument, fill_structure
from yisheng.inference.program_module import CONSTANTS, ProgramModule, Step
from yisheng.inference.program_operators import check_call, find_operator


def read_program(
    plain: Any, weights: Mapping[str, torch.Tensor], constants: Mapping[str, torch.Tensor]
) -> ProgramModule:
    """Return the network of a saved program.

    Args:
        plain: contents of ``program.json``, not checked.
        weights: the tensors of ``model.safetensors``, by their names in the state dict.
        constants: the tensors of ``program.safetensors``.

    Raises:
        DataError: the program is damaged, calls an operator that is not allowed, or does not fit the tensors.
    """
    try:
        return _read(plain, weights, constants)
    except ValidationError as error:
        reason = describe_all_invalid(error.errors()[:1])
    except (ValueError, KeyError, TypeError, IndexError, RuntimeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
    raise DataError(Message("the network's program is damaged: {reason}", reason=reason), INTACT_COPY)


def _read(plain: Any, weights: Mapping[str, torch.Tensor], constants: Mapping[str, torch.Tensor]) -> ProgramModule:
    data = ProgramData.model_validate(plain)
    used = [node for node in data.tensors if node.name is not None]
    numbers: dict[str, int] = {}
    for name in (*(node.name for node in data.inputs), *(str(node.name) for node in used)):
        if name in numbers:
            raise ValueError(f"two nodes are named {name}")
        numbers[name] = len(numbers)
    steps = []
    for node in data.nodes:
        args = decode_argument(node.args, numbers.__getitem__)
        kwargs = {key: decode_argument(value, numbers.__getitem__) for key, value in node.kwargs.items()}
        check_call(node.op, args, kwargs)
        if node.name in numbers:
            raise ValueError(f"two nodes are named {node.name}")
        numbers[node.name] = len(numbers)
        steps.append(Step(node.name, find_operator(node.op), args, kwargs, numbers[node.name]))
    module = ProgramModule(data, steps, numbers)
    fill_structure(data.result, [torch.empty(0)] * len(data.outputs))
    _add_tensors(module, data, numbers, weights, constants)
    return module


def _add_tensors(
    module: ProgramModule,
    data: ProgramData,
    numbers: Mapping[str, int],
    weights: Mapping[str, torch.Tensor],
    constants: Mapping[str, torch.Tensor],
) -> None:
    names = [node.tensor for node in data.tensors if node.kind != "constant"]
    difference = sorted(set(names) ^ set(weights))
    if difference or len(names) != len(weights):
        raise ValueError(f"the weights do not belong to it: {', '.join(difference[:3])}")
    for index, node in enumerate(data.tensors):
        tensor = (constants if node.kind == "constant" else weights)[node.tensor]
        dtype = DTYPES[node.dtype]
        if list(tensor.shape) != node.shape or (tensor.dtype != dtype and not _both_are_floats(tensor.dtype, dtype)):
            raise ValueError(
                f"the tensor {node.tensor} must be {node.dtype} of shape {tuple(node.shape)}, "
                f"got {tensor.dtype} of shape {tuple(tensor.shape)}"
            )
        path = [CONSTANTS, f"constant{index}"] if node.kind == "constant" else node.tensor.split(".")
        kind = "buffer" if node.kind == "parameter" and not dtype.is_floating_point else node.kind
        location = module.add_tensor(path, tensor.to(dtype), kind=kind)
        if node.name is not None:
            module.place_tensor(numbers[node.name], *location)


def _both_are_floats(a: torch.dtype, b: torch.dtype) -> bool:
    return a.is_floating_point and b.is_floating_point
