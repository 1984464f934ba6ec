"""An ensemble of models of different kinds, each trained on several folds of the rows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, cast, get_args

import torch
from annotated_types import Interval
from torch import nn

from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.seeds import isolated_generators
from yisheng.core.spec import Spec
from yisheng.models import catboost, tabicl
from yisheng.models._fitted_model import FitRows, FittedModel
from yisheng.models._number_codes import NumberCodes
from yisheng.models._rotated_places import RotatedPlaces
from yisheng.models._target_means import TargetMeans

Name = Literal[
    "boosting",
    "linear",
    "extra-trees",
    "tabm",
    "boosting-small",
    "boosting-long",
    "boosting-deep",
    "embedded-mlp",
    "random-forest",
    "neighbors",
    "boosting-extra",
    "tabm-2",
    "boosting-encoded",
    "tabicl",
    "lasso",
    "kernel",
    "boosting-without-texts",
    "boosting-codes",
    "linear-codes",
    "kernel-codes",
    "tabm-codes",
    "boosting-symmetric",
]
FURTHER_COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], NumberCodes | RotatedPlaces | TargetMeans]] = {
    "number_codes": NumberCodes,
    "rotated_places": RotatedPlaces,
    "target_means": TargetMeans,
}
"""What a model of one fold may add to its rows, in this order, by the field that describes it."""
CANDIDATES: tuple[Name, ...] = get_args(Name)
"""Names of the settings that are tried; `yisheng.training.portfolio.candidates` says what they are."""
OPTIONAL = {"boosting-symmetric": catboost.PACKAGE, "tabicl": tabicl.PACKAGE}
"""Packages of candidates that may not be installed."""
MIN_PROBABILITY = 1e-9
"""A probability is at least this, so that no logit is infinite."""


@register(
    fits=lambda spec: spec.is_row,
    requires="rows of a table",
    stackable=False,
    fitted="codes",
    composite=True,
)
def ensemble(
    spec: Spec,
    *,
    candidates: tuple[Name, ...] = CANDIDATES,
    bag_folds: Annotated[int, Interval(ge=2, le=20)] = 5,
    seconds: Annotated[float, Interval(ge=1, le=1e7)] | None = None,
    distill: bool = False,
) -> FittedModel:
    """Build an ensemble: f(x) = Σ_m w_m mean_k f_mk(x), with models m that are trained without fold k of the rows.

    Boosted trees with several settings, linear models, a kernel machine, forests, networks, nearest neighbors and,
    where they are installed, CatBoost and TabICL are tried one after the other. Each row is predicted by models that
    were not trained on it; from these predictions follow the weights w, for classes the temperature of the logits, and
    for accuracy and F1 the classes' offsets. ``budget=1m`` is the usual way to train one.

    Args:
        candidates: what is tried; all by default, in an order that depends on the number of rows.
        bag_folds: number of folds of the training part; each candidate is trained without each of them once.
        seconds: time for all candidates; those for which none is left are not tried. By default all are.
        distill: replace the ensemble in the end by one model that imitates it: linear, boosted trees or a network. It
            is a little less good, and predicts many times as fast.

    Raises:
        UsageError: there are no candidates.

    Source: Caruana et al., "Ensemble selection from libraries of models", 2004; Erickson et al., "AutoGluon-Tabular:
    robust and accurate AutoML for structured data", 2020.

    >>> ensemble(Spec("regression", (3,)), candidates=("boosting", "linear"), bag_folds=2).stages
    4
    """
    if not candidates:
        raise UsageError(Message("an ensemble needs a candidate or more, got none"), Message("leave candidates out"))
    return Ensemble(spec, tuple(dict.fromkeys(candidates)), bag_folds, seconds, distill=distill)


class Member(nn.Module):
    """A model of one fold with its own transforms: it maps the ensemble's inputs to probabilities or numbers.

    Args:
        spec: the contract of the ensemble's inputs.
        plain: ``model`` (name and options), ``input`` and ``target`` (fitted transforms), ``outputs``, of one that is
            given the mean targets of categories ``target_means``, of one whose whole numbers are categories, too,
            ``number_codes``, and of one with coordinates of places along turned axes ``rotated_places``.
    """

    def __init__(self, spec: Spec, plain: Mapping[str, Any]) -> None:
        super().__init__()
        self.further_columns = nn.ModuleList()
        for name, build in FURTHER_COLUMNS.items():
            if name in plain:
                module = build(plain[name])
                self.further_columns.append(module)
                spec = module.spec(spec)
        self.scale = _restore_transform(plain["input"])
        self.target = None if plain["target"] is None else _restore_transform(plain["target"])
        inner: Spec = self.scale.spec(spec) if hasattr(self.scale, "spec") else spec
        self.spec = inner.with_outputs(int(plain["outputs"]))
        choice = plain["model"]
        self.model: nn.Module = registry.find("models", str(choice["name"])).build(self.spec, **choice["options"])
        self.requires_grad_(False)  # it is trained before it becomes a member

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return probabilities ``(B, C)`` or ``(B, L)``, or numbers ``(B, T)`` in their original units; float64."""
        for module in self.further_columns:
            x = module(x)
        output = self.model(self.scale.apply(x).to(x.dtype).contiguous())
        if self.spec.task == "regression":
            values: torch.Tensor = output if self.target is None else self.target.invert(output)
            return values.double()
        output = output.double()
        if self.spec.task == "multilabel":
            return output.sigmoid()
        if self.spec.outputs == 1:
            return torch.cat([-output, output], dim=-1).sigmoid()
        probabilities: torch.Tensor = output.softmax(dim=-1)
        return probabilities


