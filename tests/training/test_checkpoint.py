"""A run that is cut at any event continues to the same bits."""

import json
import random

import numpy as np
import pytest
import rig
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.training import callbacks, checkpoint


def piped(state, train, valid, epochs=4):
    return callbacks.keep_best(rig.events(state, train, valid, epochs), state, score="accuracy", higher=True)


def whole(optimizer):
    state, train, valid = rig.make(optimizer)
    for _ in piped(state, train, valid):
        pass
    return rig.fingerprint(state)


@pytest.mark.parametrize("optimizer", ["adam", "momentum", "rmsprop"])
def test_cut_at_every_event_it_continues_to_the_same_bits(tmp_path, optimizer):
    wanted = whole(optimizer)
    state, train, valid = rig.make(optimizer)
    count = sum(1 for _ in piped(state, train, valid))
    for cut in range(1, count + 1, 2):
        folder = tmp_path / str(cut)
        state, train, valid = rig.make(optimizer)
        for number, _ in enumerate(piped(state, train, valid), 1):
            if number == cut:
                checkpoint.save(folder, state)
                break
        again, train, valid = rig.make(optimizer, seed=0)
        torch.manual_seed(99)
        random.seed(99)
        np.random.seed(99)
        assert checkpoint.load(folder, again)
        for _ in piped(again, train, valid):
            pass
        assert rig.fingerprint(again) == wanted, f"cut after event {cut}"


SAVED: dict[str, bytes] = {}


@pytest.fixture(scope="module", autouse=True)
def _two_checkpoints(tmp_path_factory):
    SAVED.update((path.name, path.read_bytes()) for path in saved(tmp_path_factory.mktemp("saved")))


def saved(folder):
    state, train, valid = rig.make()
    for number, _ in enumerate(piped(state, train, valid)):
        if number in (5, 9, 13):
            checkpoint.save(folder, state)
        if number == 13:
            break
    return sorted(folder.iterdir())


def test_the_last_two_are_kept(tmp_path):
    kept = saved(tmp_path / "c")
    state, train, valid = rig.make()
    steps = [state.step for _ in piped(state, train, valid)]
    assert [int(p.name[:9]) for p in kept] == [steps[9], steps[13]]


def test_there_is_no_pickle_and_nothing_half_written(tmp_path):
    for path in saved(tmp_path / "c"):
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        assert "json" in header
        assert path.suffix == ".safetensors"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_checkpoint_is_passed_over(tmp_path_factory, data):
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
    state, _, _ = rig.make()
    assert checkpoint.load(folder, state) == older
    older.write_bytes(b"")
    assert checkpoint.load(folder, state) is None


def test_no_checkpoint_is_none(tmp_path):
    state, _, _ = rig.make()
    (tmp_path / "strange-name.safetensors").write_bytes(b"x")
    assert checkpoint.load(tmp_path, state) is None
    assert checkpoint.load(tmp_path / "none", state) is None


def test_after_damage_the_last_two_good_ones_are_kept(tmp_path):
    newest = max(saved(tmp_path / "c"))
    newest.write_bytes(newest.read_bytes()[:-1])
    state, train, valid = rig.make()
    assert checkpoint.load(tmp_path / "c", state)
    for number, _ in enumerate(piped(state, train, valid)):
        checkpoint.save(tmp_path / "c", state)
        if number == 1:
            break
    assert newest not in list((tmp_path / "c").iterdir())
    assert len(list((tmp_path / "c").iterdir())) == 2
    other, _, _ = rig.make()
    checkpoint.load(tmp_path / "c", other)
    assert other.step == state.step
