"""The log, read back, whatever state it is in."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.reporting import history as module
from yisheng.reporting.history import EPOCHS, LINE, STEPS, read_history


def write(folder: Path, *lines: Any) -> Path:
    text = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (folder / "events.jsonl").write_bytes(b"".join(line + b"\n" for line in text))
    return folder


def step(number: int, loss: Any = 0.5, lr: float = 0.1) -> dict[str, Any]:
    return {"event": "step", "step": number, "epoch": 0, "lr": lr, "loss": loss, "seconds": 1.0}


def epoch(number: int, **scores: Any) -> dict[str, Any]:
    return {"event": "epoch", "step": 10 * number, "epoch": number, "loss": 0.4, "scores": scores, "seconds": 2.0}


def test_reads_steps_and_epochs(tmp_path: Path) -> None:
    found = read_history(write(tmp_path, step(1, 0.7, 0.01), step(2, 0.6, 0.02), epoch(1, loss=0.5, accuracy=0.8)))
    assert [(s.step, s.loss, s.lr) for s in found.steps] == [(1, 0.7, 0.01), (2, 0.6, 0.02)]
    assert found.epochs[0].scores == {"loss": 0.5, "accuracy": 0.8}
    assert found.epochs[0].seconds == 2.0
    assert (found.damaged, found.cut) == (0, False)
    assert found.scores() == ["loss", "accuracy"]


def test_no_log_is_an_empty_history(tmp_path: Path) -> None:
    assert read_history(tmp_path) == module.History()


def test_a_cut_last_line_is_not_damage(tmp_path: Path) -> None:
    write(tmp_path, step(1), step(2))
    path = tmp_path / "events.jsonl"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found = read_history(tmp_path)
        assert found.damaged == 0
        complete = whole[:length].count(b"\n")
        assert len(found.steps) in (complete, complete + 1)  # a line that only lacks its end counts
        assert found.cut == (whole[:length].rpartition(b"\n")[2] != b"" and len(found.steps) == complete)


def test_damaged_lines_are_counted_and_the_rest_is_kept(tmp_path: Path) -> None:
    bad = [
        b"not json",
        b"[" * 3000,
        b"\x00" * 100,
        b"\xff\xfe",
        b"[1]",
        b"null",
        b"{}",
        b'{"event": "step"}',
        b'{"event": "step", "step": true, "lr": 1, "loss": 1}',
        b'{"event": "step", "step": 3, "lr": [], "loss": 1}',
        b'{"event": "epoch", "step": 3, "epoch": 1, "loss": 1, "scores": 7}',
        b'{"event": {}}',
        b'{"event": "step", "step": 1e400, "lr": 1, "loss": 1}',
        b'"' + b"a" * (3 * LINE) + b'"',
    ]
    found = read_history(write(tmp_path, step(1), *bad, step(2)))
    assert [s.step for s in found.steps] == [1, 2]
    assert found.damaged == len(bad)


def test_unknown_events_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    found = read_history(write(tmp_path, {"event": "finding", "check": "x"}, step(1)))
    assert (len(found.steps), found.damaged) == (1, 0)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("nan", math.nan), ("inf", math.inf), (None, math.nan), (10**400, math.inf), (-(10**400), -math.inf)],
)
def test_non_finite_losses(tmp_path: Path, written: Any, meant: float) -> None:
    loss = read_history(write(tmp_path, step(1, written))).steps[0].loss
    assert loss == meant or (math.isnan(meant) and math.isnan(loss))


def test_a_continued_run_replaces_what_it_repeats(tmp_path: Path) -> None:
    log = [step(i, 1.0) for i in range(1, 31)] + [step(i, 2.0) for i in range(21, 41)]
    found = read_history(write(tmp_path, *log))
    assert [s.step for s in found.steps] == list(range(1, 41))
    assert [s.loss for s in found.steps] == [1.0] * 20 + [2.0] * 20


@pytest.mark.parametrize("n", [STEPS - 1, STEPS, 5 * STEPS + 3])
def test_long_runs_are_averaged_and_bounded(tmp_path: Path, n: int) -> None:
    losses = np.random.default_rng(0).normal(size=n)
    found = read_history(write(tmp_path, *(step(i + 1, float(loss)) for i, loss in enumerate(losses))))
    assert len(found.steps) <= STEPS
    assert found.steps[-1].step == n
    ends = np.array([s.step for s in found.steps])
    assert (np.diff(ends) > 0).all()
    starts = np.r_[0, ends[:-1]]
    means = [losses[a:b].mean() for a, b in zip(starts, ends, strict=True)]
    np.testing.assert_allclose([s.loss for s in found.steps], means, atol=1e-12)


def test_many_epochs_are_thinned(tmp_path: Path) -> None:
    found = read_history(write(tmp_path, *(epoch(i + 1, accuracy=i) for i in range(2 * EPOCHS + 7))))
    assert len(found.epochs) <= EPOCHS
    assert found.epochs[-1].epoch == 2 * EPOCHS + 7


def test_best(tmp_path: Path) -> None:
    found = read_history(write(tmp_path, epoch(1, a=0.5), epoch(2, a=0.9), epoch(3, a="nan"), epoch(4)))
    assert found.best_epoch("a", higher=True) == found.epochs[1]
    assert found.best_epoch("a", higher=False) == found.epochs[0]
    assert found.best_epoch("b", higher=True) is None


@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([json.dumps(step(i)).encode() for i in range(9)]), max_size=20)
)
def test_any_bytes_are_read(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("log")
    (folder / "events.jsonl").write_bytes(b"\n".join(lines))
    found = read_history(folder)
    numbers = [s.step for s in found.steps]
    assert numbers == sorted(set(numbers))
    assert found.damaged <= b"\n".join(lines).count(b"\n") + 1
