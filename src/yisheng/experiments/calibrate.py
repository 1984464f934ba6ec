"""Calibrate a trained model's probabilities: ``calibrate=true``."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from yisheng.core.config import Config
from yisheng.core.dataset import Split
from yisheng.core.errors import UsageError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.evaluation.outputs import compute_outputs
from yisheng.evaluation.temperature import MIN_ROWS, choose_temperature
from yisheng.training.setup import Assembly


def require_calibration(config: Config, spec: Spec, split: Split) -> None:
    """Refuse ``calibrate=true`` where it cannot be done, before the training.

    Args:
        config: of the run.
        spec: the contract, with what the network's outputs are.
        split: the parts.

    Raises:
        UsageError: there are no probabilities, the network makes them itself, or the validation part is too small.
    """
    if not config.calibrate:
        return
    if spec.task == "regression":
        raise UsageError(
            Message("calibrate=true is for classes and labels; this is regression"),
            Message("leave it out: predictions have intervals with interval=0.9"),
        )
    if spec.link == "probabilities":
        raise UsageError(
            Message("calibrate=true needs logits, and the network returns probabilities"), Message("leave it out")
        )
    if len(split.validation) < MIN_ROWS:
        raise UsageError(
            Message(
                "calibrate=true needs a validation part of {required} rows or more, got {rows}",
                required=MIN_ROWS,
                rows=len(split.validation),
            ),
            Message("use validation=0.2, for example, or leave calibrate out"),
        )


def calibrate(assembly: Assembly) -> tuple[Assembly, dict[str, Any] | None]:
    """Return the training setup with the temperature that it keeps, and what ``model.json`` says of it.

    Args:
        assembly: after the training; its model has its best weights.
    """
    spec = assembly.spec
    temperature = choose_temperature(compute_outputs(assembly.state.model, assembly.validation), spec)
    if temperature is None:
        return assembly, None
    values = {name: f"{getattr(temperature, name):.4f}" for name in ("gain", "low", "high")}
    if not temperature.is_better:
        logger.info(
            Message(
                "calibrate: no temperature is kept; it would lower the log loss of other rows by {gain} (95% interval "
                "{low} to {high})",
                **values,
            )
        )
        return assembly, {**asdict(temperature), "kept": False}
    logger.info(
        Message(
            "calibrate: temperature {temperature}; it lowers the log loss of other rows by {gain} (95% interval {low} "
            "to {high})",
            temperature=f"{temperature.value:.3f}",
            **values,
        )
    )
    calibrated = replace(assembly, spec=replace(spec, temperature=temperature.value))
    return calibrated, {**asdict(temperature), "kept": True}
