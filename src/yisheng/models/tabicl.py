"""TabICL: a network that was trained once on millions of made-up tables, and reads the training rows as its context."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Interval

from yisheng.core.cache_folder import get_set_folder
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.seeds import isolated_generators
from yisheng.core.spec import Spec
from yisheng.models._fitted_model import FitRows, FittedModel, make_certain_logits
from yisheng.models._optional_package import OptionalPackage
from yisheng.models._weights_file import require_uncompressed_zip

PACKAGE = OptionalPackage(
    "tabicl",
    Message("model=tabicl needs the package tabicl, which is not installed or cannot be loaded"),
    Message("pip install 'yisheng[tabicl]', or use model=boosting"),
)
HUB_SET = "tabicl"
"""The hub's set of its weights."""
WEIGHTS_FILES = {
    "classification": "tabicl-classifier-v2-20260212.ckpt",
    "regression": "tabicl-regressor-v2-20260212.ckpt",
}
MAX_CPU_ROWS, MAX_CPU_VALUES = 3000, 100_000
"""Training rows, and values of them, that a processor bears: each prediction reads them all again. With random weights
of the published size and 10 columns, one of 8 estimators took 5.8 s of a core to predict 500 rows from 2,000, and
16.5 s for 1,000 from 4,000."""
MAX_ROWS = 100_000
"""Training rows that it was published for."""
MIN_PROBABILITY = 1e-7


@register(
    fits=lambda spec: spec.is_row and spec.task in WEIGHTS_FILES and (spec.task != "regression" or spec.outputs == 1),
    requires="rows of a table, and classes or one number to predict",
    stackable=False,
    fitted="codes",
)
def tabicl(
    spec: Spec, *, estimators: Annotated[int, Interval(ge=1, le=64)] = 8, checkpoint: str | None = None
) -> FittedModel:
    """Build TabICL: a published transformer predicts rows from the training rows as they are, without any training.

    The extra ``tabicl`` is needed, to predict too. The weights (110 MB, BSD license) come from the hub, with their
    checksum; the run has the training rows and that checksum, not the weights. They are a file of torch, of which only
    tensors and plain values are read (``weights_only``), after the checksum. On a processor up to 3,000 training rows
    are taken, and up to 100,000 values.

    Args:
        estimators: predictions that are averaged, each with the columns and classes in another order.
        checkpoint: a file of weights of the same form, instead of the published ones.

    Source: Qu, Holzmüller, Varoquaux and Le Morvan, "TabICL: a tabular foundation model for in-context learning on
    large data", 2025, and "TabICLv2: a better, faster, scalable, and open tabular foundation model", 2026 (their
    package).

    >>> tabicl(Spec("regression", (3,))).stages
    1
    """
    return TabICL(spec, estimators, None if checkpoint is None else Path(checkpoint))


def has_weights(spec: Spec) -> bool:
    """Return whether the published weights for a task are in the cache.

    Args:
        spec: the contract of the data.
    """
    return (get_set_folder(HUB_SET) / WEIGHTS_FILES[spec.task]).is_file()


