"""What a service computes for a batch as one module, and its conversion to ONNX in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from yisheng.core import nested
from yisheng.core.errors import UsageError, YishengError
from yisheng.core.messages import Message
from yisheng.evaluation.predictions import apply_link
from yisheng.inference.artifact import Artifact
from yisheng.inference.export import onnx_file
from yisheng.inference.export.example_inputs import draw_example_inputs
from yisheng.inference.predictor import Predictor

INPUT = "input"
MAX_CONVERSION_SECONDS = 300
MAX_BATCH = 256
"""Inputs of a batch up to which the graph is exact; above it the detector computes its distances in another order."""


class ServedModel(nn.Module):
    """Preprocessing, network and link of each model, and the largest score of the first one's detector, if it has one.

    Args:
        artifacts: the model of a run, or the fold models of a cross-validation; for images or rows.

    >>> from yisheng.core.spec import Spec
    >>> from yisheng.transforms.standard import standard
    >>> spec = Spec("classification", (2,), classes=("no", "yes"))
    >>> artifact = Artifact(nn.Flatten(), spec, standard((0.0, 3.0), (1.0, 2.0)), None, {})
    >>> ServedModel([artifact])(torch.tensor([[0.0, 3.0]]))
    (tensor([[0.5000, 0.5000]]),)
    """

    def __init__(self, artifacts: Sequence[Artifact]) -> None:
        super().__init__()
        self.artifacts = tuple(artifacts)
        self.networks = nn.ModuleList([artifact.model for artifact in artifacts])
        self.eval()

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the outputs of each model ``(B, C)`` or ``(B, T)``, and then float64 ``(B,)`` of the detector.

        Args:
            *inputs: one tensor of raw inputs ``(B, *shape)``.
        """
        (raw,), results = inputs, []
        for number, (artifact, network) in enumerate(zip(self.artifacts, self.networks, strict=True)):
            scaled = nested.to_single(artifact.scale.apply(raw))
            if not number and artifact.ood_detector is not None:
                output, largest = artifact.ood_detector.compute_largest(network, scaled, raw)
            else:
                output = nested.call(network, scaled)
            invert = None if artifact.target_scale is None else artifact.target_scale.invert
            results.append(apply_link(output, artifact.spec, invert))
        return (*results, largest) if self.artifacts[0].ood_detector is not None else tuple(results)


def write_served_model(artifacts: Sequence[Artifact], path: Path) -> None:
    """Write the served model as an ONNX file, for 1 to `MAX_BATCH` inputs at a time.

    Raises:
        UsageError: the network cannot be converted, or its weights are too large for one file.
    """
    model, first = ServedModel(artifacts), artifacts[0]
    onnx_file.require_weights_that_fit(value for network in model.networks for value in network.state_dict().values())
    example = torch.from_numpy(draw_example_inputs(first.spec, first.scale, 2))
    with torch.no_grad():
        count = len(model(example))  # the transforms create their constants on first use, not while it is recorded
    names = [f"output_{number}" for number in range(count)]
    program = onnx_file.convert(model, (example,), [INPUT], names, {0: torch.export.Dim("N", max=MAX_BATCH)})
    program.save(str(path), external_data=False)


def convert_in_process(folder: Path, path: Path) -> None:
    """Write the served model of a run in another process: the converter takes hundreds of megabytes, and keeps them.

    Args:
        folder: of the run or cross-validation.
        path: of the ONNX file.

    Raises:
        UsageError: it cannot be converted.
    """
    command = [sys.executable, "-P", "-m", "yisheng.inference.served_model", str(folder), str(path)]
    remedy = Message("use engine=torch")
    try:
        process = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=MAX_CONVERSION_SECONDS, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(Message("the network cannot be converted to ONNX: {error}", error=error), remedy) from None
    lines = process.stdout.splitlines()
    if process.returncode:
        reason = lines[-1] if lines else Message("the converter ended with code {code}", code=process.returncode)
        raise UsageError(Message("the network cannot be converted to ONNX: {error}", error=reason), remedy)


def _main(folder: str, path: str) -> int:
    """Convert in this process; print why it failed, and return the exit code."""
    try:
        write_served_model(Predictor(Path(folder)).artifacts, Path(path))
    except YishengError as error:
        reason = error.problem.values.get("error") if isinstance(error.problem, Message) else None
        print(" ".join(str(reason or error.problem).split()))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
