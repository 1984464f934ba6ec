"""A budget is kept on tables of any size, and leaves time for several candidates."""

import time

import numpy as np
import pytest

import yisheng
from tests.experiments.test_ensemble import read_leaderboard
from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec


def draw_data(n, columns, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, columns)).astype(np.float32)
    y = (np.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3] + 0.2 * rng.normal(size=(n, 1))).astype(np.float32)
    return Dataset("rows", Spec("regression", (columns,)), x, y)


@pytest.mark.slow
@pytest.mark.usefixtures("without_reports")
@pytest.mark.parametrize(("rows", "columns", "seconds"), [(600, 8, 10), (20_000, 9, 12), (300_000, 20, 20)])
def test_the_time_is_kept_and_several_candidates_are_used(tmp_path, rows, columns, seconds):
    data = draw_data(rows, columns)
    start = time.perf_counter()
    run = yisheng.train(
        data=data, budget=seconds, out=tmp_path, quiet=True, ood=False, test=1000 if rows > 5000 else 100
    )
    elapsed = time.perf_counter() - start
    board = read_leaderboard(run)
    trained = [candidate["name"] for candidate in board["candidates"] if candidate["status"] == "trained"]
    assert len(trained) >= 3
    assert elapsed < 1.25 * seconds + 5  # the tests share the machine
    assert run.scores["test"]["r2"].value > 0.5
