"""Properties that every registered metric has."""

from __future__ import annotations

import numpy as np
import pytest

from yisheng.core import registry
from yisheng.core.errors import DataError
from yisheng.core.spec import Spec

NAMES = registry.names("metrics")
SPECS = (
    Spec("classification", (1,), classes=("a", "b")),
    Spec("classification", (1,), classes=tuple("abcdefghijkl")),
    Spec("multilabel", (1,), classes=("p", "q", "r")),
    Spec("regression", (1,)),
    Spec("regression", (1,), outputs=2),
)
FITTING = [
    pytest.param(name, spec, id=f"{name}-{spec.task}-{spec.outputs}")
    for name in NAMES
    for spec in SPECS
    if registry.find("metrics", name).meta["fits"](spec)
]


def make_rows(spec: Spec, n: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and predictions; with more noise the predictions are worse."""
    generator = np.random.default_rng(seed)
    if spec.task == "classification":
        y = generator.integers(len(spec.classes), size=n)
        scores = 8 * np.eye(len(spec.classes))[y] + noise * generator.normal(size=(n, len(spec.classes)))
        exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
        return y, (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    if spec.task == "multilabel":
        y = (generator.random((n, len(spec.classes))) < 0.4).astype(np.float32)
        return y, (1 / (1 + np.exp(4 - 8 * y - noise * generator.normal(size=y.shape)))).astype(np.float32)
    y = generator.normal(10, 2, (n, spec.outputs)).astype(np.float32)
    return y, (y + noise * generator.normal(size=y.shape)).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_metadata_is_complete(name: str) -> None:
    meta = registry.find("metrics", name).meta
    assert meta["requires"]
    assert set(meta) <= {"fits", "requires", "default_for", "scalar", "higher", "interval", "rows", "reported"}
    for spec in SPECS:
        if not meta["fits"](spec):
            assert not meta.get("reported", lambda _: False)(spec)
            assert not meta.get("default_for", lambda _: False)(spec)


@pytest.mark.parametrize(("task", "name"), [(0, "accuracy"), (1, "accuracy"), (2, "f1-macro"), (3, "rmse")])
def test_every_task_has_one_default(task: int, name: str) -> None:
    assert registry.default("metrics", SPECS[task]).name == name


@pytest.mark.parametrize(("name", "spec"), [case for case in FITTING if case.values[0] != "confusion-matrix"])
def test_better_predictions_score_better(name: str, spec: Spec) -> None:
    entry = registry.find("metrics", name)
    precise, noisy = (entry.build(*make_rows(spec, 400, noise)) for noise in (1.0, 6.0))
    assert isinstance(precise, float)
    assert (precise > noisy) == entry.meta.get("higher", True)


@pytest.mark.parametrize(("name", "spec"), FITTING)
def test_the_order_of_rows_does_not_matter(name: str, spec: Spec) -> None:
    build = registry.find("metrics", name).build
    y, prediction = make_rows(spec, 100, 4.0)
    order = np.random.default_rng(1).permutation(100)
    np.testing.assert_allclose(build(y[order], prediction[order]), build(y, prediction), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "spec"), [case for case in FITTING if "rows" in registry.find("metrics", case.values[0]).meta]
)
def test_values_of_rows_make_the_same_metric(name: str, spec: Spec) -> None:
    entry = registry.find("metrics", name)
    statistic = entry.meta["rows"]
    generator = np.random.default_rng(2)
    y, prediction = make_rows(spec, 3001, 4.0)
    values = statistic.values(y, prediction)
    for size in (0, 1, 2, 9, 1000, 3001):
        rows = generator.integers(len(y), size=size)
        np.testing.assert_array_equal(statistic.reduce(values[rows]), entry.build(y[rows], prediction[rows]))


@pytest.mark.parametrize(("name", "spec"), FITTING)
def test_inputs_are_not_changed(name: str, spec: Spec) -> None:
    entry = registry.find("metrics", name)
    y, prediction = make_rows(spec, 50, 4.0)
    for array in (y, prediction):
        array.setflags(write=False)
    entry.build(y, prediction)
    if "interval" in entry.meta:
        entry.meta["interval"](y, prediction)


@pytest.mark.parametrize("name", ["mse", "rmse", "mae", "r2", "log-rmse"])
def test_targets_and_predictions_are_not_broadcast(name: str) -> None:
    with pytest.raises(DataError, match=r"\(3,\) and \(3, 1\)"):
        registry.find("metrics", name).build(np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 2.0, 3.0]))
