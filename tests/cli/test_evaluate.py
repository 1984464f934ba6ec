"""``yisheng evaluate RUN data=OTHER``: printed scores, JSON, files, and errors."""

import json

import numpy as np
import pandas as pd
import pytest

from yisheng.cli import main


@pytest.fixture
def flowers(run, tmp_path):
    """Write 60 irises as a table, with labels that end in a dot; return its path."""
    from yisheng.data.datasets.iris import iris

    data = iris()
    rows = np.random.default_rng(0).permutation(len(data))[:60]
    table = pd.DataFrame(data.x[rows], columns=[column.name for column in data.spec.columns])
    path = tmp_path / "flowers.csv"
    table.assign(species=[f"{data.spec.classes[number]}." for number in data.y[rows]]).to_csv(path, index=False)
    return path


def test_scores_are_printed_next_to_those_of_the_run(run, flowers, capsys):
    assert main(["evaluate", str(run), f"data={flowers}", "labels=strip-dot"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "60 rows"
    assert lines[2].split("  ")[-1] == "baseline"
    assert lines[2].split()[0] == "flowers"
    assert lines[-1] == str(run / "evaluations" / "flowers")
    assert (run / "evaluations" / "flowers" / "report.html").exists()


def test_json_has_the_documented_keys(run, flowers, capsys):
    words = ["evaluate", str(run), f"data={flowers}", "labels=strip-dot", "name=b", "predictions=true", "--json"]
    assert main(words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["evaluation"] == str(run / "evaluations" / "b")
    assert printed["data"]["scored"] == 60
    assert printed["labels"] == ["strip-dot"]
    assert printed["classes"]["unknown"] == {}
    assert printed["scores"]["test"]["accuracy"]["low"] <= printed["scores"]["test"]["accuracy"]["value"]
    assert len(pd.read_csv(run / "evaluations" / "b" / "predictions.csv")) == 60


def test_the_scores_of_the_run_stay_as_they_are(run, flowers):
    files = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert main(["evaluate", str(run), f"data={flowers}", "labels=strip-dot"]) == 0
    assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == files


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        ([], 3, "no class of flowers is a class of the run.*use labels=strip-dot"),
        (["labels=dots"], 2, "no such form"),
        (["labels=strip-dot", "part=test"], 2, "no official test part"),
        (["labels=strip-dot", "name=a/b"], 2, "name must be"),
        (["labels=strip-dot", "target=weight"], 3, "no column weight"),
        (["labels=strip-dot", "force=true"], 2, "no option 'force'"),
        (["labels=strip-dot", "predictions=maybe"], 2, "true or false"),
    ],
)
def test_what_does_not_fit_is_refused(run, flowers, assert_error, words, code, cause):
    assert_error(["evaluate", run, f"data={flowers}", *words], code, f"(?s){cause}")


@pytest.mark.parametrize("key", ["part=test", "labels=casefold", "name=b", "predictions=true"])
def test_keys_about_other_data_need_data(run, assert_error, key):
    assert_error(["evaluate", run, key], 2, "use data=")


def test_force_is_gone(run, assert_error):
    assert_error(["evaluate", run, "force=true"], 2, "unknown key 'force'")


def test_data_of_another_kind_is_refused(run, image_run, flowers, assert_error):
    assert_error(["evaluate", image_run, f"data={flowers}", "target=species"], 3, "takes images|is for")
    assert_error(["evaluate", run, "data=digits"], 3, "columns|inputs of shape")
    assert_error(["evaluate", run, "data=nowhere.csv"], 3, "does not exist")
    assert_error(["evaluate", run, "data=nonsense"], 2, "unknown data set")
