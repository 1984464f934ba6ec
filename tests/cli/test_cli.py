"""The commands as a user gives them, through the real entry point."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yisheng.cli import list_commands, main
from yisheng.data.datasets.digits import digits


def yisheng(*words, cwd=None):
    """Run the command in a separate process."""
    return subprocess.run([sys.executable, "-m", "yisheng", *map(str, words)], capture_output=True, text=True, cwd=cwd)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return two trained runs: images and rows."""
    out = tmp_path_factory.mktemp("runs")
    folders = {}
    for data in ("digits", "iris"):
        process = yisheng("train", f"data={data}", "epochs=15", f"out={out}")
        assert process.returncode == 0, process.stderr
        folders[data] = Path(process.stdout.splitlines()[-1])
    return folders


def test_train_writes_a_complete_run_folder_and_prints_it_last(runs):
    folder = runs["digits"]
    assert re.fullmatch(r"0001-digits-lenet", folder.name)
    assert {p.name for p in folder.iterdir()} == {
        "config.toml",
        "model.safetensors",
        "model.json",
        "ood.safetensors",
        "SHA256SUMS",
        "events.jsonl",
        "history.csv",
        "scores.json",
        "evaluation.json",
        "findings.json",
        "environment.json",
        "report.html",
        "README.md",
        "checkpoint",
    }
    scores = json.loads((folder / "scores.json").read_text())
    assert set(scores) == {"test", "validation", "baseline"}
    accuracy = scores["test"]["accuracy"]
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert accuracy["value"] > 0.9 > scores["baseline"]["accuracy"]["value"]
    assert runs["iris"].name == "0002-iris-mlp"


def test_predict_takes_images(runs, tmp_path):
    data = digits()
    correct = 0
    for row in range(10):
        image = Image.fromarray(255 - data.x[row, 0]).resize((160, 160), Image.Resampling.BICUBIC)
        paper = Image.new("RGB", (300, 300), (240, 238, 230))
        paper.paste(image, (60, 80))
        paper.save(tmp_path / f"{row}.png")
    process = yisheng("predict", runs["digits"], *(tmp_path / f"{row}.png" for row in range(10)), "--json")
    for row, prediction in enumerate(json.loads(process.stdout)["predictions"]):
        correct += prediction["prediction"] == str(data.y[row])
        assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert any("inverted" in note for note in prediction["notes"])
    assert correct >= 8
    process = yisheng("predict", runs["digits"], tmp_path / "0.png")
    assert "inverted" in process.stdout
    assert process.stderr == ""


def test_predict_takes_rows(runs, tmp_path):
    (tmp_path / "rows.csv").write_text("5.1,3.5,1.4,0.2\n6.3,3.3,6.0,2.5\n")
    from_file = json.loads(yisheng("predict", runs["iris"], tmp_path / "rows.csv", "--json").stdout)
    from_words = json.loads(yisheng("predict", runs["iris"], "rows=5.1,3.5,1.4,0.2;6.3,3.3,6,2.5", "--json").stdout)
    assert [a["prediction"] for a in from_file["predictions"]] == ["setosa", "virginica"]
    assert [a["probabilities"] for a in from_file["predictions"]] == [
        a["probabilities"] for a in from_words["predictions"]
    ]


def test_evaluate_and_report_repeat_the_results_of_training(runs):
    for folder in runs.values():
        scores = json.loads((folder / "scores.json").read_text())
        process = yisheng("evaluate", folder, "--json")
        assert json.loads(process.stdout)["scores"] == json.loads((folder / "scores.json").read_text())
        evaluated = json.loads(process.stdout)["scores"]
        for part, by_name in scores.items():
            for name, score in by_name.items():
                assert evaluated[part][name]["value"] == pytest.approx(score["value"], abs=1e-6)
        (folder / "report.html").unlink()
        assert Path(yisheng("report", folder).stdout.strip()) == folder / "report.html"
        assert (folder / "report.html").stat().st_size > 10_000


def test_json_is_one_object_and_messages_go_to_standard_error(tmp_path):
    process = yisheng("train", "data=iris", "epochs=2", f"out={tmp_path}", "--json")
    assert set(json.loads(process.stdout)) == {"run", "best", "scores"}
    assert "epoch 2/2" in process.stderr


def test_quiet_prints_only_the_folder(tmp_path):
    process = yisheng("train", "data=iris", "epochs=2", f"out={tmp_path}", "--quiet")
    assert process.stdout.splitlines() == [str(tmp_path / "0001-iris-mlp")]
    assert process.stderr == ""


