"""A log that is read as it grows has the curves of the complete log."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from yisheng.reporting.history import MAX_STEPS, read_history
from yisheng.serving.log_tail import LogTail


def step_line(number, loss=1.0):
    return json.dumps({"event": "step", "step": number, "epoch": 0, "lr": 0.1, "loss": loss}) + "\n"


def epoch_line(number, steps, loss=1.0):
    scores = {"loss": loss, "accuracy": 0.5}
    record = {"event": "epoch", "step": steps, "epoch": number, "loss": loss, "scores": scores, "seconds": steps / 10}
    return json.dumps(record) + "\n"


def make_log(epochs, steps_per_epoch=5):
    lines = []
    for n in range(epochs):
        lines += [step_line(n * steps_per_epoch + i + 1, 1 / (n + i + 1)) for i in range(steps_per_epoch)]
        lines.append(epoch_line(n + 1, (n + 1) * steps_per_epoch))
    return "".join(lines)


@given(cuts=st.lists(st.integers(0, 2_000), max_size=12))
def test_a_log_read_in_pieces_has_the_curves_of_the_complete_log(tmp_path_factory, cuts):
    folder = tmp_path_factory.mktemp("run")
    text, path = make_log(6), folder / "events.jsonl"
    tail = LogTail(path)
    for cut in sorted(cuts):
        path.write_text(text[:cut])
        tail.read()
    path.write_text(text)
    tail.read()
    history = read_history(folder)
    assert tuple(tail.steps) == history.steps
    assert tuple(tail.epochs) == history.epochs
    assert len(history.steps) == 30


def test_reported_points_and_new_points_make_the_complete_curves(tmp_path):
    path = tmp_path / "events.jsonl"
    tail = LogTail(path)
    assert not tail.read()
    path.write_text(make_log(2))
    assert tail.read()
    reported, (generation, steps, epochs) = tail.to_json(), tail.size
    path.write_text(make_log(3))
    tail.read()
    new = tail.to_json(steps, epochs)
    assert new["generation"] == generation
    assert reported["steps"] + new["steps"] == tail.to_json()["steps"]
    assert reported["epochs"] + new["epochs"] == tail.to_json()["epochs"]
    assert not tail.read()


def test_a_resumed_run_cuts_the_log_off_and_starts_a_new_generation(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(make_log(4))
    tail = LogTail(path)
    tail.read()
    generation = tail.generation
    # cut off after the second epoch, and longer than before when it is read again, with other losses
    path.write_text(make_log(2) + "".join(step_line(n, 7.0) for n in range(11, 60)))
    tail.read()
    assert tail.generation != generation
    assert tuple(tail.steps) == read_history(tmp_path).steps
    assert tail.to_json()["steps"][-1] == [59, 7.0, 0.1]


def test_damaged_lines_are_skipped_and_nan_becomes_null(tmp_path):
    path = tmp_path / "events.jsonl"
    damaged = b"\xff\n[]\n" + b"x" * 200_000 + b"\n"
    path.write_bytes(damaged + step_line(1, "nan").encode() + step_line(2).encode() + b'{"event"')
    tail = LogTail(path)
    tail.read()
    assert tail.to_json()["steps"] == [[1, None, 0.1], [2, 1.0, 0.1]]


def test_a_long_log_is_thinned_and_starts_a_new_generation(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text("".join(step_line(n + 1) for n in range(MAX_STEPS - 1)))
    tail = LogTail(path)
    tail.read()
    generation = tail.generation
    with path.open("a") as file:
        file.write("".join(step_line(n + 1) for n in range(MAX_STEPS - 1, 3 * MAX_STEPS)))
    tail.read()
    assert tail.generation != generation
    assert len(tail.steps.merged) < MAX_STEPS
    assert tail.to_json()["steps"][-1][0] == 3 * MAX_STEPS


def test_progress_is_by_steps_and_the_remaining_time_by_speed(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(make_log(2) + step_line(11))
    tail = LogTail(path)
    assert tail.progress(4) == {}
    tail.read()
    progress = tail.progress(4)
    assert (progress["step"], progress["epoch"], progress["progress"]) == (11, 2, 11 / 20)
    assert math.isclose(progress["seconds"], 1.1)
    assert math.isclose(progress["remaining_seconds"], 0.9)
    assert tail.progress(None)["progress"] is None
