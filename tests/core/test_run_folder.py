"""The run folder: numbers, scores, damage, and folders that an older version wrote."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import yisheng
from yisheng.cli import main
from yisheng.core.errors import DataError
from yisheng.core.run_contents import read_run
from yisheng.core.run_folder import FORMAT, RunFolder
from yisheng.core.score import Score
from yisheng.core.scores_file import parse_scores


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return yisheng.train(data="iris", model="linear", epochs=1, out=tmp_path_factory.mktemp("runs"), quiet=True).path


@pytest.fixture
def folder(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / finished.name))


def make_format_1_model(folder):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 1}))


def make_format_1_config(folder):
    (folder / "config.toml").rename(folder / "recipe.toml")


def make_format_1_search(folder):
    (folder / "config.toml").rename(folder / "study.toml")


def make_format_1_cross_validation(folder):
    (folder / "folds.json").write_text("{}")


COMMANDS = {
    "predict": "predict {folder} rows=1,2,3,4",
    "report": "report {folder}",
    "resume": "resume {folder}",
    "evaluate": "evaluate {folder}",
    "compare": "compare {folder} {other}",
    "compare with": "compare {other} {folder}",
    "reproduce": "reproduce {folder}",
    "export": "export {folder} format=torchscript",
    "diagnose": "diagnose {folder}",
    "look": "look {folder}",
    "serve": "serve {folder} port=0",
    "tensorboard": "tensorboard {folder} port=0",
    "weights": "train data=iris weights={folder}",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "make_old", [make_format_1_model, make_format_1_config, make_format_1_search, make_format_1_cross_validation]
)
def test_every_command_refuses_a_folder_of_an_older_version(folder, finished, capsys, command, make_old):
    make_old(folder)
    assert main(COMMANDS[command].format(folder=folder, other=finished).split()) == 3
    problem, remedy = capsys.readouterr().err.strip().splitlines()[-2:]
    assert problem == (
        f"yisheng: {folder} was written by an older version of yisheng (format 1, this version reads {FORMAT})"
    )
    assert remedy == "  train again with this version: yisheng train"


def test_folders_created_concurrently_are_numbered_without_gaps(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        models = [f"model {n % 3}" for n in range(24)]
        folders = list(pool.map(lambda model: RunFolder.create(tmp_path, "data", model, write=lambda _: None), models))
    assert sorted(folder.path.name[:4] for folder in folders) == [f"{n:04d}" for n in range(1, 25)]
    assert {folder.path.name[5:] for folder in folders} == {"data-model-0", "data-model-1", "data-model-2"}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(folder.path.name for folder in folders)


def test_scores_are_read_as_they_were_written(tmp_path):
    run = RunFolder(tmp_path)
    assert run.scores == {}
    scores = {"test": {"accuracy": Score(0.5, 0.25, 0.75)}, "baseline": {"accuracy": Score(0.125)}}
    run.write_scores(scores)
    assert run.scores == scores


@pytest.mark.parametrize("text", ["[]", '{"test": 3}', '{"test": {"a": 3}}', '{"test": {"a": {"value": null}}}', "{"])
def test_damaged_scores_are_reported(tmp_path, text):
    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(DataError, match=r"scores\.json"):
        _ = RunFolder(tmp_path).scores


def test_readable_scores_are_kept_next_to_damaged_ones():
    scores, problems = parse_scores({"test": {"a": {"value": 1}, "b": {"value": "x"}}, "validation": []})
    assert scores == {"test": {"a": Score(1.0)}}
    assert problems == ["there is no number for test b", "validation is not a JSON object"]


def test_a_folder_without_config_is_not_a_run_folder(tmp_path):
    for path in (tmp_path, tmp_path / "missing", Path("a\0b")):
        with pytest.raises(DataError, match="not a run folder"):
            _ = RunFolder(path).config


@pytest.mark.parametrize("text", ["epochs = 'auto'", "data = 'iris'", "no TOML", "lr = 'x'"])
def test_a_damaged_config_is_reported(folder, text):
    (folder / "config.toml").write_text(text)
    with pytest.raises(DataError, match=r"config\.toml is damaged"):
        _ = RunFolder(folder).config


def test_a_run_is_read_with_its_config_scores_and_best_epoch(finished):
    run = read_run(RunFolder(finished))
    assert run.config == RunFolder(finished).config.to_dict()
    assert run.scores == RunFolder(finished).scores
    assert run.best["epoch"] == 1
    assert RunFolder(finished).is_finished
