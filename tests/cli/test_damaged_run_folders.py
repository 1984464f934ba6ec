"""Run folders with a file that is missing, cut, of another version, false, or not a file."""

import hashlib
import json
import os
import struct

import pytest
import torch
from safetensors.torch import load_file, save

from yisheng.cli import main
from yisheng.inference import model_files

DAMAGES = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "a link to nothing": lambda path: (path.unlink(), path.symlink_to("nowhere")),
    "JSON of another kind": lambda path: path.write_text("[1, 2, 3]"),
    "deep nesting": lambda path: path.write_text("[" * 100_000 + "]" * 100_000),
    "null": lambda path: path.write_text("null"),
    "a long number": lambda path: path.write_text('{"format": ' + "9" * 10_000 + "}"),
}
REQUIRED = {  # files that a command needs; all others may be missing or damaged
    "predict": {"model.json", "model.safetensors", "ood.safetensors", "SHA256SUMS"},
    "evaluate": {"config.toml", "model.json", "model.safetensors", "SHA256SUMS"},
    "report": {"config.toml"},
    "resume": {"config.toml", "model.json", "scores.json"},
    "reproduce": {"config.toml", "model.safetensors", "environment.json", "scores.json", "events.jsonl"},
}
WORDS = {"predict": ["rows=5,3,1,0"]}

NOT_A_FILE = {"gone", "a folder", "a link to itself", "a link to nothing"}


def is_readable(command, name, damage):
    """Return whether this command reads the damaged file as one with another content."""
    if command == "resume" and name == "scores.json":
        return damage in NOT_A_FILE  # without scores a run is taken up again
    if command != "reproduce" or damage in NOT_A_FILE:
        return False
    if name == "events.jsonl":
        return damage == "empty"
    return name == "model.safetensors" or (name == "scores.json" and damage in ("JSON of another kind", "null"))


CASES = [
    (command, name, damage)
    for command, names in REQUIRED.items()
    for name in sorted(names)
    for damage in DAMAGES
    if not is_readable(command, name, damage)
]


@pytest.mark.parametrize(("command", "name", "damage"), CASES)
def test_a_damaged_file_is_named(command, name, damage, assert_error, run):
    DAMAGES[damage](run / name)
    assert_error([command, run, *WORDS.get(command, [])], 3, name.partition(".")[0] + "|" + str(run))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["model.json", "scores.json", "evaluation.json", "environment.json", "events.jsonl"])
def test_a_report_is_written_without_the_damaged_file(name, damage, run, capsys):
    DAMAGES[damage](run / name)
    old_report = (run / "report.html").read_bytes()
    assert main(["report", str(run)]) == 0
    assert "Traceback" not in capsys.readouterr().err
    assert (run / "report.html").read_bytes()[:15].lower() == b"<!doctype html>"
    if name != "events.jsonl":  # a log is read up to the damage, which may be its end
        assert (run / "report.html").read_bytes() != old_report


def change(path, *keys, to):
    """Change one value of a JSON file; ``...`` removes it."""
    data = json.loads(path.read_text())
    parent = data
    for key in keys[:-1]:
        parent = parent[key]
    if to is ...:
        del parent[keys[-1]]
    else:
        parent[keys[-1]] = to
    path.write_text(json.dumps(data))
    if path.name == "model.json":
        model_files.write_checksums(path.parent)  # else its hash is refused before its content is read


