"""Whatever comes in, every parser gives a value or one of our errors: no crash, in bounded memory and time.

`YISHENG_EXAMPLES=10000` makes these thorough; see CONTRIBUTING.
"""

import contextlib
import gzip
import hashlib
import json
import struct
import tracemalloc
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import save

import yisheng
from yisheng import transforms
from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, YishengError
from yisheng.core.image_values import Drawing
from yisheng.core.spec import Spec
from yisheng.data import archive_names, idx
from yisheng.data.hub import catalog
from yisheng.inference import artifact, model_files, rows
from yisheng.reporting.history import read_history
from yisheng.training import checkpoint
from yisheng.training.state import State

ROWS = Spec("classification", (2,), classes=("a", "b"), columns=(Column("x"), Column("y")))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
JSON = PLAIN.map(json.dumps)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("parsed")


@contextlib.contextmanager
def bounded(mebibytes):
    """Assert that the block takes no more memory than this (NumPy's arrays included)."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes << 20
    finally:
        tracemalloc.stop()


def assert_two_lines(error):
    """An error must tell the cause, and what to do about it."""
    assert error.problem
    assert len(error.remedy) > 3


# --- data ---

HEADER = st.tuples(
    st.sampled_from([0x00, 0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x0E, 0xFF]),
    st.lists(st.integers(0, 5) | st.integers(0, 2**32 - 1), max_size=4),
    st.binary(max_size=64),
).map(lambda t: struct.pack(f">HBB{len(t[1])}I", 0, t[0], len(t[1]), *t[1]) + t[2])


@given(HEADER | st.binary(max_size=100), st.booleans())
@example(struct.pack(">HBBI", 0, 8, 1, 2**32 - 1), True)
def test_idx_files_are_read_or_refused(folder, content, packed):
    path = folder / "any.idx"
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    with bounded(8):
        try:
            result = idx.read(path)
        except DataError:
            return
    assert result.nbytes + 4 + 4 * result.ndim == len(content)


@given(
    st.binary(max_size=120)
    | st.text(alphabet='0123456789.,-+eEnaif xy"\r\n\t;', max_size=80).map(str.encode)
    | st.lists(st.lists(st.floats().map(str) | st.sampled_from(["x", "y", "", "1"]), max_size=4), max_size=4).map(
        lambda table: "\n".join(",".join(row) for row in table).encode()
    )
)
def test_tables_are_read_or_refused(folder, content):
    path = folder / "any.csv"
    path.write_bytes(content)
    try:
        result = rows.read_rows(path, ROWS).x
    except DataError:
        return
    assert result.dtype == np.float32
    assert result.shape[1] == 2
    assert np.isfinite(result).all()


@given(st.text(max_size=40), st.integers(1, 4))
def test_rows_are_parsed_or_refused(text, width):
    spec = Spec("regression", (width,))
    try:
        result = rows.parse_rows([line.split(",") for line in text.split(";")], spec, "rows=")
    except DataError:
        return
    assert result.shape == (text.count(";") + 1, width)


NAMES = st.text(max_size=20) | st.lists(
    st.sampled_from(["..", ".", "", "a", "con", "NUL.txt", "C:", "a ", "b.", "\\", "~", "a\0", "x" * 300, "é"]),
    max_size=6,
).map("/".join)


@given(NAMES)
def test_names_in_archives_stay_inside_or_are_refused(folder, name):
    try:
        parts = archive_names.split_member_name(name, max_bytes=512, max_depth=32)
    except DataError:
        return
    inside = folder.joinpath(*parts)
    assert not any(part in ("..", "") or "\0" in part for part in parts)
    assert inside.resolve().is_relative_to(folder.resolve())


CATALOG = st.fixed_dictionaries(
    {},
    optional={
        "about": PLAIN,
        "forms": PLAIN | st.just(["a"]),
        "files": PLAIN
        | st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "name": st.sampled_from(["a.gz", "b", "../c", ""]) | PLAIN,
                    "form": st.sampled_from(["a", ""]) | PLAIN,
                    "size": st.integers(-1, 5) | PLAIN,
                    "sums": st.just(["file:sha256:" + "0" * 64]) | PLAIN,
                    "urls": st.just(["https://a/b"]) | PLAIN,
                    "folder": st.booleans() | PLAIN,
                },
            ),
            max_size=2,
        ),
    },
)


@given(CATALOG)
def test_catalogue_entries_are_read_or_refused(data):
    try:
        result = catalog._read_set("any", data)
    except (ValueError, TypeError, KeyError):  # what `find` turns into an error that names the file
        return
    assert result.files
    assert all(file.name and "/" not in file.name for file in result.files)


# --- runs ---


@given(JSON.map(str.encode) | st.binary(max_size=60), st.integers(1, 4))
def test_logs_are_read_whatever_is_in_them(folder, line, times):
    valid_event = b'{"event": "step", "step": 1, "epoch": 0, "lr": 0.1, "loss": 2.0, "seconds": 1.0}\n'
    (folder / "events.jsonl").write_bytes((valid_event + line.replace(b"\n", b" ") + b"\n") * times)
    result = read_history(folder)
    assert result.steps[0].step == 1
    assert result.damaged_lines <= times


EVENT = st.fixed_dictionaries(
    {"event": st.sampled_from(["step", "epoch", "other"]) | PLAIN},
    optional=dict.fromkeys(("step", "epoch", "lr", "loss", "seconds", "scores"), PLAIN),
)


@given(st.lists(EVENT, max_size=5))
def test_events_of_any_values_are_read(folder, events):
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    result = read_history(folder)
    assert len(result.steps) + len(result.epochs) + result.damaged_lines <= len(events)


SPECS = [
    asdict(ROWS),
    asdict(Spec("regression", (3,), unit="m")),
    asdict(Spec("multilabel", (1, 4, 4), classes=("a",), drawing=Drawing(3))),
]


@st.composite
def mutated(draw, samples):
    """One of the samples as plain JSON data, with some values replaced, removed or added."""
    data = json.loads(json.dumps(draw(st.sampled_from(samples))))
    for _ in range(draw(st.integers(1, 3))):
        place, key = data, draw(st.sampled_from(sorted(data)) | st.text(max_size=5)) if data else ""
        while isinstance(place.get(key), dict) and place[key] and draw(st.booleans()):
            place = place[key]
            key = draw(st.sampled_from(sorted(place)))
        if draw(st.booleans()) and key in place:
            del place[key]
        else:
            place[key] = draw(PLAIN | st.lists(st.integers(-3, 5), max_size=3) | st.integers(2, 2**70))
    return data


@given(mutated(SPECS) | st.dictionaries(st.text(max_size=6), PLAIN, max_size=3))
def test_specs_are_read_or_refused(data):
    try:
        result = Spec.from_json(data)
    except DataError:
        return
    assert Spec.from_json(json.loads(json.dumps(result.to_json()))) == result


FITTED = [
    {"name": "none"},
    {"name": "unit", "low": [0.0], "high": [255.0]},
    {"name": "standard", "mean": [1.0, 2.0], "std": [1.0, 3.0]},
]


@given(mutated(FITTED) | PLAIN)
def test_transforms_are_read_or_refused(data):
    try:
        result = transforms.from_json(data)
    except DataError:
        return
    assert transforms.from_json(transforms.to_json(result)) == result


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 2)).astype(np.float32)
    data = Dataset("mine", ROWS, x, (x[:, 0] > 0).astype(np.int64))
    trained_run = yisheng.train(
        data=data, model="mlp", hidden=[2], epochs=1, out=tmp_path_factory.mktemp("run"), quiet=True
    )
    return trained_run.path


@given(st.data())
def test_descriptions_of_models_are_read_or_refused(folder, run, data):
    description = json.loads((run / "model.json").read_text())
    changed = data.draw(mutated([description]))
    (folder / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    (folder / "model.json").write_text(json.dumps(changed))
    (folder / "ood.safetensors").write_bytes((run / "ood.safetensors").read_bytes())
    model_files.write_checksums(folder)
    try:
        result = artifact.load(folder)
    except DataError as error:
        assert_two_lines(error)
        return
    result.model(torch.zeros(1, 2))


TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "I64", "BOOL", "F8_E4M3", "X"]) | PLAIN,
        "shape": st.lists(st.integers(-1, 4) | st.integers(0, 2**64), max_size=3) | PLAIN,
        "data_offsets": st.lists(st.integers(0, 64) | st.integers(0, 2**64), min_size=2, max_size=2) | PLAIN,
    },
)
HEADERS = st.dictionaries(st.sampled_from(["json", "a", "__metadata__", "model.weight"]), TENSOR | PLAIN, max_size=3)
FALSE_HEADERS = st.tuples(HEADERS, st.binary(max_size=64), st.none() | st.integers(0, 2**64 - 1)).map(
    lambda t: struct.pack("<Q", len(json.dumps(t[0])) if t[2] is None else t[2]) + json.dumps(t[0]).encode() + t[1]
)


@given(FALSE_HEADERS | st.binary(max_size=80))
def test_weights_files_are_read_or_refused(folder, run, content):
    description = json.loads((run / "model.json").read_text())
    description["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "model.json").write_text(json.dumps(description))
    (folder / "model.safetensors").write_bytes(content)
    model_files.write_checksums(folder)
    with bounded(8), pytest.raises(DataError):
        artifact.load(folder)


def fresh():
    model = torch.nn.Linear(2, 1)
    return State(model, torch.optim.SGD(model.parameters(), lr=0.1))


@given(st.data())
def test_checkpoints_are_read_or_passed_over(tmp_path_factory, data):
    place = tmp_path_factory.mktemp("checkpoint")
    content = data.draw(FALSE_HEADERS | st.binary(max_size=80) | JSON.map(as_checkpoint))
    name = hashlib.sha256(content).hexdigest()[:32]  # even a damaged one that is named truly
    (place / f"000000001-{name}.safetensors").write_bytes(content)
    state = fresh()
    before = {key: value.clone() for key, value in state.model.state_dict().items()}
    try:
        assert checkpoint.load(place, state) is None
    except YishengError:
        pass
    finally:
        for path in place.iterdir():
            path.unlink()
        Path(place).rmdir()
    assert all(torch.equal(value, before[key]) for key, value in state.model.state_dict().items())
    assert state.step == 0


def as_checkpoint(text):
    return save({"json": torch.frombuffer(bytearray(text.encode() or b" "), dtype=torch.uint8)})


@given(st.binary(max_size=200), st.integers(0, 10**6), st.integers(0, 255))
def test_a_damaged_checkpoint_is_never_taken(tmp_path_factory, tail, at, bit):
    place = tmp_path_factory.mktemp("checkpoint")
    path = checkpoint.save(place, fresh())
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= bit or 1
    path.write_bytes(bytes(content) + tail)
    assert checkpoint.load(place, fresh()) is None
    path.unlink()
    place.rmdir()
