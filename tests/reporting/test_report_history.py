"""Reading the event log of a run, including damaged and incomplete ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.reporting.history import MAX_EPOCHS, MAX_LINE_BYTES, MAX_STEPS, History, read_history


def write_log(folder: Path, *lines: Any) -> Path:
    """Write lines (events, or bytes as they are) as ``events.jsonl``."""
    text = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (folder / "events.jsonl").write_bytes(b"".join(line + b"\n" for line in text))
    return folder


def step(number: int, loss: Any = 0.5, lr: float = 0.1) -> dict[str, Any]:
    return {"event": "step", "step": number, "epoch": 0, "lr": lr, "loss": loss, "seconds": 1.0}


def epoch(number: int, **scores: Any) -> dict[str, Any]:
    return {"event": "epoch", "step": 10 * number, "epoch": number, "loss": 0.4, "scores": scores, "seconds": 2.0}


def test_read_history_returns_steps_and_epochs(tmp_path: Path) -> None:
    history = read_history(
        write_log(tmp_path, step(1, 0.7, 0.01), step(2, 0.6, 0.02), epoch(1, loss=0.5, accuracy=0.8))
    )
    assert [(s.step, s.loss, s.lr) for s in history.steps] == [(1, 0.7, 0.01), (2, 0.6, 0.02)]
    assert history.epochs[0].scores == {"loss": 0.5, "accuracy": 0.8}
    assert history.epochs[0].seconds == 2.0
    assert (history.damaged_lines, history.truncated) == (0, False)
    assert history.scores() == ["loss", "accuracy"]


def test_read_history_without_a_log_is_empty(tmp_path: Path) -> None:
    assert read_history(tmp_path) == History()


def test_truncated_last_line_is_not_counted_as_damaged(tmp_path: Path) -> None:
    write_log(tmp_path, step(1), step(2))
    path = tmp_path / "events.jsonl"
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        history = read_history(tmp_path)
        assert history.damaged_lines == 0
        complete = content[:length].count(b"\n")
        assert len(history.steps) in (complete, complete + 1)  # a line that lacks only its newline is read
        assert history.truncated == (content[:length].rpartition(b"\n")[2] != b"" and len(history.steps) == complete)


def test_damaged_lines_are_counted_and_skipped(tmp_path: Path) -> None:
    damaged = [
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
        b'"' + b"a" * (3 * MAX_LINE_BYTES) + b'"',
    ]
    history = read_history(write_log(tmp_path, step(1), *damaged, step(2)))
    assert [s.step for s in history.steps] == [1, 2]
    assert history.damaged_lines == len(damaged)


def test_unknown_events_are_skipped(tmp_path: Path) -> None:
    history = read_history(write_log(tmp_path, {"event": "finding", "check": "x"}, step(1)))
    assert (len(history.steps), history.damaged_lines) == (1, 0)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [("nan", math.nan), ("inf", math.inf), (None, math.nan), (10**400, math.inf), (-(10**400), -math.inf)],
)
def test_nonfinite_losses_are_read(tmp_path: Path, stored: Any, expected: float) -> None:
    loss = read_history(write_log(tmp_path, step(1, stored))).steps[0].loss
    assert loss == expected or (math.isnan(expected) and math.isnan(loss))


def test_resumed_run_replaces_repeated_steps(tmp_path: Path) -> None:
    log = [step(i, 1.0) for i in range(1, 31)] + [step(i, 2.0) for i in range(21, 41)]
    history = read_history(write_log(tmp_path, *log))
    assert [s.step for s in history.steps] == list(range(1, 41))
    assert [s.loss for s in history.steps] == [1.0] * 20 + [2.0] * 20


@pytest.mark.parametrize("n", [MAX_STEPS - 1, MAX_STEPS, 5 * MAX_STEPS + 3])
def test_long_history_averages_steps(tmp_path: Path, n: int) -> None:
    losses = np.random.default_rng(0).normal(size=n)
    history = read_history(write_log(tmp_path, *(step(i + 1, float(loss)) for i, loss in enumerate(losses))))
    assert len(history.steps) <= MAX_STEPS
    assert history.steps[-1].step == n
    ends = np.array([s.step for s in history.steps])
    assert (np.diff(ends) > 0).all()
    starts = np.r_[0, ends[:-1]]
    means = [losses[a:b].mean() for a, b in zip(starts, ends, strict=True)]
    np.testing.assert_allclose([s.loss for s in history.steps], means, atol=1e-12)


def test_long_history_thins_epochs(tmp_path: Path) -> None:
    history = read_history(write_log(tmp_path, *(epoch(i + 1, accuracy=i) for i in range(2 * MAX_EPOCHS + 7))))
    assert len(history.epochs) <= MAX_EPOCHS
    assert history.epochs[-1].epoch == 2 * MAX_EPOCHS + 7


def test_best_epoch(tmp_path: Path) -> None:
    history = read_history(write_log(tmp_path, epoch(1, a=0.5), epoch(2, a=0.9), epoch(3, a="nan"), epoch(4)))
    assert history.best_epoch("a", higher=True) == history.epochs[1]
    assert history.best_epoch("a", higher=False) == history.epochs[0]
    assert history.best_epoch("b", higher=True) is None


@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([json.dumps(step(i)).encode() for i in range(9)]), max_size=20)
)
def test_read_history_accepts_any_bytes(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("log")
    (folder / "events.jsonl").write_bytes(b"\n".join(lines))
    history = read_history(folder)
    numbers = [s.step for s in history.steps]
    assert numbers == sorted(set(numbers))
    assert history.damaged_lines <= b"\n".join(lines).count(b"\n") + 1
