"""Tables with coordinates of places, from training to prediction."""

import json

import numpy as np
import pandas as pd
import pytest

import yisheng

pytestmark = pytest.mark.usefixtures("without_reports")


def train(folder, frame):
    settings = {"model": "ensemble", "candidates": ("boosting",), "bag_folds": 2}
    return yisheng.train(data=frame, target="price", out=folder, quiet=True, **settings)


def test_trees_split_across_the_axes_of_coordinates(tmp_path):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.uniform(-1, 1, (300, 2)), columns=["latitude", "longitude"])
    frame["price"] = np.sin(4 * (frame["latitude"] + frame["longitude"])) + 0.1 * draw.normal(size=300)
    run = train(tmp_path, frame)
    other = train(tmp_path, frame.rename(columns={"latitude": "a", "longitude": "b"}))
    values = [json.loads((r.path / "leaderboard.json").read_text())["candidates"][0]["value"] for r in (run, other)]
    assert values[0] < 0.8 * values[1]
    rows = frame.head(20).drop(columns="price")
    rows.loc[0, "latitude"] = np.nan
    assert yisheng.load(run.path).predict(rows) == run.predict(rows)
