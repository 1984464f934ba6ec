"""A study's members: the mean of those that the study ended with, and of no others."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import yisheng
from yisheng.cli import main
from yisheng.core.errors import DataError
from yisheng.inference import artifact, ensemble
from yisheng.inference.predictor import Predictor


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    settings = {"model": "mlp", "hidden": [4], "epochs": 1, "quiet": True}
    return yisheng.train(data="iris", folds=3, out=tmp_path_factory.mktemp("study"), **settings).path


@pytest.fixture
def study(done, tmp_path):
    return Path(shutil.copytree(done, tmp_path / "study"))


def change(study, **values):
    path = study / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    artifact.write_checksums(study)


def test_members_are_whole_models_with_their_own_scaling(study):
    found = ensemble.load(study)
    assert len(found) == 3
    assert len({tuple(np.ravel(one.scale.mean)) for one in found}) == 3
    rows = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    each = [Predictor(study / f"fold-0{n}").compute_outputs(rows) for n in (1, 2, 3)]
    outputs = Predictor(study).compute_outputs(rows)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, np.mean(each, axis=0), rtol=1e-6)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("name", artifact.ARTIFACT_FILES)
@pytest.mark.parametrize("damage", ["gone", "cut", "another member's"])
def test_a_damaged_member_is_refused(study, name, damage):
    path = study / "fold-02" / name
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    else:
        shutil.copy(study / "fold-03" / name, path)
    with pytest.raises(DataError):
        Predictor(study)


def test_a_member_that_was_changed_is_told_from_the_one_that_the_study_ended_with(study):
    for name in artifact.ARTIFACT_FILES:
        shutil.copy(study / "fold-03" / name, study / "fold-02" / name)
    with pytest.raises(DataError, match="fold-02 is not the member that the study ended with"):
        Predictor(study)
    yisheng.evaluate(study)  # as the remedy says
    assert len(Predictor(study).artifacts) == 3


def test_a_member_of_another_contract_is_refused(study, tmp_path):
    other = yisheng.train(data="wine", model="linear", epochs=1, out=tmp_path, quiet=True).path
    for name in artifact.ARTIFACT_FILES:
        shutil.copy(other / name, study / "fold-01" / name)
    listed = json.loads((study / "model.json").read_text())["members"]
    listed[0]["sha256"] = hashlib.sha256((study / "fold-01" / "model.safetensors").read_bytes()).hexdigest()
    change(study, members=listed)
    with pytest.raises(DataError, match="another contract"):
        Predictor(study)


@pytest.mark.parametrize(
    "listed",
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
def test_a_lying_list_of_members_is_refused(study, listed):
    change(study, members=listed)
    with pytest.raises(DataError, match="members|as a member|a member twice"):
        Predictor(study)


@pytest.mark.parametrize("spec", [None, {}, [], "rows", {"task": "classification"}])
def test_a_lying_contract_is_refused(study, spec):
    change(study, spec=spec)
    with pytest.raises(DataError):
        Predictor(study)


def test_an_unfinished_study_says_so(study, capsys):
    (study / "model.json").unlink()
    with pytest.raises(DataError, match="study .* not finished"):
        Predictor(study)
    assert main(["predict", str(study), "rows=5,3,1,0"]) == 3
    assert f"say yisheng resume {study}" in capsys.readouterr().err


def test_a_format_to_come_is_refused(study):
    change(study, format=artifact.FORMAT + 1)
    with pytest.raises(DataError):
        Predictor(study)


def test_the_command_line_answers_with_the_mean(study, capsys):
    assert main(["predict", str(study), "rows=5.1,3.5,1.4,0.2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["answers"][0]
    rows = np.array([[5.1, 3.5, 1.4, 0.2]], np.float32)
    wanted = np.mean([Predictor(study / f"fold-0{n}").compute_outputs(rows)[0] for n in (1, 2, 3)], axis=0)
    classes = Predictor(study).spec.classes
    assert [answer["probabilities"][name] for name in classes] == pytest.approx(wanted.tolist(), rel=1e-6)