MODELS = [
    (["format"], 3, "not of format 2"),
    (["format"], "2", "not of format 2"),
    (["format"], ..., "not of format 2"),
    (["sha256"], "0" * 64, "SHA-256 differs"),
    (["sha256"], 3, "SHA-256 differs"),
    (["sha256"], ..., "SHA-256 differs"),
    (["spec"], ..., "spec"),
    (["spec"], [], "."),
    (["spec"], 3, "."),
    (["spec", "task"], "divination", "task"),
    (["spec", "task"], "regression", "."),
    (["spec", "shape"], [5], "columns do not fit"),
    (["spec", "shape"], [-4], "shape"),
    (["spec", "shape"], [2**70], "."),
    (["spec", "shape"], [], "shape"),
    (["spec", "shape"], [4, 4], "shape"),
    (["spec", "shape"], "four", "shape"),
    (["spec", "classes"], ["a"], "classes"),
    (["spec", "classes"], ["a", "a", "b"], "class names must differ"),
    (["spec", "classes"], ["a", "b", "c", "d"], "."),
    (["spec", "classes"], 7, "classes"),
    (["spec", "columns"], [{"name": "a"}], "."),
    (["spec", "columns"], [3, 3, 3, 3], "columns"),
    (["spec", "outputs"], -1, "."),
    (["spec", "outputs"], 1, "do not fit 3 classes"),
    (["spec", "outputs"], 2, "do not fit 3 classes"),
    (["spec", "outputs"], 10**12, "."),
    (["spec", "outputs"], "many", "outputs"),
    (["spec", "colour"], "red", "unknown keys: colour"),
    (["model"], ..., "model"),
    (["model"], None, "."),
    (["model", "name"], "lenett", "lenett"),
    (["model", "name"], "lenet", "."),
    (["model", "name"], "../../os", "."),
    (["model", "name"], 3, "."),
    (["model", "options"], 3, "."),
    (["model", "options"], {"hidden": [4]}, "."),
    (["model", "options"], {"hidden": "8"}, "."),
    (["model", "options"], {"hidden": [10**12]}, "."),
    (["model", "options"], {"hidden": [1 << 20, 1 << 20]}, "linear1.weight must be"),
    (["model", "options"], {"hidden": [-1]}, "."),
    (["model", "options"], {"depth": 3}, "."),
    (["model", "options"], {"hidden": [8], "activation": "zap"}, "."),
    (["transforms"], ..., "transforms"),
    (["transforms"], [], "."),
    (["transforms", "input"], ..., "input"),
    (["transforms", "input"], None, "."),
    (["transforms", "input"], 3, "must be an object"),
    (["transforms", "input", "name"], "magic", "unknown"),
    (["transforms", "input", "mean"], ..., "fields"),
    (["transforms", "input", "mean"], [1.0], "."),
    (["transforms", "input", "mean"], "zero", "mean"),
    (["transforms", "input", "mean"], [1.0, None, 1.0, 1.0], "mean"),
    (["transforms", "input", "std"], [0.0, 1.0, 1.0, 1.0], "."),
    (["transforms", "input", "std"], [float("nan"), 1.0, 1.0, 1.0], "."),
    (["transforms", "target"], {"name": "standard", "mean": [0.0], "std": [1.0], "evil": 1}, "fields"),
]


@pytest.mark.parametrize(("keys", "to", "cause"), MODELS, ids=[f"{'.'.join(k)}={str(t)[:30]}" for k, t, _ in MODELS])
def test_a_wrong_description_is_refused(keys, to, cause, assert_error, run):
    change(run / "model.json", *keys, to=to)
    assert_error(["predict", run, "rows=5,3,1,0"], 3, cause)


def replace_weights(run, content):
    """Write other weights into a run, with their true hash."""
    (run / "model.safetensors").write_bytes(content)
    change(run / "model.json", "sha256", to=hashlib.sha256(content).hexdigest())


def safetensors_bytes(header, body=b"", length=None):
    """Return a safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def tensor(begin, end, shape, dtype="F32"):
    """Return the header of one tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


