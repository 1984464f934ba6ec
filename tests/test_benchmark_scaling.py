"""The simulation of trainings in many processes: it gives what follows from its parts."""

import numpy as np
import pytest
from benchmarks.scaling import (
    GPU,
    Link,
    check,
    count_bytes,
    count_memory,
    simulate_ring,
    simulate_update,
    tabulate_processes,
    tabulate_trials,
)
from benchmarks.scaling_costs import BATCH, SHARDS, Costs, Measured
from benchmarks.scaling_trials import TrialCosts, simulate_trials

COSTS = Costs(shard=1.0, row=0.25, addition=2.0, step=3.0, round=0.5, byte=0.125, weight_bytes=16, message_bytes=16)
LINK = Link(COSTS.round, COSTS.byte)


@pytest.mark.parametrize(
    ("processes", "seconds"),
    [(1, 4 * 3 + 3 * 2 + 3), (2, 2 * 3 + 2 + 2.5 + 3), (4, 3 + 2 * 2.5 + 3)],
)
def test_an_update_without_jitter_is_the_sum_of_its_parts(processes, seconds):
    assert simulate_update(COSTS, LINK, processes, 4, 32) == pytest.approx(seconds)


def test_a_ring_sends_twice_the_gradients_at_most():
    assert simulate_ring(COSTS, LINK, 4, 4, 32) == pytest.approx(3 + 1.5 * 16 * 0.125 + 6 * 0.5 + 3)
    assert count_bytes(16, 1024, tree=True) == 160
    assert count_bytes(16, 1024, tree=False) < 32


def test_the_slowest_of_many_processes_is_waited_for():
    seconds = [simulate_update(COSTS, Link(0.0, 0.0), n, n, 8 * n, jitter=0.1) for n in (1, 16, 1024)]
    assert seconds[0] < seconds[1] < seconds[2]
    rng = np.random.default_rng(1)
    expected = 3 * np.exp(0.1 * rng.standard_normal((500, 1024))).max(1).mean() + COSTS.step
    assert seconds[2] == pytest.approx(expected, rel=0.02)


def test_trials_are_bound_by_the_cores_or_by_the_command():
    assert simulate_trials(TrialCosts(0.0, 5.0), 12, 4, 2.0) == pytest.approx(5 + 3 * 2)
    seconds = simulate_trials(TrialCosts(0.01, 0.0), 10_000, 1024, 1.0)
    assert seconds == pytest.approx(10_000 * 0.01, rel=0.1), "10 ms for each task, one after the other"
    shared = simulate_trials(TrialCosts(0.01, 0.0), 10_000, 16, 0.01)
    assert shared < 10_000 * 0.01 / 5, "short trials share a task"


def test_a_simulation_that_is_wrong_extrapolates_nothing():
    seconds = simulate_update(COSTS, LINK, 1, SHARDS, BATCH)
    assert len(list(check({1: COSTS}, {1: Measured(seconds * 1.1, 0, 0)}, "net"))) == 2
    with pytest.raises(SystemExit, match="nothing is extrapolated"):
        list(check({1: COSTS}, {1: Measured(seconds * 1.5, 0, 0)}, "net"))


def test_tables_have_a_row_for_each_number():
    assert [row.split("|")[1].strip() for row in tabulate_processes(GPU, LINK, 64)][2:] == [
        *("2", "4", "8", "16", "64", "256", "1,024")
    ]
    rows = list(tabulate_trials(TrialCosts(0.002, 3.0), 60.0))
    assert [row.split("|")[1].strip() for row in rows][2:] == ["10", "100", "1,000", "10,000"]
    assert count_memory(8, 4, 4) == 40
