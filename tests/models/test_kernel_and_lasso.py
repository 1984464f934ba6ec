"""The kernel machine and the lasso predict what scikit-learn does, in every stage and after loading."""

import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn import linear_model, svm
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import KFold

from yisheng.core import registry
from yisheng.core.columns import Column
from yisheng.core.errors import DataError, UsageError
from yisheng.core.spec import Spec
from yisheng.models import kernel as kernel_module
from yisheng.models._fitted_model import FitRows
from yisheng.transforms.codes import codes

SPECS = {
    "numbers": Spec("regression", (4,)),
    "two numbers": Spec("regression", (4,)).with_outputs(2),
    "two classes": Spec("classification", (4,), classes=("no", "yes")),
    "one logit": Spec("classification", (4,), classes=("no", "yes")).with_outputs(1),
    "classes": Spec("classification", (4,), classes=("a", "b", "c")),
    "labels": Spec("multilabel", (4,), classes=("p", "q")),
}
NUMBERS = ("numbers", "two numbers")
CASES = [("lasso", task) for task in NUMBERS] + [("kernel", task) for task in SPECS]
GAMMA, L2 = 0.2, 0.1


def draw_rows(spec, n=120, seed=0, *, weighted=False):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    signal = x[:, 0] + np.sin(2 * x[:, 1]) + 0.3 * rng.normal(size=n)
    weight = rng.uniform(0.5, 2, n).astype(np.float32) if weighted else None
    if spec.task == "regression":
        return FitRows(x, np.stack([signal * (o + 1) for o in range(spec.outputs)], 1).astype(np.float32), weight, seed)
    if spec.task == "multilabel":
        return FitRows(x, np.stack([signal > 0, signal > 1], 1).astype(np.float32), weight, seed)
    cuts = np.quantile(signal, np.linspace(0, 1, len(spec.classes) + 1)[1:-1])
    return FitRows(x, np.digitize(signal, cuts), weight, seed)


def fit(name, spec, rows, **options):
    model = registry.build("models", name, spec, **options)
    model.fit_stage(0, rows)
    return model


def predict(model, x):
    with torch.no_grad():
        return model(torch.from_numpy(x)).double()


