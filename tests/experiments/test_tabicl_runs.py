"""Runs of TabICL are loaded to the bit, refuse other weights, and are a line in the leaderboard of an ensemble."""

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import yisheng
from tests.experiments.test_ensemble import read_leaderboard
from tests.models.test_tabicl import draw, write_checkpoints
from yisheng.core.errors import DataError, UsageError
from yisheng.data.hub import catalog
from yisheng.experiments.export import export
from yisheng.models.tabicl import WEIGHTS_FILES

pytest.importorskip("tabicl")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return write_checkpoints(tmp_path_factory.mktemp("weights"))


@pytest.mark.slow
@pytest.mark.usefixtures("without_reports")
def test_a_run_is_loaded_to_the_bit_and_refuses_other_weights(checkpoints, tmp_path):
    x, y = draw("two", 80)
    frame = pd.DataFrame(x, columns=list("abcd")).assign(y=np.where(y, "yes", "no"))
    weights = tmp_path / "weights.ckpt"
    weights.write_bytes(checkpoints["classification"].read_bytes())
    settings = {"model": "tabicl", "estimators": 2, "checkpoint": str(weights), "quiet": True, "out": tmp_path / "runs"}
    run = yisheng.train(data=frame, target="y", **settings)
    rows = frame.drop(columns="y").head(10)
    expected = run.predictor.predict_outputs(rows)
    np.testing.assert_array_equal(yisheng.load(run.path).predictor.predict_outputs(rows), expected)
    with pytest.raises(UsageError, match="cannot be exported"):
        export(run.path)
    weights.write_bytes(checkpoints["regression"].read_bytes())
    with pytest.raises(DataError, match="other weights"):
        yisheng.load(run.path).predictor.predict_outputs(rows)


@pytest.mark.slow
@pytest.mark.usefixtures("without_reports")
def test_the_leaderboard_of_an_ensemble_has_a_line(checkpoints, tmp_path, monkeypatch):
    x, y = draw("number", 80)
    frame = pd.DataFrame(x, columns=list("abcd")).assign(y=y[:, 0])
    settings = {"target": "y", "model": "ensemble", "bag_folds": 2, "seconds": 4, "quiet": True}
    settings["out"] = tmp_path / "runs"
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "home"))

    def read_line():
        board = read_leaderboard(yisheng.train(data=frame, **settings))
        return next(line for line in board["candidates"] if line["name"] == "tabicl")

    assert read_line()["status"].startswith("skipped: its weights are not in the cache")
    name = WEIGHTS_FILES["regression"]
    content = checkpoints["regression"].read_bytes()
    mirror = tmp_path / "mirror" / "tabicl"
    mirror.mkdir(parents=True)
    (mirror / name).write_bytes(content)
    file = catalog.find("tabicl").get_file(name)
    digest = catalog.Checksum("file", "sha256", hashlib.sha256(content).hexdigest())
    tiny = replace(catalog.find("tabicl"), files=(replace(file, size=len(content), sums=(digest,)),))
    monkeypatch.setattr(catalog, "find", lambda _: tiny)
    monkeypatch.setenv("YISHENG_MIRROR", (tmp_path / "mirror").as_uri())
    settings |= {"candidates": ("linear", "tabicl"), "seconds": None}
    assert read_line()["status"] == "trained"
    assert (tmp_path / "home" / "data" / "tabicl" / name).read_bytes() == content