def test_config_prints_the_origin_of_each_value(tmp_path, capsys):
    (tmp_path / "r.toml").write_text('epochs = 3\n[model]\nname = "mlp"\nhidden = [8, 9]\n')
    assert main(["config", f"config={tmp_path / 'r.toml'}", "lr=0.5", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["epochs"] == {"value": 3, "from": "file"}
    assert values["model.hidden"] == {"value": "8,9", "from": "file"}
    assert values["optimizer.lr"] == {"value": 0.5, "from": "command line"}
    assert values["seed"] == {"value": 0, "from": "default"}
    assert values["loss"] == {"value": "auto", "from": "chosen for the data"}


def test_a_printed_config_trains_the_same(tmp_path):
    toml = yisheng("config", "data=iris", "model=mlp", "hidden=8", "epochs=3", "toml=true").stdout
    (tmp_path / "r.toml").write_text(toml)
    from_file = yisheng("train", f"config={tmp_path / 'r.toml'}", f"out={tmp_path}", "--json")
    from_words = yisheng("train", "data=iris", "model=mlp", "hidden=8", "epochs=3", f"out={tmp_path}", "--json")
    assert json.loads(from_file.stdout)["scores"] == json.loads(from_words.stdout)["scores"]


@pytest.mark.parametrize("command", sorted(list_commands()))
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"usage: yisheng {command}" in capsys.readouterr().out


def test_models_and_data_are_listed_and_described(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, expected in [
        (["models"], ("lenet", "mlp", "linear")),
        (["models", "mlp"], ("hidden", "activation", "dropout")),
        (["data", "list"], ("digits", "fashion-mnist", "polynomial")),
        (["data", "info", "digits"], ("1797", "classification")),
        (["data", "info", "polynomial", "degree=3"], ("regression",)),
        (["env"], ("torch", "cores", "memory")),
    ]:
        assert main(words) == 0
        out = capsys.readouterr().out
        assert all(word in out for word in expected), out
        assert main([*words, "--json"]) == 0
        json.loads(capsys.readouterr().out)
    for name in ("digits", "iris", "linear"):
        assert main(["data", "show", name, "n=12"]) == 0
        with Image.open(tmp_path / capsys.readouterr().out.strip()) as image:
            assert np.asarray(image.convert("L")).std() > 5


WRONG_WORDS = [
    ("", 2),
    ("trian", 2),
    ("train epoch=3", 2),
    ("train epochs=-1", 2),
    ("train epochs", 2),
    ("train --epochs", 2),
    ("train -e 3", 2),
    ("train lr=0.1 lr=0.2", 2),
    ("train lr=fast", 2),
    ("train data=mnits", 2),
    ("train data=digits model=lenett", 2),
    ("train data=iris model=lenet", 2),
    ("train data=iris loss=mse", 2),
    ("train data=digits hidden=3", 2),
    ("train config=missing.toml", 2),
    ("train device=cuda:99", 2),
    ("train device=banana", 2),
    ("train data=mnist folder=nowhere", 3),
    ("train data=iris validation=1000", 2),
    ("train data=iris fold=6/5", 2),
    ("train data=iris fold=1/5 validation=0.1", 2),
    ("train data=polynomial degree=99", 2),
    ("train data=diabetes target_scale=none lr=1e6 optimizer=sgd schedule=constant", 4),
    ("predict", 2),
    ("predict nowhere a.png", 3),
    ("predict nowhere rows=1,2", 3),
    ("evaluate", 2),
    ("evaluate nowhere", 3),
    ("evaluate nowhere folder=3", 2),
    ("report nowhere", 3),
    ("data", 2),
    ("data shwo digits", 2),
    ("data info", 2),
    ("data info digits degree=3", 2),
    ("data show digits n=0", 2),
    ("data show digits n=many", 2),
    ("data show digits out=no/such/folder/a.png", 1),
    ("models lenett", 2),
    ("config model.depth=3", 2),
    ("config nonsense=1", 2),
    ("env please", 2),
    ("train json=perhaps", 2),
]


@pytest.mark.parametrize(("words", "code"), WRONG_WORDS)
def test_wrong_words_are_refused_with_problem_remedy_and_code(words, code, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == code
    captured = capsys.readouterr()
    if words:
        problem, remedy = captured.err.strip().splitlines()[-2:]
        assert problem.startswith("yisheng: ")
        assert len(problem) > 20
        assert remedy.startswith("  ")
        assert len(remedy) > 6
    assert "Traceback" not in captured.err
    files_of_a_failed_run = {
        "events.jsonl",
        "config.toml",
        "history.csv",
        "environment.json",
        "findings.json",
        "report.html",
        "lock",
    }
    leftovers = {p.name for p in tmp_path.rglob("*") if p.is_file()} - files_of_a_failed_run
    assert leftovers == set()


def test_wrong_inputs_of_a_run_are_refused(runs, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"not an image")
    (tmp_path / "a.csv").write_text("1,2\n")
    for words in (
        ["predict", runs["digits"]],
        ["predict", runs["digits"], "rows=1,2"],
        ["predict", runs["digits"], tmp_path / "a.csv"],
        ["predict", runs["digits"], tmp_path / "a.png"],
        ["predict", runs["iris"], tmp_path / "a.csv"],
        ["predict", runs["iris"], "rows=1,2,x,4"],
        ["predict", runs["iris"], "rows="],
    ):
        assert main([str(word) for word in words]) in (2, 3)
        assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(("model.safetensors", damage) for damage in ("cut", "gone", "flipped", "empty")),
        *(("model.json", damage) for damage in ("cut", "gone", "empty")),
        *(("config.toml", damage) for damage in ("gone", "empty")),
    ],
)
def test_a_damaged_run_folder_is_refused(runs, tmp_path, capsys, name, damage):
    folder = tmp_path / "run"
    shutil.copytree(runs["iris"], folder)
    content = bytearray((folder / name).read_bytes())
    if damage == "gone":
        (folder / name).unlink()
    else:
        content[len(content) // 2] ^= 8
        length = {"cut": len(content) // 2, "flipped": len(content), "empty": 0}[damage]
        (folder / name).write_bytes(content[:length])
    assert main(["evaluate", str(folder)]) == 3
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_writes_a_checkpoint_and_exits_with_its_code(tmp_path, number, code):
    words = [sys.executable, "-m", "yisheng", "train", "data=digits", "epochs=100000", f"out={tmp_path}"]
    words += ["compile=false"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})
    folder = tmp_path / "0001-digits-lenet"
    deadline = time.monotonic() + 60
    try:
        while not (folder / "events.jsonl").exists() or not (folder / "events.jsonl").stat().st_size:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, err
    assert "a checkpoint was written" in err
    assert list((folder / "checkpoint").glob("*.safetensors"))
