"""``yisheng tune`` on the command line."""

import json

import pytest

from yisheng.cli import main

WORDS = ["data=wine", "model=mlp", "hidden=4,8", "epochs=2", "batch=32", "folds=2", "executor=serial"]
SIX = ("batch", "epochs", "accumulate", "patience", "clip_norm", "clip_value")


def test_the_trials_are_printed_and_the_folder_comes_last(tmp_path, capsys):
    assert main(["tune", *WORDS, "--lr", "0.01,0.05", f"out={tmp_path}"]) == 0
    out, error = capsys.readouterr()
    lines = out.splitlines()
    assert lines[-1] == str(tmp_path / "0001-wine-mlp-search")
    assert lines[1].split() == ["trial", "hidden", "lr", "accuracy", "±", "sd", "parameters"]
    assert sum("chosen" in line for line in lines[3:7]) == 1
    assert "grid search on wine: hidden x lr; 2 trainings each" in error
    assert "trial 4 of 4: hidden=8 lr=0.05" in error
    assert main(["predict", lines[-1], "rows=13.2,1.78,2.14,11.2,100,2.65,2.76,0.26,1.28,4.38,1.05,3.4,1050"]) == 0
    assert "cultivar" in capsys.readouterr().out
    assert main(["report", lines[-1]]) == 0
    assert capsys.readouterr().out.strip() == f"{lines[-1]}/report.html"
    assert main(["resume", lines[-1]]) == 0
    out, error = capsys.readouterr()
    assert (out.splitlines()[-1], error.strip()) == (lines[-1], "the search is finished; there is nothing to do")


def test_json_and_quiet(tmp_path, capsys):
    words = [*WORDS, "lr=log(1e-3,1e-1)", "n=3", "search=coarse", "search.rounds=3", f"out={tmp_path}"]
    assert main(["tune", *words, "--json", "--quiet"]) == 0
    out, error = capsys.readouterr()
    result = json.loads(out)
    assert error == ""
    assert (result["run"], result["score"], result["trials"]) == (str(tmp_path / "0001-wine-mlp-search"), "accuracy", 3)
    assert result["chosen"].keys() >= {"setting", "mean", "se", "parameters"}
    assert result["scores"]["test"]["accuracy"]["value"] > 0
    assert main(["tune", *WORDS, "lr=0.1,0.2", f"out={tmp_path}", "--quiet"]) == 0
    assert capsys.readouterr() == (f"{tmp_path / '0002-wine-mlp-search'}\n", "")


def test_a_config_file_sets_what_all_trials_share(tmp_path, capsys):
    (tmp_path / "a.toml").write_text('data = "wine"\nepochs = 1\nlr = 0.3\n[model]\nname = "mlp"\nhidden = [8, 4]\n')
    assert main(["tune", f"config={tmp_path / 'a.toml'}", "lr=0.01,0.1", f"out={tmp_path}", "--json", "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["best"]["setting"].keys() == {"lr"}
    assert result["best"]["parameters"] == 13 * 8 + 8 + 8 * 4 + 4 + 4 * 3 + 3


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["lr=log(0,1)"], "above zero"),
        (["lr=log(1,0.1)"], "empty range"),
        (["lrr=0.1,0.2"], "unknown key 'lrr'"),
        (["lr=0.1,0.2", "search=grdi"], "did you mean grid"),
        (["lr=0.1,0.2", "n=0"], "n must be"),
        (["lr=0.1,0.2", "search.eta=3"], "has no option 'eta'"),
        (["lr=0.1,0.2", "executor=fast"], "executor must be"),
        (["lr=0.1,0.2", "data=no-such-set"], "unknown data set"),
        (["lr=0.1,0.2", "folds=1"], "folds must be"),
        (["lr=0.1,0.2", "epochs=1,2", "search=halving"], "cannot vary"),
        ([f"{key}=1,2,3,4,5,6,7,8,9,10" for key in SIX], "1,000,000 settings, more than 100,000"),
        ([], "nothing varies"),
        (["photo.png"], "keys and values only"),
    ],
)
def test_an_error_is_two_lines_and_makes_no_folder(tmp_path, capsys, words, cause):
    assert main(["tune", *words, f"out={tmp_path / 'runs'}"]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert cause in error
    assert len(error.splitlines()) == 2
    assert not (tmp_path / "runs").exists()


def test_help_describes_ranges_and_samplers(capsys):
    assert main(["tune", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("log(1e-4,1)", "halving", "hidden=[64,32],[128]", "batch"))
