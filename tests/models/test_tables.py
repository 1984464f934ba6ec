"""Networks for tables: embeddings, members of an ensemble, and their average."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rtdl_num_embeddings import PiecewiseLinearEncoding
from torch import nn

from yisheng import models
from yisheng.core.columns import Column
from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.models._member_average import average_predictions
from yisheng.models._table_features import TableFeatures

COLUMNS = (Column("a"), Column("flag", "yes/no"), Column("b", bins=(-1.0, 0.0, 0.5, 2.0)), Column("c"))
NUMBER = Spec("regression", (4,), columns=COLUMNS)
TWO = Spec("classification", (4,), classes=("no", "yes"), columns=COLUMNS)
THREE = Spec("classification", (4,), classes=("p", "q", "r"), columns=COLUMNS)
LABELS = Spec("multilabel", (4,), classes=("p", "q", "r"), columns=COLUMNS)
SPECS = [NUMBER, TWO, TWO.with_outputs(1), THREE, LABELS]


def name_of(spec: Spec) -> str:
    return f"{spec.task}-{spec.outputs}"


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_the_average_of_members_is_the_mean_of_their_probabilities(spec, scale):
    z = scale * torch.randn(6, 5, spec.outputs, dtype=torch.float64)
    average = average_predictions(z, spec)
    assert average.shape == (6, spec.outputs)
    if spec.task == "regression":
        torch.testing.assert_close(average, z.mean(1))
    elif spec.task == "classification" and spec.outputs > 1:
        torch.testing.assert_close(average.softmax(-1), z.softmax(-1).mean(1))
        torch.testing.assert_close(average.exp().sum(-1), torch.ones(6, dtype=torch.float64))
    else:
        torch.testing.assert_close(average.sigmoid(), z.sigmoid().mean(1))


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_confident_members_do_not_overflow(spec):
    z = torch.full((1, 3, spec.outputs), 500.0) * torch.tensor([1.0, -1.0, 1.0])[None, :, None]
    z[..., 1:] = 0
    assert average_predictions(z, spec).isfinite().all()
    assert average_predictions(1e30 * torch.ones(1, 2, spec.outputs), spec).isfinite().all()


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
@pytest.mark.parametrize("arch", ["tabm", "tabm-mini"])
def test_tabm_returns_members_in_training_and_their_average_in_evaluation(spec, arch):
    model = models.build("tabm", spec, k=5, width=8, arch=arch, dropout=0.0)
    x = torch.randn(7, 4)
    members = model(x)
    assert members.shape == (7, 5, spec.outputs)
    torch.testing.assert_close(model.eval()(x), average_predictions(members, spec))
    assert not torch.allclose(members[:, 0], members[:, 1])


@pytest.mark.parametrize("arch", ["tabm", "tabm-mini"])
def test_a_member_is_an_mlp_with_scaled_weights(arch):
    """The package computes W (r_i * x) * s_i + b_i in every layer of member i."""
    model = models.build("tabm", NUMBER, k=3, width=6, blocks=2, arch=arch, dropout=0.0, embeddings="none").double()
    x = torch.randn(4, 4, dtype=torch.float64)
    together = model(x)
    p = dict(model.named_parameters())
    for i in range(3):
        h = x * p["backbone.affine.weight"][i] if arch == "tabm-mini" else x
        for layer in (0, 1):
            name = f"backbone.blocks.{layer}.0"
            if arch == "tabm":
                h = (h * p[f"{name}.r"][i]) @ p[f"{name}.weight"].T * p[f"{name}.s"][i] + p[f"{name}.bias"][i]
            else:
                h = h @ p[f"{name}.weight"].T + p[f"{name}.bias"]
            h = h.relu()
        h = h @ p["output.weight"][i] + p["output.bias"][i]
        torch.testing.assert_close(together[:, i], h)


def test_numbers_are_embedded_and_yes_no_columns_stay_as_they_are():
    features = TableFeatures(NUMBER, "piecewise-linear", size=5)
    assert features.sizes == [5, 5, 5, 1]
    x = torch.randn(6, 4)
    embedded = features(x)
    assert embedded.shape == (6, 16)
    assert torch.equal(embedded[:, 15], x[:, 1])
    changed = x.clone()
    changed[:, 2] += 0.1
    different = (features(changed) != embedded).any(0)
    assert different.nonzero().flatten().tolist() == [5, 6, 7, 8, 9], "not only the embedding of b has changed"


def test_piecewise_linear_embeddings_are_the_encoding_times_weights():
    spec = Spec("regression", (1,), columns=COLUMNS[2:3])
    features = TableFeatures(spec, "piecewise-linear", size=3).double()
    nn.init.normal_(features.embedding.linear.weight)
    x = torch.linspace(-1, 2, 31, dtype=torch.float64)[:, None]
    encoding = PiecewiseLinearEncoding([torch.tensor(COLUMNS[2].bins)])(x.float()).double()
    p = dict(features.embedding.named_parameters())
    expected = x * p["linear0.weight"][0] + p["linear0.bias"][0] + encoding @ p["linear.weight"][0]
    torch.testing.assert_close(features(x), expected, rtol=1e-5, atol=1e-5)


def test_a_number_outside_of_its_bins_counts_as_the_first_or_last_edge():
    features = TableFeatures(NUMBER, "piecewise-linear", size=3)
    x = torch.zeros(2, 4)
    x[:, 2] = torch.tensor([2.0, 1e30])
    assert torch.equal(features(x)[0], features(x)[1])
    x[:, 2] = torch.tensor([-1.0, -1e30])
    assert torch.equal(features(x)[0], features(x)[1])


def test_high_frequencies_distinguish_close_numbers():
    coarse, fine = (TableFeatures(NUMBER, "periodic", size=8, frequency=f) for f in (0.01, 5.0))
    x = torch.zeros(2, 4)
    x[1, 0] = 0.05
    coarse_distance, fine_distance = ((f(x)[0] - f(x)[1]).norm() for f in (coarse, fine))
    assert fine_distance > 20 * coarse_distance


@pytest.mark.parametrize("embeddings", ["piecewise-linear", "periodic", "none"])
def test_a_table_may_have_no_numbers(embeddings):
    spec = Spec("regression", (2,), columns=(Column("p", "yes/no"), Column("q", "yes/no")))
    x = torch.randint(2, (5, 2)).float()
    assert models.build("tabm", spec, k=2, embeddings=embeddings).eval()(x).shape == (5, 1)
    if embeddings != "none":
        assert models.build("embedded-mlp", spec, embeddings=embeddings)(x).shape == (5, 1)


def test_a_column_without_bins_has_those_of_the_normal_distribution():
    for bins in ((), (0.0, 1.0)):
        spec = Spec("regression", (1,), columns=(Column("a", bins=bins),))
        features = TableFeatures(spec, "piecewise-linear", size=2)
        assert features.low.item() == pytest.approx(-3.09, abs=0.01)
        assert features.embedding.impl.get_max_n_bins() == 32


def test_columns_with_different_numbers_of_bins_do_not_mix():
    spec = Spec("regression", (2,), columns=(Column("a", bins=(0.0, 1.0, 2.0)), Column("b", bins=(0.0, 1.0, 2.0, 9.0))))
    features = TableFeatures(spec, "piecewise-linear", size=2).double()
    nn.init.normal_(features.embedding.linear.weight)
    grid = torch.linspace(0, 2, 21, dtype=torch.float64)
    x = torch.stack([grid, torch.zeros(21, dtype=torch.float64)], 1)
    bends = (features(x).diff(dim=0, n=2).abs() > 1e-6).any(1)
    assert bends.nonzero().flatten().tolist() == [9], "it is not linear within the bins"


def test_an_embedding_fits_steps_better_than_a_plain_network():
    """A plain network of the same size smooths the steps."""
    rng = np.random.Generator(np.random.PCG64(0))
    x = torch.from_numpy(rng.uniform(-1, 1, (512, 1)).astype(np.float32))
    y = ((x * 8).floor() % 2).float()
    bins = tuple(np.quantile(x.numpy(), np.linspace(0, 1, 33)).tolist())
    spec = Spec("regression", (1,), columns=(Column("x", bins=bins),))
    losses = []
    for model in (
        models.build("embedded-mlp", spec, hidden=(32,), dropout=0.0),
        models.build("mlp", spec, hidden=(32,)),
    ):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(150):
            loss = ((model(x) - y) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert losses[0] < 0.5 * losses[1]


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("tabm", {"embeddings": "none", "embedding_size": 4}, "needs embeddings"),
        ("tabm", {"frequency": 1.0}, "needs periodic"),
        ("embedded-mlp", {"frequency": 1.0}, "needs periodic"),
        ("embedded-mlp", {"embeddings": "none"}, "embeddings"),
    ],
)
def test_options_without_effect_are_errors(name, options, problem):
    with pytest.raises(UsageError, match=problem):
        models.build(name, NUMBER, **options)


def test_images_are_an_error():
    for name in ("tabm", "embedded-mlp"):
        with pytest.raises(UsageError, match="rows of a table"):
            models.build(name, Spec("regression", (1, 8, 8)))
