"""Trees in an ONNX file: one operator each, whose sums are torch's on any row; a row never takes another branch."""

import numpy as np
import pytest
import torch
from torch import nn

from yisheng.core.columns import Column
from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.inference.export import onnx_file
from yisheng.models import build
from yisheng.models._fitted_model import FitRows
from yisheng.models._trees import MAX_CATEGORIES, Tree, Trees

COLUMNS = 4
"""Two columns of numbers, then two of categories."""
CATEGORIES = (5, 200)
THRESHOLDS = np.array([-np.inf, -1e30, -1.0, -1e-45, 0.0, 1 / 3, 0.1, 1.0, 1.0 + 1e-9, 16777217.0, 3.5e38, np.inf])


def draw_tree(rng, splits, values, output, by_category=True):
    """Return a random tree: leaves are split at random, thresholds are float64."""
    feature, threshold, missing_left = [0], [0.0], [False]
    children, sets, category = {}, [np.zeros(MAX_CATEGORIES + 1, bool)], [False]
    depth, leaves = [0], [0]
    for _ in range(splits):
        node = leaves.pop(rng.integers(len(leaves)))
        feature[node] = int(rng.integers(COLUMNS if by_category else 2))
        category[node] = feature[node] >= 2
        threshold[node] = float(rng.choice(THRESHOLDS)) if rng.random() < 0.5 else float(rng.normal())
        missing_left[node] = bool(rng.random() < 0.5)
        sets[node] = rng.random(MAX_CATEGORIES + 1) < 0.5
        sets[node][CATEGORIES[feature[node] - 2] if category[node] else 0 :] = missing_left[node]
        children[node] = (len(feature), len(feature) + 1)
        for child in children[node]:
            feature.append(0), threshold.append(0.0), missing_left.append(False), category.append(False)
            sets.append(np.zeros(MAX_CATEGORIES + 1, bool))
            depth.append(depth[node] + 1)
            leaves.append(child)
    n = len(feature)
    return Tree(
        feature=np.array(feature),
        threshold=np.array(threshold),
        left_child=np.array([children.get(node, (node, node))[0] for node in range(n)]),
        right_child=np.array([children.get(node, (node, node))[1] for node in range(n)]),
        missing_left=np.array(missing_left),
        category_set=np.where(category, np.arange(n), -1),
        left_categories=np.stack(sets),
        value=rng.normal(size=(n, values)),
        output=output,
        depth=max(depth),
    )


def draw_trees(rng, count, outputs, values, splits, **options):
    trees = Trees(outputs, values)
    nodes = [
        draw_tree(
            rng, int(rng.integers(splits + 1)), values, int(rng.integers(outputs)) if values == 1 else 0, **options
        )
        for _ in range(count)
    ]
    trees.set_trees(nodes)
    return trees


def draw_rows(rng, trees, count=1000):
    """Return rows at thresholds, next to them, missing and infinite, with codes that no tree has."""
    with np.errstate(over="ignore", under="ignore"):
        thresholds = np.concatenate([*(module.threshold.numpy() for module in trees), np.float32(THRESHOLDS)])
        above, below = (np.nextafter(thresholds, np.float32(side)) for side in (np.inf, -np.inf))
    neighbors = np.concatenate([thresholds, above, below])
    values = np.concatenate([neighbors, np.float32([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45])])
    codes = np.float32([np.nan, -1, -0.5, 2.5, 199.5, 255, 255.5, 256, 1e30, -1e30, np.inf, -np.inf, *range(210)])
    columns = [rng.choice(values, count), rng.choice(values, count), rng.choice(codes, count), rng.choice(codes, count)]
    columns[2][: count // 2] = rng.integers(0, CATEGORIES[0], count // 2)
    return np.stack(columns, axis=1).astype(np.float32)


class ManyTrees(nn.Module):
    """Several models of trees, whose outputs are apart."""

    def __init__(self, parts):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, *inputs):
        return tuple(part(*inputs) for part in self.parts)


