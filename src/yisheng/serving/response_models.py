"""The responses of the service as pydantic models, from which the OpenAPI document is made."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from yisheng.core import files, provenance
from yisheng.core.errors import DataError
from yisheng.core.input_spec import InputSpec, InputType
from yisheng.core.messages import translate
from yisheng.core.run_folder import RunFolder
from yisheng.core.spec import Spec, Task
from yisheng.inference.prediction import Prediction
from yisheng.serving.json_rows import column_names, columns_by_name
from yisheng.serving.json_tensors import takes_tensors
from yisheng.serving.limits import Limits

Count = Annotated[int, Field(ge=0)]
FiniteNumber = float | None
"""JSON has no NaN or infinity: they become null."""


class Model(BaseModel):
    """A response without undocumented keys."""

    model_config = ConfigDict(extra="forbid")


class ErrorDetail(Model):
    """What is wrong with a request."""

    problem: str = Field(description="what was expected, and what was received")
    remedy: str = Field(description="what to do")
    code: str = Field(description="an identifier for programs")


class Error(Model):
    """An error."""

    error: ErrorDetail


class FailedInput(Model):
    """An input of several that could not be read, in its place among the predictions."""

    input: str = Field(description="name of the input")
    error: ErrorDetail


class SavedSample(Model):
    """A corrected sample that was kept."""

    path: str = Field(description="where it is in the run folder")
    count: Count = Field(description="number of corrections with it")


class Health(Model):
    """That the service runs."""

    status: Literal["ok"]
    run: str
    worker: int = Field(ge=1, description="number of the process that answers")
    workers: int = Field(ge=1, description="number of processes")


class InputColumn(Model):
    """A column of a row, as a person fills it in."""

    name: str
    kind: str
    categories: list[str]


class InputTensor(Model):
    """An input of a network that takes neither images nor rows of numbers."""

    name: str
    shape: list[Count]
    dtype: InputType


class ModelFacts(Model):
    """The served model: its contract, where it comes from, and its scores."""

    run: str
    version: str
    task: Task
    takes: Literal["images", "rows", "tensors"]
    shape: list[Count]
    inputs: list[InputTensor]
    classes: list[str]
    columns: list[InputColumn]
    target: str
    targets: list[str]
    unit: str
    model: str
    parameters: Count
    best: dict[str, Any] | None
    scores: dict[str, Any]
    limits: dict[str, Any]
    engine: Literal["torch", "onnxruntime"] = Field(description="what computes the predictions")


ERROR_DESCRIPTIONS = {
    400: "not valid HTTP, form or JSON",
    401: "the token is missing or wrong",
    403: "for another host, or from a page of another site",
    408: "the body arrived too slowly",
    413: "too many bytes or pixels",
    415: "a type that the model does not take",
    422: "an input is damaged or does not fit the model, or there are too many",
    500: "a defect of the service",
    503: "too many requests are waiting; try again after Retry-After",
    507: "the disk is full, or the run folder cannot be written to",
}
COMMON_ERRORS = (400, 401, 403, 408, 413, 500)


def describe_errors(*status_codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of an endpoint for FastAPI: these and the common ones."""
    return {code: {"model": Error, "description": ERROR_DESCRIPTIONS[code]} for code in (*COMMON_ERRORS, *status_codes)}


def make_predictions_model(spec: Spec) -> Any:
    """Return the model of the response of ``/predict``, for the type of this contract's predictions."""
    value: Any = FiniteNumber
    pair = Annotated[list[FiniteNumber], Field(min_length=2, max_length=2)]
    bounds: Any = dict[str, pair] if spec.task == "regression" and spec.outputs > 1 else pair
    if spec.task == "classification":
        value = str
    elif spec.task == "multilabel":
        value = list[str]
    elif spec.outputs > 1:
        value = dict[str, FiniteNumber]
    prediction = create_model(
        "Prediction",
        __base__=Model,
        input=(str, Field(description="name of the input")),
        prediction=(value, Field(description="class, labels or value (of several targets by name); null: not finite")),
        probabilities=(dict[str, FiniteNumber], Field(description="by class, the most probable first")),
        notes=(list[str], Field(description="how the input was changed, and warnings")),
        ood_score=(
            FiniteNumber,
            Field(description="fraction of held-out rows that were less unusual; out of distribution above 0.995"),
        ),
        interval=(
            bounds | None,
            Field(description="with interval=: lower and upper bound of the value (of several targets by name)"),
        ),
        occlusion_map=(
            str | None,
            Field(description="a PNG in base64 that marks the parts of the image that the prediction depends on"),
        ),
    )
    item = prediction | FailedInput if spec.is_image else prediction  # a table is read as a whole
    return create_model("Predictions", __base__=Model, predictions=(list[item], ...))  # type: ignore[valid-type]


