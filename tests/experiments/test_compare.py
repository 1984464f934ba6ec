"""Comparing runs: the differences and their intervals by hand, and when nothing can be said."""

import json
import re
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

import yisheng
from yisheng.core.errors import DataError, UsageError
from yisheng.core.types import Dataset, Spec
from yisheng.experiments.compare import compare, draw_comparison
from yisheng.reporting.comparison_figures import Curves, plot_curves
from yisheng.reporting.history import read_history

FAST = {"epochs": 2, "lr": 0.01, "quiet": True}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Studies and runs of a linear net and an MLP, by name."""
    out = tmp_path_factory.mktemp("runs")

    def run(**settings):
        return yisheng.train(out=out, **{"data": "wine", **FAST, **settings}).path

    with pytest.MonkeyPatch.context() as patch:
        skip_reports(patch)
        found = {}
        for name, model in (("a", {"model": "linear"}), ("b", {"model": "mlp", "hidden": [32]})):
            found[f"{name} study"] = run(folds=3, **model)
            found[f"{name} study 1"] = run(folds=3, seed=1, **model)
            for seed in range(4):
                found[f"{name}{seed}"] = run(seed=seed, **model)
        found["iris"] = run(data="iris", model="linear")
        found["five"] = run(folds=5, model="linear")
    return found


def values(study, score):
    return np.array([one["scores"][score] for one in json.loads((study / "cv.json").read_text())["models"]])


def scores(run, score="accuracy", part="test"):
    return json.loads((run / "scores.json").read_text())[part][score]["value"]


def test_studies_are_compared_fold_by_fold(trained):
    first, second = trained["a study"], trained["b study"]
    found = compare([[first], [second]], score="log-loss")
    (verdict,) = found.tests
    differences = values(second, "log_loss") - values(first, "log_loss")
    rows = [one["rows"] for one in json.loads((first / "cv.json").read_text())["models"]]
    ratio = np.mean([one["validation"] / one["train"] for one in rows])
    half = stats.t.ppf(0.975, 2) * differences.std(ddof=1) * np.sqrt(1 / 3 + ratio)
    assert (verdict.over, verdict.paired, verdict.n, verdict.part) == ("folds", True, 3, "validation")
    assert verdict.difference.value == pytest.approx(differences.mean())
    assert verdict.difference.low == pytest.approx(differences.mean() - half)
    assert verdict.difference.high == pytest.approx(differences.mean() + half)
    assert not found.higher_is_better
    wanted = "unclear" if abs(differences.mean()) < half else "better" if differences.mean() < 0 else "worse"
    assert verdict.outcome == wanted
    (back,) = compare([[second], [first]], score="log-loss").tests
    assert back.difference.value == pytest.approx(-differences.mean())
    assert {verdict.outcome, back.outcome} in ({"unclear"}, {"better", "worse"})


def test_studies_with_several_seeds_pair_over_folds_and_seeds(trained):
    sides = [[trained[f"{name} study"], trained[f"{name} study 1"]] for name in "ab"]
    (verdict,) = compare(sides, score="log_loss").tests
    differences = np.concatenate([values(b, "log_loss") - values(a, "log_loss") for a, b in zip(*sides, strict=True)])
    assert verdict.n == 6
    assert verdict.difference.value == pytest.approx(differences.mean())
    (half,) = compare([sides[0], sides[1][:1]], score="log_loss").tests
    assert half.n == 3
    assert half.message == "paired over 3 folds that both have"


def test_runs_over_the_same_seeds_pair_with_the_correction_for_redrawn_test_rows(trained):
    first, second = ([trained[f"{name}{seed}"] for seed in range(3)] for name in "ab")
    (verdict,) = compare([first, second], score="log_loss").tests
    differences = np.array([scores(b, "log_loss") - scores(a, "log_loss") for a, b in zip(first, second, strict=True)])
    half = stats.t.ppf(0.975, 2) * differences.std(ddof=1) * np.sqrt(1 / 3 + 36 / 115)  # test by training rows
    assert (verdict.over, verdict.paired, verdict.n, verdict.part) == ("seeds", True, 3, "test")
    assert verdict.difference.value == pytest.approx(differences.mean())
    assert verdict.difference.high - verdict.difference.low == pytest.approx(2 * half)


def test_runs_over_other_seeds_are_two_groups(trained):
    first, second = ([trained[name] for name in names] for names in (["a0", "a1"], ["b2", "b3"]))
    (verdict,) = compare([first, second], score="log_loss").tests
    assert (verdict.over, verdict.paired, verdict.n) == ("seeds", False, 2)
    ones, others = (np.array([scores(run, "log_loss") for run in side]) for side in (first, second))
    parts = [side.var(ddof=1) * (1 / 2 + 36 / 115) for side in (ones, others)]
    freedom = sum(parts) ** 2 / sum(part**2 for part in parts)
    assert verdict.difference.value == pytest.approx(others.mean() - ones.mean())
    half = stats.t.ppf(0.975, freedom) * np.sqrt(sum(parts))
    assert verdict.difference.high - verdict.difference.value == pytest.approx(half)


def test_where_the_test_rows_are_official_seeds_are_plain_pairs(tmp_path):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(90, 4)).astype(np.float32)
    part = np.repeat([0, 1, 2], [50, 20, 20]).astype(np.int8)
    data = Dataset("parts", Spec("regression", (4,)), x, x[:, :1] ** 2, part)
    sides = [
        [yisheng.train(data=data, seed=seed, out=tmp_path, **FAST, **more).path for seed in (0, 1, 2)]
        for more in ({"model": "linear"}, {"model": "mlp", "hidden": [16]})
    ]
    (unseen,) = compare(sides).tests
    assert unseen.outcome == "unknown"
    assert "cannot be seen: the data that they were trained on is not here" in unseen.message
    (verdict,) = compare(sides, data=data).tests
    differences = [scores(b, "rmse") - scores(a, "rmse") for a, b in zip(*sides, strict=True)]
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (verdict.difference.low, verdict.difference.high) == pytest.approx((low, high))
    assert "the test rows are the same for all seeds" in verdict.message


@pytest.mark.parametrize(
    ("names", "why", "remedy"),
    [
        (["a0", "b0"], "a single run does not tell", "folds=5"),
        (["a study", "b0"], "one is a study of k folds", "folds=3"),
        (["a study", "five"], "do not have the same folds", "the same seed="),
        (["a study", "b study 1"], "do not have the same folds", "the same seed="),
        (["a0", "iris"], "different data", ""),
    ],
)
def test_when_nothing_can_be_said_it_says_so_and_what_to_run(trained, names, why, remedy):
    (verdict,) = compare([[trained[name]] for name in names]).tests
    assert (verdict.outcome, verdict.difference) == ("unknown", None)
    assert why in verdict.message
    assert remedy in " ".join(verdict.remedy)


def test_what_it_says_to_run_can_be_run(trained, tmp_path, monkeypatch):
    skip_reports(monkeypatch)
    (verdict,) = compare([[trained["a0"]], [trained["b0"]]]).tests
    studies = []
    for command in verdict.remedy[:2]:
        verb, *words = command.split()[1:]
        assert verb == "train"
        settings = dict(word.split("=", 1) for word in words)
        studies.append(yisheng.train(out=tmp_path, quiet=True, **settings).path)
    (after,) = compare([[study] for study in studies]).tests
    assert after.n == 5


def test_the_same_twice_is_no_difference(trained, tmp_path):
    twin = shutil.copytree(trained["a study"], tmp_path / "twin")
    found = compare([[trained["a study"]], [twin]])
    (verdict,) = found.tests
    assert verdict.outcome == "unclear"
    assert verdict.difference.value == verdict.difference.low == verdict.difference.high == 0
    assert found.differing == {}


def test_several_comparisons_hold_together(trained, tmp_path):
    twin = shutil.copytree(trained["a study"], tmp_path / "twin")
    alone = compare([[trained["a study"]], [trained["b study"]]]).tests[0].difference
    both = compare([[trained["a study"]], [trained["b study"]], [twin]]).tests
    assert both[0].level == pytest.approx(0.975)
    wider = stats.t.ppf(0.9875, 2) / stats.t.ppf(0.975, 2)
    assert both[0].difference.high - alone.value == pytest.approx(wider * (alone.high - alone.value))


def test_what_differs_is_listed(trained):
    found = compare([[trained["a0"], trained["a1"]], [trained["b0"]]])
    assert found.differing["model"] == ("linear", "mlp")
    assert found.differing["seed"] == ("0, 1", "0")
    assert found.differing["model.hidden"] == ("none", "[32]")
    assert "epochs" not in found.differing
    assert "data (SHA-256)" in compare([[trained["a0"]], [trained["iris"]]]).differing


def test_bad_questions_are_refused(trained, tmp_path):
    a0, b0 = trained["a0"], trained["b0"]
    for groups, error in [
        ([[a0]], "two runs or more"),
        ([[a0, b0], [a0]], "differ in model"),
        ([[a0, a0], [b0]], "names a run twice"),
        ([[a0, shutil.copytree(a0, tmp_path / "twin")], [b0]], "the same seed"),
        ([[a0, trained["a study"]], [b0]], "mixes runs with studies"),
    ]:
        with pytest.raises(UsageError, match=error):
            compare(groups)
    with pytest.raises(UsageError, match="'rmse'"):
        compare([[a0], [b0]], score="rmse")
    with pytest.raises(DataError):
        compare([[a0], [tmp_path / "nothing"]])
    broken = shutil.copytree(trained["a study"], tmp_path / "broken")
    (broken / "cv.json").write_text('{"models": [{"folder": "../.."}]}')
    with pytest.raises(DataError, match="cv.json is damaged"):
        compare([[broken], [trained["b study"]]])


def drawn(trained, names, out):
    found = compare([[trained[one] for one in name.split(",")] for name in names], score="log_loss")
    draw_comparison(found, out)
    return found


def test_the_page_holds_the_curves_the_scores_and_the_verdict(trained, tmp_path):
    page = tmp_path / "page.html"
    found = drawn(trained, ["a study", "b study"], page)
    text = page.read_text()
    assert text.count("<svg") == 2  # training loss, and log-loss, which is what the validation loss is
    for word in ("model=linear", "model=mlp", "Training loss by epoch", "default-src 'none'", found.tests[0].message):
        assert word in text
    assert not re.search(r"<script|src=\"http|href=\"http|@import|url\(http", text)
    ElementTree.fromstring(re.search(r"<svg.*?</svg>", text, re.DOTALL)[0])


def test_the_curves_are_those_of_the_logs(trained):
    sides = [Curves(name, (read_history(trained[f"{name}0"]), read_history(trained[f"{name}1"]))) for name in "ab"]
    axes = Figure().subplots()
    plot_curves(axes, sides, "accuracy")
    logs = [trained[f"{name}{seed}"] / "events.jsonl" for name in "ab" for seed in (0, 1)]
    for line, log in zip(axes.get_lines(), logs, strict=True):
        events = [json.loads(one) for one in log.read_text().splitlines()]
        epochs = [(e["epoch"], e["scores"]["accuracy"]) for e in events if e["event"] == "epoch"]
        assert line.get_xydata().tolist() == [list(one) for one in epochs]
    colours = [line.get_color() for line in axes.get_lines()]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    markers = {line.get_marker() for line in axes.get_lines()}
    assert len(markers) == 2  # colour is not all that tells them apart


def test_images_of_the_curves(trained, tmp_path):
    drawn(trained, ["a0,a1", "b0", "b1"], tmp_path / "curves.svg")
    assert "model=linear, seed=0, 1" in (tmp_path / "curves.svg").read_text()
    ElementTree.parse(tmp_path / "curves.svg")
    drawn(trained, ["a0", "a1"], tmp_path / "curves.PNG")
    with Image.open(tmp_path / "curves.PNG") as image:
        assert image.format == "PNG"
        assert image.width > 2 * image.height


def test_a_page_of_odd_names_and_logs_without_an_epoch(trained, tmp_path):
    odd = shutil.copytree(trained["a0"], tmp_path / "<script>alert(1)</script>")
    twin = shutil.copytree(trained["a0"], tmp_path / "twin")
    for run in (odd, twin):
        (run / "events.jsonl").write_text("")
    for name in ("page.html", "curves.png"):
        draw_comparison(compare([[odd], [twin]]), tmp_path / name)
    text = (tmp_path / "page.html").read_text()
    assert "<script" not in text
    assert "None of the logs holds an epoch" in text
    with pytest.raises(UsageError, match=r"end in .html, .svg or .png, got 'page.pdf'"):
        draw_comparison(compare([[odd], [twin]]), tmp_path / "page.pdf")