class TabICL(FittedModel):
    """The training rows, and the checksum of the weights that read them.

    Args:
        spec: the contract of the scaled rows.
        estimators: predictions that are averaged.
        checkpoint: file of weights; the hub's if None.
    """

    x: torch.Tensor
    y: torch.Tensor
    seed: torch.Tensor
    digest: torch.Tensor
    """SHA-256 of the file of weights."""

    def __init__(self, spec: Spec, estimators: int, checkpoint: Path | None) -> None:
        super().__init__()
        self.spec, self.estimators, self.checkpoint = spec, estimators, checkpoint
        name = WEIGHTS_FILES[spec.task]
        self.hub_file = None if checkpoint is not None else (HUB_SET, name)
        self.path = get_set_folder(HUB_SET) / name if checkpoint is None else checkpoint
        self.register_buffer("x", torch.zeros(0, spec.shape[0]))
        self.register_buffer("y", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("seed", torch.zeros((), dtype=torch.int64))
        self.register_buffer("digest", torch.zeros(0, dtype=torch.uint8))
        self._estimator: tuple[torch.device, Any] | None = None

    def require_packages(self) -> None:
        """Check that the package can be imported."""
        PACKAGE.load()

    def require_size(self, rows: int, device: torch.device) -> None:
        """Check that the device bears so many training rows.

        >>> TabICL(Spec("regression", (10,)), 8, None).require_size(2000, torch.device("cpu"))
        """
        columns = self.spec.shape[0]
        limit = min(MAX_CPU_ROWS, MAX_CPU_VALUES // max(1, columns)) if device.type == "cpu" else MAX_ROWS
        if rows > limit:
            raise UsageError(
                Message(
                    "model=tabicl reads all training rows for each prediction: with {columns} columns it takes {limit} "
                    "rows at most on {device}, got {rows}",
                    columns=columns,
                    limit=f"{limit:,}",
                    device=device.type,
                    rows=f"{rows:,}",
                ),
                Message("use model=boosting or budget=1m, or fewer rows"),
            )

    def fit_stage(self, stage: int, rows: FitRows) -> None:  # noqa: ARG002  # there is one stage
        """Keep the rows."""
        if rows.weight is not None and len(np.unique(rows.weight)) > 1:
            raise UsageError(
                Message("model=tabicl cannot weight rows, and these have weights"),
                Message("leave the weights out, or use model=boosting"),
            )
        self.x = torch.from_numpy(rows.x).float().clone()
        self.y = torch.from_numpy(rows.y.reshape(-1).astype(np.float64))
        self.seed = torch.tensor(rows.seed % 2**31)
        self.digest = torch.tensor(list(self._compute_digest()), dtype=torch.uint8)
        self._estimator = None

    def check_buffers(self) -> None:
        """Check what `forward` relies on."""
        n = len(self.y)
        if self.x.shape != (n, self.spec.shape[0]) or not n or len(self.digest) != hashlib.sha256().digest_size:
            raise ValueError("the training rows of TabICL have other shapes than the columns")
        if bool(self.x.isinf().any()) or not bool(self.y.isfinite().all()):
            raise ValueError("the training rows of TabICL must be finite")
        classes = max(1, len(self.spec.classes))
        if self.spec.task == "classification" and not set(self.y.unique().tolist()) <= set(range(classes)):
            raise ValueError("the training rows of TabICL have unknown classes")
        self._estimator = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map scaled rows ``(B, D)`` to outputs ``(B, O)``.

        Raises:
            MissingPartError: the package is not installed.
            DataError: the weights are missing, or others than those of the training.
            UsageError: it is being exported.
        """
        if torch.compiler.is_exporting():
            raise UsageError(
                Message("model=tabicl cannot be exported: it is not one graph, but training rows and a package"),
                Message("export another model; distill=true with an ensemble gives one that imitates it"),
            )
        labels = self.y.unique()
        if self.spec.task == "classification" and len(labels) == 1:
            certain = torch.from_numpy(make_certain_logits(self.spec, int(labels[0]), 0))
            return certain.to(x).expand(len(x), -1).clone()
        estimator = self._prepare(x.device)
        # In a column without any number the package would ignore the column: a row that has all of them comes along.
        rows = np.concatenate([x.float().cpu().numpy(), self._fill_row()[None]])
        if self.spec.task == "regression":
            values = torch.from_numpy(np.asarray(estimator.predict(rows)[:-1], np.float64))
            return values[:, None].to(x)
        probabilities = np.zeros((len(x), len(self.spec.classes)))
        probabilities[:, estimator.classes_.astype(np.int64)] = estimator.predict_proba(rows)[:-1]
        logits = torch.from_numpy(np.log(probabilities.clip(MIN_PROBABILITY)))
        return (logits[:, 1:] - logits[:, :1] if self.spec.outputs == 1 else logits).to(x)

    def _fill_row(self) -> np.ndarray:
        """Return the mean training row; 0 for columns without any number."""
        x = self.x.double().cpu()
        count = x.isfinite().sum(0).clamp_min(1)
        mean: np.ndarray = (x.nan_to_num(nan=0.0).sum(0) / count).float().numpy()
        return mean

    def _prepare(self, device: torch.device) -> Any:
        """Return the package's estimator with the training rows."""
        if self._estimator is not None and self._estimator[0] == device:
            return self._estimator[1]
        library = PACKAGE.load()
        if self._compute_digest() != bytes(self.digest.tolist()):
            raise DataError(
                Message("{path} holds other weights than those that the model was trained with", path=self.path),
                Message("restore the file with those weights, or train again"),
            )
        is_classes = self.spec.task == "classification"
        estimator = (library.TabICLClassifier if is_classes else library.TabICLRegressor)(
            n_estimators=self.estimators,
            model_path=self.path,
            allow_auto_download=False,
            device=device,
            use_amp=False,
            use_fa3=False,
            offload_mode=False,
            random_state=int(self.seed),
        )
        x = self.x.cpu().numpy().copy()
        x[:, np.isnan(x).all(0)] = 0.0
        y = self.y.cpu().numpy()
        try:
            with isolated_generators():  # the network's initial weights are random, and replaced
                estimator.fit(x, y.astype(np.int64) if is_classes else y)
        except Exception as error:  # a damaged or hostile file can raise any error
            raise DataError(
                Message(
                    "{path} holds no weights of TabICL: {reason}",
                    path=self.path,
                    reason=" ".join(str(error).split())[:200],
                ),
                Message("use checkpoint=none for the published weights"),
            ) from None
        self._estimator = (device, estimator)
        return estimator

    def _compute_digest(self) -> bytes:
        """Return the SHA-256 of the file of weights.

        Raises:
            DataError: it is missing, or not a file that torch wrote.
        """
        if not self.path.is_file():
            raise DataError(
                Message("the weights of model=tabicl are missing: {path}", path=self.path),
                Message("yisheng data fetch tabicl form={task}", task=self.spec.task)
                if self.checkpoint is None
                else Message("check checkpoint=, or use checkpoint=none for the published weights"),
            )
        require_uncompressed_zip(self.path)
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