@pytest.mark.parametrize("task", NUMBERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_numbers_are_those_of_support_vector_regression(task, weighted):
    spec = SPECS[task]
    rows, x = draw_rows(spec, weighted=weighted), draw_rows(spec, seed=1).x
    expected = [
        svm.SVR(C=1 / L2, epsilon=0.1, gamma=GAMMA).fit(rows.x.astype(float), y, rows.weight).predict(x)
        for y in rows.y.T.astype(float)
    ]
    model = fit("kernel", spec, rows, l2=L2, gamma=GAMMA)
    np.testing.assert_allclose(predict(model, x), np.stack(expected, 1), rtol=1e-5, atol=1e-5)


def test_the_default_width_is_a_part_of_scikit_learns_scale():
    rows = draw_rows(SPECS["numbers"])
    model = fit("kernel", SPECS["numbers"], rows)
    assert float(model.gamma) == pytest.approx(0.3 / (4 * rows.x.astype(float).var()))


def test_a_stored_kernel_changes_nothing_but_the_time(monkeypatch):
    rows, x = draw_rows(SPECS["numbers"]), draw_rows(SPECS["numbers"], seed=1).x
    stored = predict(fit("kernel", SPECS["numbers"], rows), x)
    monkeypatch.setattr(kernel_module, "MAX_STORED_ROWS", 0)
    np.testing.assert_allclose(predict(fit("kernel", SPECS["numbers"], rows), x), stored, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("task", [task for task in SPECS if task not in NUMBERS])
@pytest.mark.parametrize("weighted", [False, True])
def test_classes_are_those_of_logistic_regression_on_the_kernels_features(task, weighted):
    """Cholesky's factor has other features than the model's eigenvectors, and the same functions and norm."""
    spec = SPECS[task]
    rows, x = draw_rows(spec, weighted=weighted), draw_rows(spec, seed=1).x
    centers = rows.x.astype(float)
    factor = np.linalg.cholesky(rbf_kernel(centers, centers, GAMMA) + 1e-9 * np.eye(len(centers)))
    unseen_features = np.linalg.solve(factor, rbf_kernel(centers, x.astype(float), GAMMA)).T
    solver = linear_model.LogisticRegression(C=1 / L2, max_iter=5000, tol=1e-7)
    output = predict(fit("kernel", spec, rows, l2=L2, gamma=GAMMA), x)
    if spec.task == "multilabel":
        expected = [solver.fit(factor, y, rows.weight).predict_proba(unseen_features)[:, 1] for y in rows.y.T]
        np.testing.assert_allclose(output.sigmoid(), np.stack(expected, 1), atol=5e-3)
        return
    expected = solver.fit(factor, rows.y, rows.weight).predict_proba(unseen_features)
    logits = torch.cat([torch.zeros_like(output), output], 1) if spec.outputs == 1 else output
    np.testing.assert_allclose(logits.softmax(1), expected, atol=5e-3)


def test_random_landmarks_are_nearly_as_good_as_all_rows(monkeypatch):
    spec = SPECS["two classes"]
    rows, unseen = draw_rows(spec, n=400), draw_rows(spec, n=400, seed=1)
    complete = fit("kernel", spec, rows, l2=L2)
    monkeypatch.setattr(kernel_module, "MAX_LANDMARKS", 100)
    model = fit("kernel", spec, rows, l2=L2)
    assert model.x.shape == (100, 4)
    accuracy = [float((predict(m, unseen.x).argmax(1).numpy() == unseen.y).mean()) for m in (complete, model)]
    assert min(accuracy) > 0.75
    assert abs(accuracy[0] - accuracy[1]) < 0.05


@pytest.mark.parametrize("task", NUMBERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_lasso_is_that_of_scikit_learn(task, weighted):
    spec = SPECS[task]
    rows, x = draw_rows(spec, weighted=weighted), draw_rows(spec, seed=1).x
    inputs = rows.x.astype(float)
    fixed, chosen = linear_model.Lasso(0.2), linear_model.LassoCV(alphas=50, cv=KFold(5, shuffle=True, random_state=0))
    for solver, options in ((fixed, {"alpha": 0.2}), (chosen, {})):
        expected = [solver.fit(inputs, y, sample_weight=rows.weight).predict(x) for y in rows.y.T.astype(float)]
        model = fit("lasso", spec, rows, **options)
        np.testing.assert_allclose(predict(model, x), np.stack(expected, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_every_stage_can_be_loaded_to_the_bit(name, task):
    spec = SPECS[task]
    rows = draw_rows(spec)
    x = torch.from_numpy(rows.x)
    model = registry.build("models", name, spec)
    for stage in range(model.stages):
        model.fit_stage(stage, rows)
        loaded = registry.build("models", name, spec)
        loaded.load_state_dict(safetensors.torch.load(safetensors.torch.save(model.state_dict())))
        assert torch.equal(loaded(x), model(x))
        assert bool(model(x).isfinite().all())
    refitted = registry.build("models", name, spec)
    refitted.fit_stage(model.stages - 1, rows)  # the last stage of a resumed run
    assert torch.equal(refitted(x), model(x))


@pytest.mark.parametrize(("name", "task"), CASES)
def test_rows_of_one_target_predict_it(name, task):
    spec = SPECS[task]
    rows = draw_rows(spec, n=12)
    y = np.full_like(rows.y, 1)
    output = predict(fit(name, spec, FitRows(rows.x, y, None, 0)), rows.x)
    if spec.task == "regression":
        np.testing.assert_allclose(output, 1, atol=0.11)  # errors up to 0.1 cost nothing
    else:
        is_multilabel = spec.task == "multilabel" or spec.outputs == 1
        assert bool((output.sigmoid() > 0.99).all() if is_multilabel else (output.argmax(1) == 1).all())


def test_damaged_buffers_are_refused():
    spec = SPECS["numbers"]
    model = fit("kernel", spec, draw_rows(spec))
    for name, value in (("gamma", torch.tensor(0.0).double()), ("bias", torch.full((1,), torch.nan).double())):
        state = {**model.state_dict(), name: value}
        with pytest.raises(ValueError, match="finite, and its gamma positive"):
            registry.build("models", "kernel", spec).load_state_dict(state)
    state = {**model.state_dict(), "coefficients": torch.zeros(2, 1).double()}
    with pytest.raises(ValueError, match="other shapes"):
        registry.build("models", "kernel", spec).load_state_dict(state)


def test_a_kernel_machine_refuses_many_rows():
    model = registry.build("models", "kernel", SPECS["numbers"])
    model.require_size(20_000, torch.device("cpu"))
    with pytest.raises(UsageError, match="up to 20,000 training rows, got 20,001"):
        model.require_size(20_001, torch.device("cpu"))


def test_columns_without_values_that_differ_do_not_take_part_in_boosting():
    spec = Spec("regression", (4,))
    rows = draw_rows(spec)
    padded_rows = FitRows(np.concatenate([rows.x, np.zeros((len(rows.x), 20), np.float32)], 1), rows.y, None, 0)
    options = {"rounds": 20, "leaf_rows": 5, "column_fraction": 0.3}
    model, padded = (
        registry.build("models", "boosting", Spec("regression", (r.x.shape[1],)), **options)
        for r in (rows, padded_rows)
    )
    for stage in range(model.stages):
        model.fit_stage(stage, rows)
        padded.fit_stage(stage, padded_rows)
    assert torch.equal(model(torch.from_numpy(rows.x)), padded(torch.from_numpy(padded_rows.x)))


def test_trees_without_texts_do_not_depend_on_their_features():
    table = (Column("size"), Column("note: length", source="note", text_part="length"))
    x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    fitted = codes.fit(x, columns=table, texts=False)
    changed = torch.from_numpy(x.copy())
    changed[:, 1] = torch.nan
    assert torch.equal(fitted.apply(changed), fitted.apply(torch.from_numpy(x)))
    assert not bool(fitted.apply(changed)[:, 1].any())
    assert codes.fit(x, columns=table).unused == ()
    with pytest.raises(DataError, match="all 1 are features of texts"):
        codes.fit(x[:, 1:], columns=table[1:], texts=False)
