"""A log that is read as it grows says what the whole log says."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from yisheng.reporting.history import STEPS, read_history
from yisheng.serving.log_tail import Tail


def step(number, loss=1.0):
    return json.dumps({"event": "step", "step": number, "epoch": 0, "lr": 0.1, "loss": loss}) + "\n"


def epoch(number, steps, loss=1.0):
    scores = {"loss": loss, "accuracy": 0.5}
    record = {"event": "epoch", "step": steps, "epoch": number, "loss": loss, "scores": scores, "seconds": steps / 10}
    return json.dumps(record) + "\n"


def log(epochs, per_epoch=5):
    lines = []
    for n in range(epochs):
        lines += [step(n * per_epoch + i + 1, 1 / (n + i + 1)) for i in range(per_epoch)]
        lines.append(epoch(n + 1, (n + 1) * per_epoch))
    return "".join(lines)


@given(cuts=st.lists(st.integers(0, 2_000), max_size=12))
def test_however_the_log_is_cut_into_pieces_the_curves_are_those_of_the_whole(tmp_path_factory, cuts):
    folder = tmp_path_factory.mktemp("run")
    text, path = log(6), folder / "events.jsonl"
    tail = Tail(path)
    for cut in sorted(cuts):
        path.write_text(text[:cut])
        tail.read()
    path.write_text(text)
    tail.read()
    whole = read_history(folder)
    assert tuple(tail.steps) == whole.steps
    assert tuple(tail.epochs) == whole.epochs
    assert len(whole.steps) == 30


def test_points_that_were_told_and_the_new_ones_make_the_whole(tmp_path):
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    assert not tail.read()
    path.write_text(log(2))
    assert tail.read()
    before, (generation, steps, epochs) = tail.points(), tail.size
    path.write_text(log(3))
    tail.read()
    new = tail.points(steps, epochs)
    assert new["generation"] == generation
    assert before["steps"] + new["steps"] == tail.points()["steps"]
    assert before["epochs"] + new["epochs"] == tail.points()["epochs"]
    assert not tail.read()


def test_a_continued_run_cuts_the_log_off_and_the_curves_begin_anew(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(log(4))
    tail = Tail(path)
    tail.read()
    generation = tail.generation
    # cut off after the second epoch and grown beyond the old end before the next look, with other losses
    path.write_text(log(2) + "".join(step(n, 7.0) for n in range(11, 60)))
    tail.read()
    assert tail.generation != generation
    assert tuple(tail.steps) == read_history(tmp_path).steps
    assert tail.points()["steps"][-1] == [59, 7.0, 0.1]


def test_damage_is_left_out_and_gaps_are_null(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\xff\n[]\n" + b"x" * 200_000 + b"\n" + step(1, "nan").encode() + step(2).encode() + b'{"event"')
    tail = Tail(path)
    tail.read()
    assert tail.points()["steps"] == [[1, None, 0.1], [2, 1.0, 0.1]]


def test_a_long_log_stays_small_and_says_when_it_was_thinned(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text("".join(step(n + 1) for n in range(STEPS - 1)))
    tail = Tail(path)
    tail.read()
    generation = tail.generation
    with path.open("a") as file:
        file.write("".join(step(n + 1) for n in range(STEPS - 1, 3 * STEPS)))
    tail.read()
    assert tail.generation != generation
    assert len(tail.steps.kept) < STEPS
    assert tail.points()["steps"][-1][0] == 3 * STEPS


def test_progress_is_by_steps_and_the_rest_of_the_time_by_speed(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(log(2) + step(11))
    tail = Tail(path)
    assert tail.progress(4) == {}
    tail.read()
    found = tail.progress(4)
    assert (found["step"], found["epoch"], found["done"]) == (11, 2, 11 / 20)
    assert math.isclose(found["seconds"], 1.1)
    assert math.isclose(found["left"], 0.9)
    assert tail.progress(None)["done"] is None
