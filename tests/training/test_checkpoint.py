"""Checkpoints: a training that stops at any event resumes to the same bits."""

import json
import os
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.small_training import fingerprint, fit_small, make_training
from yisheng.training import callbacks, checkpoint


def fit_and_keep_best(state, train, valid, epochs=4):
    return callbacks.keep_best(fit_small(state, train, valid, epochs), state, score="accuracy", higher_is_better=True)


def train_uninterrupted(optimizer):
    state, train, valid = make_training(optimizer)
    for _ in fit_and_keep_best(state, train, valid):
        pass
    return fingerprint(state)


@pytest.mark.parametrize("optimizer", ["adam", "momentum", "rmsprop"])
def test_training_resumes_from_every_event_to_the_same_bits(tmp_path, optimizer):
    expected = train_uninterrupted(optimizer)
    state, train, valid = make_training(optimizer)
    count = sum(1 for _ in fit_and_keep_best(state, train, valid))
    for cut in range(1, count + 1, 2):
        folder = tmp_path / str(cut)
        state, train, valid = make_training(optimizer)
        for number, _ in enumerate(fit_and_keep_best(state, train, valid), 1):
            if number == cut:
                checkpoint.save(folder, state)
                break
        resumed, train, valid = make_training(optimizer, seed=0)
        torch.manual_seed(99)
        random.seed(99)
        np.random.seed(99)
        assert checkpoint.load(folder, resumed)
        for _ in fit_and_keep_best(resumed, train, valid):
            pass
        assert fingerprint(resumed) == expected, f"cut after event {cut}"


SAVED: dict[str, bytes] = {}


@pytest.fixture(scope="module", autouse=True)
def _two_checkpoints(tmp_path_factory):
    SAVED.update((path.name, path.read_bytes()) for path in save_three(tmp_path_factory.mktemp("saved")))


def save_three(folder):
    state, train, valid = make_training()
    for number, _ in enumerate(fit_and_keep_best(state, train, valid)):
        if number in (5, 9, 13):
            checkpoint.save(folder, state)
        if number == 13:
            break
    return sorted(folder.iterdir())


def test_last_two_checkpoints_are_kept(tmp_path):
    checkpoints = save_three(tmp_path / "c")
    state, train, valid = make_training()
    steps = [state.step for _ in fit_and_keep_best(state, train, valid)]
    assert [int(p.name[:9]) for p in checkpoints] == [steps[9], steps[13]]


def test_checkpoints_are_complete_safetensors_files(tmp_path):
    for path in save_three(tmp_path / "c"):
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        assert "json" in header
        assert path.suffix == ".safetensors"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_checkpoint_is_skipped(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("c")
    older, newer = (folder / name for name in SAVED)
    for path, content in SAVED.items():
        (folder / path).write_bytes(content)
    content = bytearray(newer.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    newer.write_bytes(content)
    state, _, _ = make_training()
    assert checkpoint.load(folder, state) == older
    older.write_bytes(b"")
    assert checkpoint.load(folder, state) is None


def test_folder_without_checkpoints_gives_none(tmp_path):
    state, _, _ = make_training()
    (tmp_path / "strange-name.safetensors").write_bytes(b"x")
    assert checkpoint.load(tmp_path, state) is None
    assert checkpoint.load(tmp_path / "none", state) is None


@pytest.mark.parametrize(
    "name",
    [
        "²-abc.safetensors",  # str.isdigit() holds for it, int() refuses it
        "٠٠٠٠٠٠٠٩٩-{sha256}.safetensors",  # int() reads these digits
        "-.safetensors",
        "000000099-{sha256}-copy.safetensors",
        "{huge}-{sha256}.safetensors",
        "000000099-{SHA256}.safetensors",
    ],
)
@pytest.mark.parametrize("make", ["file", "folder", "link to nothing"])
def test_other_files_in_the_folder_are_left_alone(tmp_path, name, make):
    folder = tmp_path / "c"
    newest = max(save_three(folder))
    sha256 = newest.stem.partition("-")[2]
    stranger = folder / name.format(sha256=sha256, SHA256=sha256.upper(), huge="9" * 100)
    make_stranger(stranger, make)
    if stranger == newest:
        pytest.skip("the file system does not tell upper from lower case")
    require_resumed_and_saved(folder, newest)
    assert os.path.lexists(stranger)


@pytest.mark.parametrize("make", ["folder", "link to nothing"])
def test_what_only_has_the_name_of_a_checkpoint_is_skipped(tmp_path, make):
    folder = tmp_path / "c"
    newest = max(save_three(folder))
    make_stranger(folder / f"000000099-{'0' * 32}.safetensors", make)
    require_resumed_and_saved(folder, newest)


def make_stranger(path, make):
    if make == "file":
        path.write_bytes(b"x")
    elif make == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")


def require_resumed_and_saved(folder, newest):
    state, train, valid = make_training()
    assert checkpoint.load(folder, state) == newest
    next(fit_and_keep_best(state, train, valid))
    assert checkpoint.save(folder, state).exists()


@pytest.mark.parametrize("step", [1, 99, 999_999_999])
def test_a_checkpoint_under_the_name_of_another_step_is_skipped(tmp_path, step):
    older, newer = save_three(tmp_path / "c")
    content = older.read_bytes()
    older.rename(older.with_name(f"{step:09d}-{older.stem.partition('-')[2]}.safetensors"))
    state, _, _ = make_training()
    assert checkpoint.load(tmp_path / "c", state) == newer
    newer.write_bytes(b"")
    assert checkpoint.load(tmp_path / "c", state) is None
    older.write_bytes(content)  # under its own name it is read again
    assert checkpoint.load(tmp_path / "c", state) == older


def test_damaged_checkpoint_does_not_count_as_one_of_the_two(tmp_path):
    newest = max(save_three(tmp_path / "c"))
    newest.write_bytes(newest.read_bytes()[:-1])
    state, train, valid = make_training()
    assert checkpoint.load(tmp_path / "c", state)
    for number, _ in enumerate(fit_and_keep_best(state, train, valid)):
        checkpoint.save(tmp_path / "c", state)
        if number == 1:
            break
    assert newest not in list((tmp_path / "c").iterdir())
    assert len(list((tmp_path / "c").iterdir())) == 2
    restored, _, _ = make_training()
    checkpoint.load(tmp_path / "c", restored)
    assert restored.step == state.step
