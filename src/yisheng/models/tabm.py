"""TabM: an ensemble of networks for a table that share most of their weights."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import nn

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._member_average import average_predictions
from yisheng.models._table_features import Embeddings, Frequency, Size, TableFeatures


class TabM(nn.Module):
    """K members: they return ``(B, K, O)`` in training mode, and their average ``(B, O)`` in evaluation mode."""

    def __init__(self, spec: Spec, features: TableFeatures, backbone: nn.Module, *, k: int, width: int) -> None:
        from tabm import EnsembleView, LinearEnsemble  # type: ignore[import-untyped]  # imports scikit-learn: 0.8 s

        super().__init__()
        self.spec = spec
        self.features = features
        self.members = EnsembleView(k=k)
        self.backbone = backbone
        self.output = LinearEnsemble(width, spec.outputs, k=k)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map transformed rows ``(B, D)`` to outputs."""
        output: torch.Tensor = self.output(self.backbone(self.members(self.features(x))))
        return output if self.training else average_predictions(output, self.spec)


@register(
    fits=lambda spec: spec.is_row,
    requires="rows of a table",
    default_for=lambda spec: spec.is_row and any(column.source for column in spec.columns),
    stackable=False,
)
def tabm(
    spec: Spec,
    *,
    arch: Literal["tabm", "tabm-mini"] = "tabm-mini",
    k: Annotated[int, Interval(ge=1, le=1024)] = 16,
    blocks: Annotated[int, Interval(ge=1, le=64)] = 2,
    width: Annotated[int, Interval(ge=1, le=2**16)] = 128,
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.1,
    embeddings: Embeddings = "piecewise-linear",
    embedding_size: Size | None = None,
    frequency: Frequency | None = None,
) -> nn.Module:
    """Build TabM: K networks trained at once, each with its own loss, that share all weights except some scales.

    A layer of member i computes s_i * (W (r_i * x)) + b_i: all members share the matrix W, and each has its vectors r_i
    and s_i. The members make different errors, and the shared weights keep them from overfitting: their average is
    about as good as that of K separate networks, at a fraction of the cost.

    Args:
        arch: tabm has scales of each member in every layer; tabm-mini only at the input, which is about as good and
            faster.
        k: number of members; the paper uses 32, and 16 cost half.
        blocks: number of hidden layers.
        width: units of each hidden layer.
        dropout: fraction of the hidden units set to zero in training.
        embeddings: of the numeric columns; see `embedded-mlp`.
        embedding_size: length of a number's vector; 8 if not given.
        frequency: of periodic embeddings; see `embedded-mlp`.

    Raises:
        UsageError: embedding_size or frequency is given, but the embeddings have none.

    Source: Gorishniy, Kotelnikov and Babenko, "TabM: advancing tabular deep learning with parameter-efficient
    ensembling", 2025, sections 3.3 and 3.4 (their package).

    >>> model = tabm(Spec("regression", (5,)), k=4)
    >>> x = torch.zeros(7, 5)
    >>> model(x).shape, model.eval()(x).shape
    (torch.Size([7, 4, 1]), torch.Size([7, 1]))
    """
    features = TableFeatures(spec, embeddings, size=embedding_size, frequency=frequency)
    from tabm import make_tabm_backbone

    backbone = make_tabm_backbone(
        d_in=sum(features.sizes),
        n_blocks=blocks,
        d_block=width,
        dropout=dropout,
        k=k,
        arch_type=arch,
        start_scaling_init="random-signs" if features.embedding is None else "normal",
        start_scaling_init_chunks=features.sizes,
    )
    return TabM(spec, features, backbone, k=k, width=width)
