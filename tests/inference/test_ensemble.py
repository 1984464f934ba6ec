"""The model of a cross-validation is the mean of the fold models that it ended with, and of no others."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import yisheng
from tests.inference.conftest import train
from yisheng.cli import main
from yisheng.core.errors import DataError
from yisheng.core.run_folder import FORMAT
from yisheng.inference import ensemble, model_files
from yisheng.inference.predictor import Predictor


@pytest.fixture
def cross_validation(iris_cross_validation, tmp_path):
    return Path(shutil.copytree(iris_cross_validation, tmp_path / "cross-validation"))


def change_description(folder, **values):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    model_files.write_checksums(folder)


def test_fold_models_are_complete_with_their_own_scaling(cross_validation):
    fold_models = ensemble.load(cross_validation)
    assert len(fold_models) == 3
    assert len({tuple(np.ravel(model.scale.mean)) for model in fold_models}) == 3
    rows = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    fold_outputs = [Predictor(cross_validation / f"fold-0{n}").compute_outputs(rows) for n in (1, 2, 3)]
    outputs = Predictor(cross_validation).compute_outputs(rows)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, np.mean(fold_outputs, axis=0), rtol=1e-6)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("name", model_files.ARTIFACT_FILES)
@pytest.mark.parametrize("damage", ["missing", "truncated", "of another fold"])
def test_a_damaged_fold_model_is_refused(cross_validation, name, damage):
    path = cross_validation / "fold-02" / name
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-5])
    else:
        shutil.copy(cross_validation / "fold-03" / name, path)
    with pytest.raises(DataError):
        Predictor(cross_validation)


def test_a_replaced_fold_model_is_refused_until_the_cross_validation_is_evaluated(cross_validation):
    for name in model_files.ARTIFACT_FILES:
        shutil.copy(cross_validation / "fold-03" / name, cross_validation / "fold-02" / name)
    with pytest.raises(DataError, match="fold-02 is not the model that the cross-validation ended with"):
        Predictor(cross_validation)
    yisheng.evaluate(cross_validation)  # as the remedy says
    assert len(Predictor(cross_validation).artifacts) == 3


def test_a_fold_model_of_another_contract_is_refused(cross_validation, tmp_path):
    wine_run = train(data="wine", model="linear", epochs=1, out=tmp_path)
    for name in model_files.ARTIFACT_FILES:
        shutil.copy(wine_run / name, cross_validation / "fold-01" / name)
    entries = json.loads((cross_validation / "model.json").read_text())["fold_models"]
    weights = cross_validation / "fold-01" / "model.safetensors"
    entries[0]["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    change_description(cross_validation, fold_models=entries)
    with pytest.raises(DataError, match="another contract"):
        Predictor(cross_validation)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        None,
        "fold-01",
        [{"folder": "../fold-01", "sha256": ""}],
        [{"folder": "/etc", "sha256": ""}],
        [{"folder": "fold-01/../fold-02", "sha256": ""}],
        [{"folder": "fold-01\n", "sha256": ""}],
        [{"sha256": ""}],
        ["fold-01"],
        [{"folder": "fold-01", "sha256": ""}] * 2,
    ],
)
def test_a_manipulated_list_of_fold_models_is_refused(cross_validation, entries):
    change_description(cross_validation, fold_models=entries)
    with pytest.raises(DataError, match="does not list the models|as a fold model|a fold model twice"):
        Predictor(cross_validation)


@pytest.mark.parametrize("spec", [None, {}, [], "rows", {"task": "classification"}])
def test_a_manipulated_contract_is_refused(cross_validation, spec):
    change_description(cross_validation, spec=spec)
    with pytest.raises(DataError):
        Predictor(cross_validation)


def test_an_unfinished_cross_validation_is_reported(cross_validation, capsys):
    (cross_validation / "model.json").unlink()
    with pytest.raises(DataError, match=r"cross-validation .* not finished"):
        Predictor(cross_validation)
    assert main(["predict", str(cross_validation), "rows=5,3,1,0"]) == 3
    assert f"continue it: yisheng resume {cross_validation}" in capsys.readouterr().err


def test_a_newer_format_is_refused(cross_validation):
    change_description(cross_validation, format=FORMAT + 1)
    with pytest.raises(DataError):
        Predictor(cross_validation)


def test_the_command_predicts_with_the_mean(cross_validation, capsys):
    assert main(["predict", str(cross_validation), "rows=5.1,3.5,1.4,0.2", "--json"]) == 0
    (prediction,) = json.loads(capsys.readouterr().out)["predictions"]
    rows = np.array([[5.1, 3.5, 1.4, 0.2]], np.float32)
    folders = [cross_validation / f"fold-0{n}" for n in (1, 2, 3)]
    expected = np.mean([Predictor(folder).compute_outputs(rows)[0] for folder in folders], axis=0)
    classes = Predictor(cross_validation).spec.classes
    assert [prediction["probabilities"][name] for name in classes] == pytest.approx(expected.tolist(), rel=1e-6)