WEIGHTS = {
    "no header": b"",
    "half a length": b"\1\0\0",
    "a huge length": safetensors_bytes({}, length=2**63),
    "a length beyond the file": safetensors_bytes({}, length=1 << 20),
    "a header that is not JSON": safetensors_bytes(b"{]"),
    "a header that is a list": safetensors_bytes([]),
    "no tensors": safetensors_bytes({}),
    "overlapping offsets": safetensors_bytes({"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}, bytes(12)),
    "offsets beyond the end": safetensors_bytes({"a": tensor(0, 8, [2])}, bytes(4)),
    "offsets backwards": safetensors_bytes({"a": tensor(8, 0, [2])}, bytes(8)),
    "a hole": safetensors_bytes({"a": tensor(4, 8, [1])}, bytes(8)),
    "a shape that does not fit": safetensors_bytes({"a": tensor(0, 8, [3])}, bytes(8)),
    "a shape that overflows": safetensors_bytes({"a": tensor(0, 8, [2**62, 2**62])}, bytes(8)),
    "an unknown type": safetensors_bytes({"a": tensor(0, 8, [2], "F99")}, bytes(8)),
    "other names": safetensors_bytes({"a": tensor(0, 8, [2])}, bytes(8)),
    "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_wrong_weights_are_refused(name, assert_error, run):
    replace_weights(run, WEIGHTS[name])
    assert_error(["predict", run, "rows=5,3,1,0"], 3, "cannot be rebuilt")


@pytest.mark.parametrize("difference", ["transposed", "missing", "additional", "other type", "not finite"])
def test_weights_of_another_model_are_refused(difference, assert_error, run):
    weights = load_file(run / "model.safetensors")
    name = next(iter(weights))
    if difference == "transposed":
        weights["linear1.weight"] = weights["linear1.weight"].T.contiguous()
    elif difference == "missing":
        del weights[name]
    elif difference == "additional":
        weights["additional"] = weights[name].clone()
    elif difference == "other type":
        weights[name] = weights[name].to(torch.int8)
    else:
        weights[name] = weights[name] * float("nan")
    replace_weights(run, save(weights))
    assert_error(["predict", run, "rows=5,3,1,0"], 3, "cannot be rebuilt")


def test_a_run_folder_that_is_a_link_to_itself_is_refused(assert_error, workdir):
    (workdir / "loop").symlink_to("loop")
    for command in ("predict", "evaluate", "report", "resume", "reproduce"):
        assert_error([command, "loop", *WORDS.get(command, [])], 3, "loop")


def test_files_without_permission_are_reported(run, workdir, capsys):
    (workdir / "precious.txt").chmod(0)
    if os.access(workdir / "precious.txt", os.R_OK):
        pytest.skip("this user may read everything")
    for command, name in (("predict", "model.json"), ("predict", "model.safetensors"), ("report", "config.toml")):
        (run / name).chmod(0)
        assert main([command, str(run), *WORDS.get(command, [])]) == 3
        assert "Permission denied" in capsys.readouterr().err
        (run / name).chmod(0o644)
    run.chmod(0o500)
    workdir.chmod(0o500)
    for words in (
        ["train", "data=iris", "epochs=1", f"out={workdir / 'runs'}"],
        ["data", "show", "iris", f"out={workdir / 'a.png'}"],
        ["report", str(run)],
    ):
        assert main(words) == 1
        assert "Permission denied" in capsys.readouterr().err
    for folder in (workdir, run):
        folder.chmod(0o755)
    (workdir / "precious.txt").chmod(0o644)
    assert {path.name for path in workdir.iterdir()} == {"precious.txt", "run"}


SCORES = [
    ("[]", 3),
    ('{"test": 3}', 3),
    ('{"test": {"accuracy": 0.9}}', 3),
    ('{"test": {"accuracy": {"value": "high"}}}', 3),
    ('{"test": {"accuracy": {"value": null}}}', 3),
]


@pytest.mark.parametrize(("content", "code"), SCORES)
def test_wrong_scores_are_refused(content, code, assert_error, run):
    (run / "scores.json").write_text(content)
    assert_error(["resume", run], code, "damaged")


CONFIGS = [
    ("epochs = 1", 'epochs = "auto"', "epochs"),
    ('name = "mlp"', 'name = "lenett"', "lenett"),
    ("batch = 16", 'batch = "auto"', "batch"),
    ("seed = 0", "seed = -1", "seed must be"),
    ("seed = 0", "sede = 0", "did you mean seed"),
    ("seed = 0", "[", "not TOML"),
]


@pytest.mark.parametrize(("old", "new", "cause"), CONFIGS)
def test_a_config_that_no_training_wrote_is_refused(old, new, cause, assert_error, run):
    text = (run / "config.toml").read_text()
    assert old in text
    (run / "config.toml").write_text(text.replace(old, new, 1))
    for command in ("evaluate", "report", "resume", "reproduce"):
        assert_error([command, run], 3, cause)


LOGS = {
    "empty": b"",
    "cut": b'{"event": "step", "step": 1, "epo',
    "noise": bytes(range(256)) * 100,
    "a line of 10 MB": b"x" * 10_000_000,
    "numbers beyond all": b'{"event": "step", "step": ' + b"9" * 400 + b', "epoch": 0, "lr": 1e999, "loss": 1}\n',
    "lists": b"[[[[]]]]\n" * 100,
    "no end": b"[" * 200_000,
}


@pytest.mark.parametrize("name", LOGS)
def test_a_report_of_a_damaged_log_has_curves(name, run, capsys):
    (run / "events.jsonl").write_bytes((run / "events.jsonl").read_bytes() + LOGS[name])
    assert main(["report", str(run)]) == 0
    assert "<svg" in (run / "report.html").read_text()


UNFINISHED = {
    "environment gone": lambda run: (run / "environment.json").unlink(),
    "environment a list": lambda run: (run / "environment.json").write_text("[]"),
    "environment cut": lambda run: (run / "environment.json").write_text("{"),
    "data no object": lambda run: change(run / "environment.json", "data", to=3),
    "other data": lambda run: change(run / "environment.json", "data", "sha256", to="0"),
    "no checkpoint folder": lambda run: (
        [path.unlink() for path in (run / "checkpoint").iterdir()],
        (run / "checkpoint").rmdir(),
        (run / "checkpoint").write_text(""),
    ),
}


@pytest.mark.parametrize("damage", UNFINISHED)
def test_a_run_that_cannot_be_resumed_is_refused(damage, assert_error, run):
    for name in ("scores.json", "model.json", "model.safetensors"):
        (run / name).unlink()
    change(run / "environment.json", "finished", to=False)
    UNFINISHED[damage](run)
    assert_error(["resume", run], 1 if damage == "no checkpoint folder" else 3, "environment|data|checkpoint")
