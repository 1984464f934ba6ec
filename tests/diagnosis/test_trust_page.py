"""The page of all checks is made from the source and from healthy runs."""

import pytest
from benchmarks.doctor import loop_overhead, trust
from benchmarks.doctor.check_texts import CHECK_KINDS, find_thresholds

from yisheng.core import registry
from yisheng.core.messages import as_message, translate


@pytest.fixture(autouse=True)
def all_checks(monkeypatch):
    """Let the runs be of the present checks, also where there is no repository."""
    names = frozenset(entry.name for kind in CHECK_KINDS for entry in registry.entries(kind))
    monkeypatch.setattr(trust, "list_checks", lambda commit: names)
    return names


def make_run(seed, alarms=(), unchecked=(), examined=("training", "validation", "data")):
    return trust.Run("plain", seed, "abc", 0.9, list(alarms), [], [], list(unchecked), list(examined))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_check_is_on_the_page_with_its_thresholds(language):
    page = trust.render_page([make_run(0)], language)
    for kind in CHECK_KINDS:
        for entry in registry.entries(kind):
            assert f"| [`{entry.name}`](#{entry.name}) |" in page
            for threshold in find_thresholds(entry):
                assert f"| `{threshold.name}` | " in page
                assert translate(as_message(threshold.meaning), language).replace("|", r"\|") in page


def test_the_pages_have_the_same_numbers():
    runs = [make_run(0, ["overfitting"]), make_run(1), make_run(2, ["plateau"])]
    lines = [trust.render_page(runs, language).splitlines() for language in ("en", "zh")]
    rows = [[line.split("|")[1:3] for line in page if line.startswith(("| [`", "| `"))] for page in lines]
    assert rows[0] == rows[1]
    assert len(rows[0]) > 200


def test_a_run_does_not_count_for_a_later_check(monkeypatch, all_checks):
    monkeypatch.setattr(trust, "list_checks", lambda commit: all_checks - {"overfitting"})
    page = trust.render_page([make_run(0), make_run(1)], "en")
    assert "| [`overfitting`](#overfitting) | 0 | 0 | 0 |" in page
    assert "| [`plateau`](#plateau) | 2 | 0 (up to 65.8%) | 0 |" in page


def test_alarms_are_counted_among_the_runs_in_which_a_check_could_run():
    runs = [make_run(0, ["overfitting"]), make_run(1), make_run(2, examined=["training"]), make_run(3, (), ["plateau"])]
    page = trust.render_page(runs, "en")
    assert "Of 4 runs (1 programs, 4 seeds each, commit `abc`) 1 end with an alarm: 25.0% (4.6% to 69.9%)" in page
    assert "| [`overfitting`](#overfitting) | 3 | 1 (up to 79.2%) | 0 |" in page
    assert "| [`plateau`](#plateau) | 3 | 0 (up to 56.1%) | 0 |" in page
    assert "| [`leaking-rows`](#leaking-rows) | 3 | 0 (up to 56.1%) | 0 |" in page
    assert "| [`too-few-epochs`](#too-few-epochs) | 0 | 0 | 0 |" in page


def test_runs_are_read_and_not_repeated(tmp_path, monkeypatch):
    monkeypatch.setattr(trust, "PAGES", {language: tmp_path / f"{language}.md" for language in ("en", "zh")})
    monkeypatch.setattr(trust, "describe_commit", lambda: "abc")
    calls = []

    def pretend(program, seed, commit):
        calls.append((program.name, seed))
        return trust.Run(program.name, seed, commit, 0.5, [], [], [], [], ["training"])

    monkeypatch.setattr(trust, "train_and_diagnose", pretend)
    name = trust.HEALTHY[0].name
    for _ in range(2):
        trust.main([f"results={tmp_path / 'runs.jsonl'}", "seeds=2", f"only={name}"])
    assert calls == [(name, 0), (name, 1)]
    assert len(trust.read_runs(tmp_path / "runs.jsonl")) == 2


@pytest.mark.parametrize("name", ["mlp", "lenet"])
def test_a_loop_is_measured_with_and_without_the_doctor(name):
    line = loop_overhead.measure(name, 2, 6)
    assert line.startswith(f"| {name} | 6 | ")
    assert line.endswith("| yes |")


@pytest.mark.parametrize("kind", CHECK_KINDS)
def test_every_threshold_says_why(kind):
    unexplained = {
        f"{entry.name}: {threshold.name}"
        for entry in registry.entries(kind)
        for threshold in find_thresholds(entry)
        if not threshold.meaning
    }
    assert unexplained == set()