def format_prediction(prediction: Prediction, top: int | None, occlusion_map: str | None) -> dict[str, Any]:
    """Return a prediction as plain data, with the ``top`` most probable classes (all by default)."""
    value = prediction.prediction
    if isinstance(value, dict):
        value = {name: _finite_or_none(number) for name, number in value.items()}
    probabilities = itertools.islice(prediction.probabilities.items(), top)
    return {
        "input": prediction.input,
        "prediction": [_finite_or_none(v) for v in value] if isinstance(value, list) else _finite_or_none(value),
        "probabilities": {name: _finite_or_none(probability) for name, probability in probabilities},
        "notes": [translate(note) for note in prediction.notes],
        "ood_score": _finite_or_none(prediction.ood_score),
        "interval": _format_interval(prediction.interval),
        "occlusion_map": occlusion_map,
    }


def _format_interval(interval: Any) -> Any:
    """Return the bounds of an interval as a list, of several targets by name; None without one."""
    if isinstance(interval, dict):
        return {name: _format_interval(bounds) for name, bounds in interval.items()}
    return None if interval is None else [_finite_or_none(bound) for bound in interval]


def format_failure(name: str, error: DataError) -> dict[str, Any]:
    """Return the error of one input of several as plain data."""
    problem, remedy = translate(error.problem), translate(error.remedy)
    return {"input": name, "error": {"problem": problem, "remedy": remedy, "code": "input"}}


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _describe_tensors(spec: Spec) -> list[InputTensor]:
    if not takes_tensors(spec):
        return []
    items = spec.inputs or (InputSpec(spec.shape, spec.dtype),)
    return [InputTensor(name=item.name, shape=list(item.shape), dtype=item.dtype) for item in items]


def describe_model(folder: Path, spec: Spec, limits: Limits, engine: Literal["torch", "onnxruntime"]) -> ModelFacts:
    """Return the response of ``/model``.

    Args:
        folder: a run or cross-validation.
        spec: its contract.
        limits: of a request.
        engine: what computes the predictions.

    Raises:
        DataError: a file is damaged.
    """
    run = RunFolder(folder)
    description = files.read_json(run.file(RunFolder.MODEL))
    network = description
    if run.is_cross_validation:
        network = files.read_json(folder / description["fold_models"][0]["folder"] / RunFolder.MODEL)
    try:
        scores = files.read_json(run.file(RunFolder.SCORES))
    except DataError:  # a model can be served without scores
        scores = {}
    return ModelFacts(
        run=folder.resolve().name,
        version=provenance.versions()["yisheng"],
        task=spec.task,
        takes="tensors" if takes_tensors(spec) else "images" if spec.is_image else "rows",
        shape=list(spec.shape),
        inputs=_describe_tensors(spec),
        classes=list(spec.classes),
        columns=_describe_columns(spec),
        target=spec.target,
        targets=list(spec.target_names),
        unit=spec.unit,
        model=network["model"]["name"],
        parameters=description["parameters"],
        best=description.get("best"),
        scores=scores,
        limits=asdict(limits),
        engine=engine,
    )


def _describe_columns(spec: Spec) -> list[InputColumn]:
    columns = columns_by_name(spec)
    return [
        InputColumn(
            name=name,
            kind="date" if columns[name].date_part else "text" if columns[name].text_part else columns[name].kind,
            categories=[] if columns[name].text_part else list(columns[name].categories),
        )
        for name in column_names(spec)
    ]
