"""The programs of the benchmark: all is well where all is well."""

import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parents[2] / "benchmarks" / "doctor"
sys.path.insert(0, str(HERE))
import faulty  # noqa: E402, F401
import faulty_numbers  # noqa: E402, F401
import healthy  # noqa: E402, F401
import later  # noqa: E402, F401
import latest  # noqa: E402, F401
from parts import FAULTY, HEALTHY, Trial  # noqa: E402

sys.path.remove(str(HERE))
QUICK = {
    "plain_digits",
    "cosine_with_restarts",
    "smoothed_labels",
    "raw_targets_of_a_line",
    "frozen_backbone",
    "single_rows",
    "one_in_twenty",
    "residual_branches_that_begin_at_zero",
    "collected_gradients",
    "mostly_noise",
    "closures_of_lbfgs",
    "an_optimiser_for_each_part",
    "the_generator_of_two_that_compete",
    "the_judge_of_two_that_compete",
    "two_losses_in_one",
    "latest_two_batches_in_a_fixed_order",
    "latest_triangles",
    "latest_two_losses_propagated_at_once",
    "latest_layers_computed_again",
}


def run(program, seed=0, **how):
    torch.manual_seed(seed)
    trial = Trial(seed, watch=True, **how)
    program.run(trial)
    return [finding.check for finding in trial.final.findings]


@pytest.mark.parametrize("program", [p for p in HEALTHY if p.name in QUICK], ids=lambda p: p.name)
def test_the_doctor_keeps_quiet_where_all_is_well(program):
    assert run(program) == []


@pytest.mark.slow
@pytest.mark.parametrize("program", [p for p in HEALTHY if p.name not in QUICK], ids=lambda p: p.name)
def test_the_doctor_keeps_quiet_in_all_the_others(program):
    assert run(program) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_most_faults_of_the_development_half_are_named_first():
    programs = [p for p in FAULTY if p.number % 2 and not p.data]
    right = [run(p)[:1] in [[name] for name in p.fault] for p in programs]
    assert sum(right) >= 0.9 * len(programs)


def test_there_are_as_many_programs_as_said():
    assert len(FAULTY) >= 60
    assert len(HEALTHY) >= 40
    assert len({p.name for p in FAULTY + HEALTHY}) == len(FAULTY) + len(HEALTHY)
