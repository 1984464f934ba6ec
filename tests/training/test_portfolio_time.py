"""The time of an ensemble: fractions for candidates and folds, whatever the size of the table and the speed."""

import math
import time

import numpy as np
import pytest

from yisheng.core.spec import Spec
from yisheng.training.portfolio.candidates import MIN_ROWS, Candidate, make_candidate
from yisheng.training.portfolio.fold_data import draw_rows
from yisheng.training.portfolio.prediction_rate import measure_rate
from yisheng.training.portfolio.prune import reduce_costs
from yisheng.training.portfolio.timetable import USED_FRACTION, Timetable, count_required_folds

HALF = Candidate("half", "ridge", max_fraction=0.5, min_epochs=7)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def make_timetable(seconds, **options):
    clock = Clock()
    return Timetable(seconds, clock(), clock=clock, **options), clock


def test_folds_that_are_required_share_the_fraction_of_a_candidate():
    timetable, clock = make_timetable(100)
    limits = timetable.limit_fold(HALF, 0, 2, is_first=False)
    assert limits.deadline == pytest.approx(1000 + 0.25 * USED_FRACTION * 100)
    assert (limits.min_epochs, limits.folds) == (7, 2)
    assert limits.end == pytest.approx(1000 + 0.5 * USED_FRACTION * 100)
    clock.now += 10  # less than its part: the next fold gets what is left
    limits = timetable.limit_fold(HALF, 1, 2, is_first=False)
    assert limits.deadline == pytest.approx(1000 + 0.5 * USED_FRACTION * 100)
    assert math.isinf(limits.end)


def test_the_first_candidate_is_never_too_slow():
    timetable, _ = make_timetable(10)
    assert math.isinf(timetable.limit_fold(HALF, 0, 1, is_first=True).end)


def test_further_folds_are_trained_while_the_time_of_the_candidate_lasts():
    timetable, clock = make_timetable(100)
    timetable.limit_fold(HALF, 0, 1, is_first=False)
    clock.now += 20
    assert timetable.has_time_for_fold(20)
    clock.now += 20
    assert not timetable.has_time_for_fold(20)


def test_what_is_reserved_is_left():
    timetable, clock = make_timetable(100, reserved=0.25)
    assert timetable.last_end - timetable.end == pytest.approx(25)
    clock.now = timetable.end - 4
    assert not timetable.may_begin()
    assert make_timetable(None)[0].may_begin()


@pytest.mark.parametrize(("rows", "required"), [([20] * 5, 5), ([200] * 5, 3), ([500] * 5, 1), ([10_000] * 5, 1)])
def test_as_many_folds_are_required_as_have_enough_rows(rows, required):
    assert count_required_folds(rows) == required


def test_rows_are_limited_by_the_time_and_the_columns():
    spec = Spec("regression", (10,))
    for name in ("boosting", "tabm", "extra-trees", "linear"):
        candidate = make_candidate(name, spec, 10**7)
        rows_of_10, rows_of_100 = (candidate.count_rows(10, 10, seconds) for seconds in (10, 100))
        assert rows_of_100 == pytest.approx(10 * rows_of_10, abs=10)
        assert candidate.count_rows(10**6, 10**6, 10) == MIN_ROWS
        assert candidate.count_rows(10, 10, None) is None


@pytest.mark.parametrize("inputs", [10, 300, 1000, 2500, 3000, 5000])
def test_a_closed_form_gets_fewer_rows_the_more_inputs_the_categories_make(inputs):
    candidate = make_candidate("linear", Spec("regression", (10,)), 10**7)
    rows, twice = (candidate.count_rows(10, count, 100) for count in (inputs, 2 * inputs))
    assert MIN_ROWS <= twice <= rows
    products = rows * inputs * min(rows, inputs)
    assert products <= 1.01 * 0.03 * 100 * candidate.products_per_second


def test_trees_that_go_on_longer_have_fewer_rounds_for_many_classes():
    specs = [Spec("classification", (3,), classes=tuple(map(str, range(count)))) for count in (2, 5, 26, 100)]
    rounds = [make_candidate("boosting-long", spec, 100, lightgbm=True).options["rounds"] for spec in specs]
    assert rounds == [4000, 1600, 307, 150]
    rates = [make_candidate("boosting-long", spec, 100, lightgbm=True).options["learning_rate"] for spec in specs]
    assert rates == sorted(rates)


def test_rows_are_drawn_with_some_of_each_class():
    classes = np.zeros(10_000, np.int64)
    classes[[5, 4000, 7777]] = 1
    rows = draw_rows(np.arange(2, 10_000), 100, 0, classes)
    assert len(np.unique(rows)) == 100
    assert rows.min() >= 2
    assert {5, 4000, 7777} <= set(rows.tolist())
    np.testing.assert_array_equal(rows, draw_rows(np.arange(2, 10_000), 100, 0, classes))


@pytest.mark.parametrize(
    ("allowed", "counts"),
    [(100, {0: 5, 1: 5, 2: 5}), (7, {0: 1, 1: 5, 2: 5}), (2.7, {0: 1, 1: 1, 2: 1}), (0.1, {1: 1})],
)
def test_slow_models_are_reduced_first_and_the_best_for_its_time_stays(allowed, counts):
    costs, members = {0: 10.0, 1: 1.0, 2: 2.0}, {0: 5, 1: 5, 2: 5}
    assert reduce_costs(costs, members, np.array([0.5, 0.4, 0.1]), allowed) == counts


def test_a_moment_in_which_other_programs_run_does_not_lower_the_rate():
    rows = np.zeros((100, 2))
    calls = []

    def predict(x):
        calls.append(len(x))
        time.sleep(1e-5 * len(x) + (0.3 if len(calls) % 2 else 0.0))
        return x

    assert measure_rate(predict, rows) > 15_000