class FoldModels(nn.Module):
    """The models of a candidate, one for each fold.

    Args:
        spec: the contract of the ensemble's inputs.
        plain: ``members``, each as `Member` takes it and with the ``weight`` of its fold.
        width: number of values of a prediction.
    """

    out_of_fold: torch.Tensor
    """Predictions of the training rows ``(N, V)`` during the training, NaN where there is none; empty after it."""

    def __init__(self, spec: Spec, plain: Mapping[str, Any], width: int) -> None:
        super().__init__()
        self.members = nn.ModuleList([Member(spec, member) for member in plain["members"]])
        self.register_buffer("out_of_fold", torch.zeros(0, width))
        self.weights = _normalize([float(member["weight"]) for member in plain["members"]])

    def keep_members(self, count: int) -> None:
        """Drop all models but the first ones."""
        self.members = self.members[:count]
        self.weights = _normalize(self.weights[:count])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean prediction ``(B, V)`` of the models, float64."""
        total = torch.zeros((), dtype=torch.float64, device=x.device)
        for member, weight in zip(self.members, self.weights, strict=True):
            total = total + weight * member(x)
        return total


class Ensemble(FittedModel):
    """A weighted mean of models; `yisheng.training.portfolio` trains it, a fold of a candidate at each stage.

    What it consists of is in the buffer ``description``, the bytes of a JSON object: together with the tensors it is
    the complete model.

    Args:
        spec: the contract of the scaled rows.
        names: of the candidates.
        folds: number of folds.
        seconds: time for all candidates, or None.
        distill: whether a student replaces the candidates in the end.
    """

    description: torch.Tensor
    out_of_fold_errors: torch.Tensor
    """Of a regression: absolute errors of the out-of-fold predictions, ascending ``(N, T)``, for intervals."""

    def __init__(
        self, spec: Spec, names: Sequence[str], folds: int, seconds: float | None, *, distill: bool = False
    ) -> None:
        super().__init__()
        self.spec, self.names, self.folds, self.seconds, self.distill = spec, tuple(names), folds, seconds, distill
        self.stages = len(self.names) * folds + distill
        self.student: Member | None = None
        self.width = max(2, len(spec.classes)) if spec.task == "classification" else spec.outputs
        self.candidates = nn.ModuleList()
        self.register_buffer("description", torch.zeros(0, dtype=torch.uint8))
        self.register_buffer("out_of_fold_errors", torch.zeros(0, self.width, dtype=torch.float64))
        self.describe({"candidates": [], "tried": [], "temperature": 1.0, "offsets": [], "finished": False})

    def require_packages(self) -> None:
        """Check that the package of a candidate that was named is installed; by default it would be left out."""
        for name, package in OPTIONAL.items():
            if name in self.names and self.names != CANDIDATES:
                package.load()

    @property
    def fold_models(self) -> list[FoldModels]:
        """Return the models of each candidate."""
        return [cast("FoldModels", candidate) for candidate in self.candidates]

    def describe(self, plain: Mapping[str, Any]) -> None:
        """Record what the ensemble consists of.

        Args:
            plain: ``candidates`` (``name``, ``weight`` and ``members`` of each), ``tried`` (the leaderboard),
                ``temperature``, ``offsets`` (one for each class, or none), ``finished``, and later ``score``,
                ``rows_per_second`` and ``student``.
        """
        self.plain = dict(plain)
        content = json.dumps(self.plain, allow_nan=False).encode()
        buffer = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        self.description = buffer.to(self.description.device)
        self.candidate_weights = [float(candidate["weight"]) for candidate in plain["candidates"]]

    def add_member(self, number: int, member: Member) -> None:
        """Add the model of the next fold, which `describe` has recorded, to a candidate."""
        if number == len(self.candidates):
            self.candidates.append(FoldModels(self.spec, {"members": []}, self.width).to(self.description.device))
        candidate = self.fold_models[number]
        candidate.members.append(member)
        candidate.weights = _normalize([float(m["weight"]) for m in self.plain["candidates"][number]["members"]])

    def set_student(self, student: Member, plain: Mapping[str, Any]) -> None:
        """Predict by one model that imitates the ensemble.

        Args:
            student: the model.
            plain: what it is built from, and ``about`` it: name, score and rate of prediction.
        """
        self.student = student
        self.describe({**self.plain, "student": dict(plain)})

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Build the models that ``description`` names, and load their tensors.

        Raises:
            RuntimeError: a tensor is missing, unknown or of another shape.
            ValueError: the description is damaged.
        """
        content = state_dict["description"].cpu().numpy().tobytes()
        plain = json.loads(content)
        with isolated_generators():  # the initial weights are random, and replaced
            candidates = [FoldModels(self.spec, candidate, self.width) for candidate in plain["candidates"]]
            student = Member(self.spec, plain["student"]) if "student" in plain else None
        self.candidates = nn.ModuleList(candidates).to(self.description.device)
        self.student = None if student is None else student.to(self.description.device)
        self.describe(plain)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def check_buffers(self) -> None:
        """Check the models and what the description says about them."""
        for module in self.modules():
            if isinstance(module, FittedModel) and module is not self:
                module.check_buffers()
        errors = self.out_of_fold_errors
        if errors.shape[1] != self.width or not bool(errors.isfinite().all()) or bool((errors.diff(dim=0) < 0).any()):
            raise ValueError("the out-of-fold errors of an ensemble must be finite and ascending")
        weights = self.candidate_weights
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
            raise ValueError(f"the weights of an ensemble must be finite and not negative, got {weights}")
        temperature, offsets = self.plain["temperature"], self.plain["offsets"]
        if not 0 < temperature < math.inf or len(offsets) not in (0, self.width):
            raise ValueError("the temperature of an ensemble must be positive, with an offset for each class or none")
        if not all(map(math.isfinite, offsets)):
            raise ValueError(f"the offsets of an ensemble must be finite, got {offsets}")

    def fit_stage(self, stage: int, rows: FitRows) -> None:
        """Refuse: candidates are trained with transforms of their own, which rows that are scaled already cannot have.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"stage {stage} of an ensemble is trained by yisheng.training.portfolio, not on {rows.x.shape}")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map scaled rows ``(B, D)`` to outputs ``(B, O)``: logits, or numbers in their original units."""
        if self.student is not None:
            return self.to_outputs(self.student(x)).to(x.dtype)
        total = torch.zeros(x.shape[0], self.width, dtype=torch.float64, device=x.device)
        for candidate, weight in zip(self.fold_models, self.candidate_weights, strict=True):
            if weight > 0:
                total = total + weight * candidate(x)
        return self.to_outputs(total).to(x.dtype)

    def to_outputs(self, prediction: torch.Tensor) -> torch.Tensor:
        """Return averaged predictions ``(B, V)`` as a network's outputs, with temperature and offsets applied."""
        if self.spec.task == "regression":
            return prediction
        temperature, offsets = float(self.plain["temperature"]), self.plain["offsets"]
        if self.spec.task == "multilabel":
            p = prediction.clamp(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
            return (p / (1 - p)).log() / temperature
        logits = prediction.clamp_min(MIN_PROBABILITY).log() / temperature
        if offsets:
            logits = logits + torch.tensor(offsets, dtype=torch.float64, device=prediction.device)
        return logits[:, 1:] - logits[:, :1] if self.spec.outputs == 1 else logits


def _normalize(weights: list[float]) -> list[float]:
    total = sum(weights) or 1.0
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"the weights of fold models must be finite and not negative, got {weights}")
    return [weight / total for weight in weights]


def _restore_transform(plain: Mapping[str, Any]) -> Any:
    """Return a fitted transform from its name and fields."""
    fields = {name: _to_tuples(value) for name, value in plain.items() if name != "name"}
    return registry.find("transforms", str(plain["name"])).build(**fields)


def _to_tuples(value: Any) -> Any:
    return tuple(_to_tuples(item) for item in value) if isinstance(value, list) else value