def convert(model, x, path):
    """Return a function that computes a module's outputs with onnxruntime, and the ONNX file's nodes."""
    import onnx
    import onnxruntime

    with torch.no_grad():
        count = len(model(torch.from_numpy(x[:2])))
    names = [f"output_{number}" for number in range(count)]
    example = (torch.from_numpy(x[:2]),)
    program = onnx_file.convert(model, example, ["input"], names, {0: torch.export.Dim("N")})
    program.save(str(path), external_data=False)
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda rows: session.run(names, {"input": rows}), onnx.load(str(path))


@pytest.mark.slow
def test_random_trees_add_up_to_the_same_sums(tmp_path):
    pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    shapes = [(1, 1, 1), (30, 1, 1), (30, 3, 1), (30, 3, 3), (1, 2, 2), (100, 1, 1)]
    parts = [draw_trees(rng, *shape, splits) for shape in shapes for splits in (0, 1, 4, 40)]
    parts += [draw_trees(rng, 30, 1, values, 20, by_category=False) for values in (1, 1, 1)]
    parts += [Trees(2), Trees(2, 2)]
    model = ManyTrees(parts)
    x = draw_rows(rng, parts)
    predict, file = convert(model, x, tmp_path / "trees.onnx")
    assert sum(node.op_type == "TreeEnsemble" for node in file.graph.node) == len(parts)
    assert {(item.domain, item.version) for item in file.opset_import} == {("", onnx_file.OPSET), ("ai.onnx.ml", 5)}
    rows = torch.from_numpy(x)
    for size in (1, 7, 1000):
        batches = [predict(x[start : start + size]) for start in range(0, 200 if size == 1 else 1000, size)]
        for part, outputs in zip(parts, zip(*batches, strict=True), strict=True):
            actual = np.concatenate(outputs)
            expected = (
                part._add_leaves(rows)[: len(actual)] if len(part) else torch.zeros_like(part(rows[: len(actual)]))
            )
            assert actual.dtype == np.float64
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)
            np.testing.assert_allclose(actual, part(rows)[: len(actual)], rtol=0, atol=1e-12)


