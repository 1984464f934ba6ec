"""Compare runs: differences and intervals against their formulas, and runs that cannot be compared."""

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
from tests.experiments.conftest import skip_reports
from yisheng.cli import main
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError
from yisheng.core.spec import Spec
from yisheng.experiments.compare import compare, draw_comparison
from yisheng.reporting.comparison_figures import Curves, plot_curves
from yisheng.reporting.history import read_history

FAST = {"epochs": 2, "lr": 0.01, "quiet": True}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Cross-validations and runs of a linear model and an MLP, by name."""
    out = tmp_path_factory.mktemp("runs")

    def run(**settings):
        return yisheng.train(out=out, **{"data": "wine", **FAST, **settings}).path

    with pytest.MonkeyPatch.context() as patch:
        skip_reports(patch)
        runs = {}
        for name, model in (("a", {"model": "linear"}), ("b", {"model": "mlp", "hidden": [32]})):
            runs[f"{name} cv"] = run(folds=3, **model)
            runs[f"{name} cv 1"] = run(folds=3, seed=1, **model)
            for seed in range(4):
                runs[f"{name}{seed}"] = run(seed=seed, **model)
        runs["iris"] = run(data="iris", model="linear")
        runs["five"] = run(folds=5, model="linear")
    return runs


def fold_scores(folder, score):
    models = json.loads((folder / "cv.json").read_text())["models"]
    return np.array([model["scores"][score] for model in models])


def read_score(run, score="accuracy", part="test"):
    return json.loads((run / "scores.json").read_text())[part][score]["value"]


def test_the_function_prints_what_the_command_prints(trained, tmp_path, capsys):
    assert main(["compare", str(trained["a cv"]), str(trained["b cv"]), "score=log-loss"]) == 0
    printed = capsys.readouterr().out
    out = tmp_path / "curves.svg"
    comparison = yisheng.compare(yisheng.load(trained["a cv"]), trained["b cv"], score="log-loss", out=out)
    assert f"{comparison}\n" == printed
    assert out.is_file()
    seeds = yisheng.compare([trained["a0"], trained["a1"]], [str(trained["b0"]), str(trained["b1"])])
    assert [len(group.runs) for group in seeds.groups] == [2, 2]
    for runs in ((trained["a0"],), ([], [trained["a0"]])):
        with pytest.raises(UsageError, match="two runs or more"):
            yisheng.compare(*runs)
    with pytest.raises(UsageError, match="must end in"):
        yisheng.compare(trained["a0"], trained["b0"], out=tmp_path / "a.pdf")


def test_runs_on_objects_bring_their_data(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    settings = {"data": (x, y), "epochs": 1, "quiet": True, "out": tmp_path}
    groups = [[yisheng.train(model=model, seed=seed, **settings) for seed in (0, 1)] for model in ("linear", "mlp")]
    assert yisheng.compare(*groups).tests[0].difference is not None
    folders = [[run.path for run in group] for group in groups]
    assert yisheng.compare(*folders).tests[0].difference is None  # whether the seeds drew the same rows is unknown
    assert yisheng.compare(*folders, data=(x, y)).tests == yisheng.compare(*groups).tests


def test_cross_validations_are_compared_fold_by_fold(trained):
    first, second = trained["a cv"], trained["b cv"]
    comparison = compare([[first], [second]], score="log-loss")
    (test,) = comparison.tests
    differences = fold_scores(second, "log_loss") - fold_scores(first, "log_loss")
    rows = [model["rows"] for model in json.loads((first / "cv.json").read_text())["models"]]
    ratio = np.mean([counts["validation"] / counts["train"] for counts in rows])
    half = stats.t.ppf(0.975, 2) * differences.std(ddof=1) * np.sqrt(1 / 3 + ratio)
    assert (test.over, test.paired, test.n, test.part) == ("folds", True, 3, "validation")
    assert test.difference.value == pytest.approx(differences.mean())
    assert test.difference.low == pytest.approx(differences.mean() - half)
    assert test.difference.high == pytest.approx(differences.mean() + half)
    assert not comparison.higher_is_better
    outcome = "unclear" if abs(differences.mean()) < half else "better" if differences.mean() < 0 else "worse"
    assert test.outcome == outcome
    (reverse,) = compare([[second], [first]], score="log-loss").tests
    assert reverse.difference.value == pytest.approx(-differences.mean())
    assert {test.outcome, reverse.outcome} in ({"unclear"}, {"better", "worse"})


def test_cross_validations_with_several_seeds_are_paired_over_folds_and_seeds(trained):
    groups = [[trained[f"{name} cv"], trained[f"{name} cv 1"]] for name in "ab"]
    (test,) = compare(groups, score="log_loss").tests
    differences = np.concatenate(
        [fold_scores(b, "log_loss") - fold_scores(a, "log_loss") for a, b in zip(*groups, strict=True)]
    )
    assert test.n == 6
    assert test.difference.value == pytest.approx(differences.mean())
    (partial,) = compare([groups[0], groups[1][:1]], score="log_loss").tests
    assert partial.n == 3
    assert partial.message == "paired over 3 folds that both have"


def test_runs_with_equal_seeds_are_paired_with_a_correction_for_redrawn_test_rows(trained):
    first, second = ([trained[f"{name}{seed}"] for seed in range(3)] for name in "ab")
    (test,) = compare([first, second], score="log_loss").tests
    differences = np.array(
        [read_score(b, "log_loss") - read_score(a, "log_loss") for a, b in zip(first, second, strict=True)]
    )
    half = stats.t.ppf(0.975, 2) * differences.std(ddof=1) * np.sqrt(1 / 3 + 36 / 115)  # test by training rows
    assert (test.over, test.paired, test.n, test.part) == ("seeds", True, 3, "test")
    assert test.difference.value == pytest.approx(differences.mean())
    assert test.difference.high - test.difference.low == pytest.approx(2 * half)


def test_runs_with_different_seeds_are_compared_as_two_groups(trained):
    first, second = ([trained[name] for name in names] for names in (["a0", "a1"], ["b2", "b3"]))
    (test,) = compare([first, second], score="log_loss").tests
    assert (test.over, test.paired, test.n) == ("seeds", False, 2)
    scores, other_scores = (np.array([read_score(run, "log_loss") for run in group]) for group in (first, second))
    parts = [group.var(ddof=1) * (1 / 2 + 36 / 115) for group in (scores, other_scores)]
    freedom = sum(parts) ** 2 / sum(part**2 for part in parts)
    assert test.difference.value == pytest.approx(other_scores.mean() - scores.mean())
    half = stats.t.ppf(0.975, freedom) * np.sqrt(sum(parts))
    assert test.difference.high - test.difference.value == pytest.approx(half)


def test_with_official_test_rows_seeds_are_paired_without_correction(tmp_path):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(90, 4)).astype(np.float32)
    part = np.repeat([0, 1, 2], [50, 20, 20]).astype(np.int8)
    data = Dataset("parts", Spec("regression", (4,)), x, x[:, :1] ** 2, part)
    groups = [
        [yisheng.train(data=data, seed=seed, out=tmp_path, **FAST, **model).path for seed in (0, 1, 2)]
        for model in ({"model": "linear"}, {"model": "mlp", "hidden": [16]})
    ]
    (unknown,) = compare(groups).tests
    assert unknown.outcome == "unknown"
    assert "the data of the training is not available" in unknown.message
    (test,) = compare(groups, data=data).tests
    differences = [read_score(b, "rmse") - read_score(a, "rmse") for a, b in zip(*groups, strict=True)]
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (test.difference.low, test.difference.high) == pytest.approx((low, high))
    assert "the test rows are the same for all seeds" in test.message


@pytest.mark.parametrize(
    ("names", "reason", "remedy"),
    [
        (["a0", "b0"], "a single run does not show", "folds=5"),
        (["a cv", "b0"], "one of them is a cross-validation", "folds=3"),
        (["a cv", "five"], "do not have the same folds", "the same seed="),
        (["a cv", "b cv 1"], "do not have the same folds", "the same seed="),
        (["a0", "iris"], "different data", ""),
    ],
)
def test_runs_that_cannot_be_compared_have_a_remedy(trained, names, reason, remedy):
    (test,) = compare([[trained[name]] for name in names]).tests
    assert (test.outcome, test.difference) == ("unknown", None)
    assert reason in test.message
    assert remedy in " ".join(test.remedy)


def test_the_commands_of_the_remedy_can_be_run(trained, tmp_path, monkeypatch):
    skip_reports(monkeypatch)
    (test,) = compare([[trained["a0"]], [trained["b0"]]]).tests
    folders = []
    for command in test.remedy[:2]:
        name, *words = command.split()[1:]
        assert name == "train"
        settings = dict(word.split("=", 1) for word in words)
        folders.append(yisheng.train(out=tmp_path, quiet=True, **settings).path)
    (test,) = compare([[folder] for folder in folders]).tests
    assert test.n == 5


def test_a_run_and_its_copy_do_not_differ(trained, tmp_path):
    copy = shutil.copytree(trained["a cv"], tmp_path / "copy")
    comparison = compare([[trained["a cv"]], [copy]])
    (test,) = comparison.tests
    assert test.outcome == "unclear"
    assert test.difference.value == test.difference.low == test.difference.high == 0
    assert comparison.differing == {}


def test_the_intervals_of_several_comparisons_are_wider(trained, tmp_path):
    copy = shutil.copytree(trained["a cv"], tmp_path / "copy")
    single = compare([[trained["a cv"]], [trained["b cv"]]]).tests[0].difference
    several = compare([[trained["a cv"]], [trained["b cv"]], [copy]]).tests
    assert several[0].level == pytest.approx(0.975)
    factor = stats.t.ppf(0.9875, 2) / stats.t.ppf(0.975, 2)
    assert several[0].difference.high - single.value == pytest.approx(factor * (single.high - single.value))


def test_differing_settings_are_listed(trained):
    comparison = compare([[trained["a0"], trained["a1"]], [trained["b0"]]])
    assert comparison.differing["model"] == ("linear", "mlp")
    assert comparison.differing["seed"] == ("0, 1", "0")
    assert comparison.differing["model.hidden"] == ("none", "32")
    assert "epochs" not in comparison.differing
    assert "data (SHA-256)" in compare([[trained["a0"]], [trained["iris"]]]).differing


def test_wrong_groups_are_refused(trained, tmp_path):
    a0, b0 = trained["a0"], trained["b0"]
    for groups, error in [
        ([[a0]], "two runs or more"),
        ([[a0, b0], [a0]], "differ in model"),
        ([[a0, a0], [b0]], "names a run twice"),
        ([[a0, shutil.copytree(a0, tmp_path / "copy")], [b0]], "the same seed"),
        ([[a0, trained["a cv"]], [b0]], "mixes runs with cross-validations"),
    ]:
        with pytest.raises(UsageError, match=error):
            compare(groups)
    with pytest.raises(UsageError, match="'rmse'"):
        compare([[a0], [b0]], score="rmse")
    with pytest.raises(DataError):
        compare([[a0], [tmp_path / "nothing"]])
    broken = shutil.copytree(trained["a cv"], tmp_path / "broken")
    (broken / "cv.json").write_text('{"models": [{"folder": "../.."}]}')
    with pytest.raises(DataError, match="cv.json is damaged"):
        compare([[broken], [trained["b cv"]]])


def compare_and_draw(trained, names, out):
    groups = [[trained[name] for name in group.split(",")] for group in names]
    comparison = compare(groups, score="log_loss")
    draw_comparison(comparison, out)
    return comparison


def test_the_page_holds_curves_scores_and_the_test(trained, tmp_path):
    page = tmp_path / "page.html"
    comparison = compare_and_draw(trained, ["a cv", "b cv"], page)
    text = page.read_text()
    assert text.count("<svg") == 2  # training loss, and log-loss, which is what the validation loss is
    message = comparison.tests[0].message
    for expected in ("model=linear", "model=mlp", "Training loss by epoch", "default-src 'none'", message):
        assert expected in text
    assert not re.search(r"<script|src=\"http|href=\"http|@import|url\(http", text)
    ElementTree.fromstring(re.search(r"<svg.*?</svg>", text, re.DOTALL)[0])


def test_the_curves_are_those_of_the_logs(trained):
    curves = [Curves(name, (read_history(trained[f"{name}0"]), read_history(trained[f"{name}1"]))) for name in "ab"]
    axes = Figure().subplots()
    plot_curves(axes, curves, "accuracy")
    logs = [trained[f"{name}{seed}"] / "events.jsonl" for name in "ab" for seed in (0, 1)]
    for line, log in zip(axes.get_lines(), logs, strict=True):
        events = [json.loads(text) for text in log.read_text().splitlines()]
        epochs = [(e["epoch"], e["scores"]["accuracy"]) for e in events if e["event"] == "epoch"]
        assert line.get_xydata().tolist() == [list(point) for point in epochs]
    colors = [line.get_color() for line in axes.get_lines()]
    assert colors[0] == colors[1] != colors[2] == colors[3]
    markers = {line.get_marker() for line in axes.get_lines()}
    assert len(markers) == 2  # color is not the only difference


def test_curves_are_drawn_as_images(trained, tmp_path):
    compare_and_draw(trained, ["a0,a1", "b0", "b1"], tmp_path / "curves.svg")
    assert "model=linear, seed=0, 1" in (tmp_path / "curves.svg").read_text()
    ElementTree.parse(tmp_path / "curves.svg")
    compare_and_draw(trained, ["a0", "a1"], tmp_path / "curves.PNG")
    with Image.open(tmp_path / "curves.PNG") as image:
        assert image.format == "PNG"
        assert image.width > 2 * image.height


def test_a_page_with_unusual_names_and_logs_without_an_epoch(trained, tmp_path):
    unusual = shutil.copytree(trained["a0"], tmp_path / "<script>alert(1)</script>")
    copy = shutil.copytree(trained["a0"], tmp_path / "copy")
    for run in (unusual, copy):
        (run / "events.jsonl").write_text("")
    for name in ("page.html", "curves.png"):
        draw_comparison(compare([[unusual], [copy]]), tmp_path / name)
    text = (tmp_path / "page.html").read_text()
    assert "<script" not in text
    assert "None of the logs contains an epoch" in text
    with pytest.raises(UsageError, match=r"end in .html, .svg or .png, got 'page.pdf'"):
        draw_comparison(compare([[unusual], [copy]]), tmp_path / "page.pdf")
