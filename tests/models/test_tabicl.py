"""TabICL predicts as its package does, from weights that are only read as tensors; a tiny network stands for it."""

import importlib.util
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
import torch

import yisheng
from yisheng.core import registry
from yisheng.core.errors import DataError, MissingPartError, UsageError
from yisheng.core.spec import Spec
from yisheng.models._fitted_model import FitRows
from yisheng.models.tabicl import TabICL

needs_package = pytest.mark.skipif(importlib.util.find_spec("tabicl") is None, reason="the extra tabicl")
SPECS = {
    "two": Spec("classification", (4,), classes=("no", "yes")),
    "three": Spec("classification", (4,), classes=("a", "b", "c")),
    "number": Spec("regression", (4,)),
}
NETWORK_OPTIONS = {
    "embed_dim": 8,
    "col_num_blocks": 1,
    "col_nhead": 2,
    "col_num_inds": 4,
    "row_num_blocks": 1,
    "row_nhead": 2,
}
NETWORK_OPTIONS |= {"row_num_cls": 2, "icl_num_blocks": 1, "icl_nhead": 2, "zero_init": False}


def write_checkpoints(folder):
    """Write files of tiny networks of the same form; return their paths by task."""
    from tabicl._model import TabICL as Network

    paths = {}
    options = {"classification": {"max_classes": 5}, "regression": {"max_classes": 0, "num_quantiles": 9}}
    for task, further in options.items():
        config = {**NETWORK_OPTIONS, **further}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            content = {"config": config, "state_dict": Network(**config).state_dict()}
        paths[task] = folder / f"{task}.ckpt"
        torch.save(content, paths[task])
    return paths


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return write_checkpoints(tmp_path_factory.mktemp("weights"))


def draw(name, n=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    if SPECS[name].task == "regression":
        y = x[:, :1] * 3
    else:
        y = np.digitize(x[:, 0], [-0.5, 0.5][: len(SPECS[name].classes) - 1])
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, y


def fit(name, checkpoints, **options):
    model = registry.build("models", "tabicl", SPECS[name], checkpoint=str(checkpoints[SPECS[name].task]), **options)
    model.fit_stage(0, FitRows(*draw(name), None, seed=3))
    return model.eval()


@needs_package
@pytest.mark.parametrize("name", SPECS)
def test_it_predicts_what_the_package_does(checkpoints, name):
    import tabicl

    model, (x, y) = fit(name, checkpoints, estimators=2), draw(name)
    rows = np.nan_to_num(draw(name, 20, seed=1)[0])
    kind = tabicl.TabICLRegressor if name == "number" else tabicl.TabICLClassifier
    path = checkpoints[SPECS[name].task]
    estimator = kind(n_estimators=2, model_path=path, device="cpu", random_state=3).fit(x, y.ravel())
    state = torch.get_rng_state()
    output = model(torch.from_numpy(rows)).double().numpy()
    assert torch.equal(torch.get_rng_state(), state)
    if name == "number":
        np.testing.assert_allclose(output[:, 0], estimator.predict(rows), rtol=1e-4, atol=1e-5)
    else:
        powers = np.exp(output - output.max(1, keepdims=True))
        expected = estimator.predict_proba(rows)
        np.testing.assert_allclose(powers / powers.sum(1, keepdims=True), expected, rtol=1e-4, atol=1e-5)


@needs_package
@pytest.mark.parametrize("name", SPECS)
def test_a_loaded_model_is_the_same_and_does_not_depend_on_other_rows(checkpoints, name):
    model = fit(name, checkpoints, estimators=2)
    options = {"checkpoint": str(checkpoints[SPECS[name].task]), "estimators": 2}
    loaded = registry.build("models", "tabicl", SPECS[name], **options)
    loaded.load_state_dict(model.state_dict())
    rows = torch.from_numpy(draw(name, 6, seed=1)[0])
    rows[0] = torch.nan
    output = model(rows)
    torch.testing.assert_close(loaded(rows), output, rtol=0, atol=0)
    single = torch.cat([loaded(row[None]) for row in rows])
    torch.testing.assert_close(single, output, rtol=1e-4, atol=1e-5)


@needs_package
def test_rows_of_one_class_and_columns_without_numbers(checkpoints):
    model = registry.build("models", "tabicl", SPECS["two"], checkpoint=str(checkpoints["classification"]))
    x, y = draw("two")
    model.fit_stage(0, FitRows(x, np.zeros_like(y), None, seed=0))
    assert (model(torch.from_numpy(x)).softmax(1)[:, 0] > 0.999).all()
    x[:, 2] = np.nan
    model.fit_stage(0, FitRows(x, y, None, seed=0))
    assert model(torch.from_numpy(x)).isfinite().all()


@needs_package
def test_a_file_that_is_more_than_weights_is_not_executed(tmp_path):
    class Attack:
        def __reduce__(self):
            return print, ("executed",)

    path = tmp_path / "attack.ckpt"
    torch.save({"config": Attack(), "state_dict": {}}, path)
    with pytest.raises(DataError, match="no weights of TabICL"):
        fit("two", {"classification": path})(torch.zeros(1, 4))
    path.write_bytes(pickle.dumps(Attack()))
    with pytest.raises(DataError):
        fit("two", {"classification": path})(torch.zeros(1, 4))


@pytest.mark.parametrize(("rows", "columns", "is_refused"), [(3000, 10, False), (3001, 10, True), (600, 200, True)])
def test_too_many_rows_for_a_processor_are_refused(rows, columns, is_refused):
    model = TabICL(Spec("regression", (columns,)), 8, None)
    model.require_size(rows, torch.device("cuda"))
    if is_refused:
        with pytest.raises(UsageError, match="reads all training rows for each prediction"):
            model.require_size(rows, torch.device("cpu"))
    else:
        model.require_size(rows, torch.device("cpu"))


def test_without_package_or_weights_nothing_begins(tmp_path, monkeypatch):
    frame = pd.DataFrame({"a": np.arange(50.0), "y": np.arange(50.0)})
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("YISHENG_OFFLINE", "1")
    monkeypatch.setenv("YISHENG_MIRROR", "")
    if importlib.util.find_spec("tabicl") is not None:
        with pytest.raises(DataError, match="not in the cache") as caught:
            yisheng.train(data=frame, target="y", model="tabicl", out=tmp_path / "runs", quiet=True)
        assert "tabicl-regressor" in str(caught.value)
    monkeypatch.setitem(sys.modules, "tabicl", None)
    for settings in ({"model": "tabicl"}, {"model": "ensemble", "candidates": ("linear", "tabicl")}):
        with pytest.raises(MissingPartError, match=r"pip install 'yisheng\[tabicl\]'"):
            yisheng.train(data=frame, target="y", out=tmp_path / "runs", quiet=True, **settings)
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("name", ["x", "y", "digest"])
def test_damaged_rows_are_refused(name):
    spec = SPECS["number"]
    state = {"x": torch.zeros(3, 4), "y": torch.zeros(3, dtype=torch.float64)}
    state["seed"] = torch.zeros((), dtype=torch.int64)
    state["digest"] = torch.zeros(32, dtype=torch.uint8)
    TabICL(spec, 8, None).load_state_dict(state)
    with pytest.raises(ValueError, match="TabICL"):
        TabICL(spec, 8, None).load_state_dict({**state, name: state[name][:2]})