def test_the_reference_of_the_standard_computes_the_same(tmp_path):
    pytest.importorskip("onnxruntime")
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng(1)
    model = ManyTrees([draw_trees(rng, 4, 2, 1, 6), draw_trees(rng, 4, 2, 2, 6)])
    x = draw_rows(rng, model.parts, 30)
    predict, file = convert(model, x, tmp_path / "trees.onnx")
    outputs = ReferenceEvaluator(file).run(None, {"input": x})
    for actual, expected, torch_sums in zip(outputs, predict(x), model(torch.from_numpy(x)), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(actual, torch_sums, rtol=0, atol=1e-12)


def test_a_tree_may_be_as_deep_as_there_are_rows(tmp_path):
    pytest.importorskip("onnxruntime")
    n = 3000
    number = np.arange(n)
    chain = Tree(
        feature=np.zeros(2 * n + 1, np.int64),
        threshold=np.concatenate([number, np.zeros(n + 1)]).astype(np.float64),
        left_child=np.concatenate([n + number, n + np.arange(n + 1)]),
        right_child=np.concatenate([number[1:], [2 * n], n + np.arange(n + 1)]),
        missing_left=np.zeros(2 * n + 1, bool),
        category_set=np.full(2 * n + 1, -1),
        left_categories=None,
        value=np.concatenate([np.zeros(n), np.arange(n + 1)])[:, None],
        output=0,
        depth=n,
    )
    trees = Trees(1)
    trees.set_trees([chain])
    x = np.random.default_rng(0).uniform(-1, n + 1, (50, 1)).astype(np.float32)
    predict, _ = convert(ManyTrees([trees]), x, tmp_path / "chain.onnx")
    np.testing.assert_array_equal(predict(x)[0], trees(torch.from_numpy(x)))
    np.testing.assert_array_equal(predict(x)[0][:, 0], np.clip(np.ceil(x[:, 0]), 0, n))


TABLE = (Column("a"), Column("b"), Column("town", "category", tuple("pqrstu")))
TASKS = {
    "boosting": (Spec("regression", (3,), columns=TABLE), {"rounds": 40, "leaf_rows": 5}),
    "boosting of classes": (Spec("classification", (3,), classes=("x", "y", "z"), columns=TABLE), {"rounds": 20}),
    "extra trees": (Spec("regression", (3,), columns=TABLE, outputs=2), {"trees": 20}),
    "random forest": (Spec("classification", (3,), classes=("x", "y", "z"), columns=TABLE), {"trees": 20}),
}


def fit_model(name, rng):
    """Return a fitted model with scikit-learn's estimator, and rows at its thresholds."""
    spec, options = TASKS[name]
    x = np.stack([rng.normal(size=300).round(1), rng.normal(size=300), rng.integers(0, 5, 300)], axis=1)
    x[rng.random(x.shape) < 0.1] = np.nan
    signal = np.nan_to_num(x[:, 0]) + (x[:, 2] == 3) + 0.3 * np.isnan(x[:, 1])
    if spec.classes:
        y = np.digitize(signal, [0.0, 0.7])
    else:
        y = (signal[:, None] * np.arange(1, spec.outputs + 1)).astype(np.float32)
    method = {"method": "random" if name == "random forest" else "extra"} if "trees" in options else {}
    model = build("boosting" if name.startswith("boosting") else "forest", spec, **options, **method)
    model.fit_stage(model.stages - 1, FitRows(x.astype(np.float32), y, None, 0))
    rows = rng.choice(model.trees.threshold.numpy(), (1000, 3))
    rows[:, :2] = np.where(rng.random((1000, 2)) < 0.3, np.nextafter(rows[:, :2], np.float32(np.inf)), rows[:, :2])
    rows[:, 2] = rng.integers(0, 5, 1000)
    rows[~np.isfinite(rows) | (rng.random(rows.shape) < 0.1)] = np.nan
    return model.eval(), rows.astype(np.float32)


@pytest.mark.parametrize("name", TASKS)
def test_trained_trees_predict_as_scikit_learn(tmp_path, name):
    pytest.importorskip("onnxruntime")
    model, x = fit_model(name, np.random.default_rng(0))
    assert name.startswith(("extra", "random")) or bool((model.trees.category_set >= 0).any())
    predict, _ = convert(ManyTrees([model]), x, tmp_path / "model.onnx")
    (outputs,) = predict(x)
    np.testing.assert_allclose(outputs, model(torch.from_numpy(x)), rtol=3e-7, atol=1e-7)
    if name.startswith("boosting"):
        (estimator,) = model._estimators
        rows = np.stack([x[:, column] for column in model._order], axis=1).astype(np.float64)
    else:
        estimator, rows = model._estimator, x
    if name == "random forest":
        votes = np.clip(estimator.predict_proba(rows), 0.5 / 20, None)
        np.testing.assert_allclose(outputs, np.log(votes), rtol=1e-6, atol=1e-6)
    elif model.spec.classes:
        np.testing.assert_allclose(outputs, estimator.decision_function(rows), rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_allclose(outputs.squeeze(), estimator.predict(rows), rtol=1e-5, atol=1e-6)
    x[:, 2] = 5  # a category of the table that no training row has
    np.testing.assert_allclose(predict(x)[0], model(torch.from_numpy(x)), rtol=3e-7, atol=1e-7)


def test_trees_predict_in_torch_after_a_conversion_and_after_one_that_failed(tmp_path):
    pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    trees = draw_trees(rng, 5, 1, 1, 5)
    x = draw_rows(rng, [trees], 20)
    expected = trees(torch.from_numpy(x))
    convert(ManyTrees([trees]), x, tmp_path / "trees.onnx")
    torch.testing.assert_close(trees(torch.from_numpy(x)), expected, rtol=0, atol=0)

    class DecidesByValue(ManyTrees):
        def forward(self, *inputs):
            (sums,) = super().forward(*inputs)
            return (sums if sums.sum() > 0 else -sums,)

    with pytest.raises(UsageError, match="cannot be converted"):
        convert(DecidesByValue([trees]), x, tmp_path / "other.onnx")
    torch.testing.assert_close(trees(torch.from_numpy(x)), expected, rtol=0, atol=0)
