"""The doctor finds nothing in the healthy programs of its benchmark, and most faults of the development part."""

import pytest
import torch
from benchmarks.doctor.harness import Trial, select_alarms
from benchmarks.doctor.programs import FAULTY, HEALTHY
from benchmarks.doctor.run import part_of

QUICK = {
    "plain_digits",
    "cosine_with_restarts",
    "smoothed_labels",
    "raw_targets_of_a_line",
    "frozen_backbone",
    "single_rows",
    "rare_class",
    "residual_branches_that_begin_at_zero",
    "accumulated_gradients",
    "mostly_noise",
    "closures_of_lbfgs",
    "an_optimizer_for_each_part",
    "generator_of_a_gan",
    "discriminator_of_a_gan",
    "two_losses_in_one",
    "latest_two_batches_in_a_fixed_order",
    "latest_triangular_schedule",
    "latest_two_losses_propagated_at_once",
    "latest_checkpointed_layers",
}


def diagnose(program, seed=0):
    torch.manual_seed(seed)
    trial = Trial(seed, diagnose=True)
    program.run(trial)
    return trial


def find_alarms(program):
    return select_alarms(diagnose(program).diagnosis.findings)


@pytest.mark.parametrize("program", [p for p in HEALTHY if p.name in QUICK], ids=lambda p: p.name)
def test_healthy_program_has_no_alarms(program):
    assert find_alarms(program) == set()


@pytest.mark.sampled
@pytest.mark.slow
@pytest.mark.parametrize("program", [p for p in HEALTHY if p.name not in QUICK], ids=lambda p: p.name)
def test_slow_healthy_program_has_no_alarms(program):
    assert find_alarms(program) == set()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_most_faults_of_the_development_part_are_named_first():
    programs = [p for p in FAULTY if part_of(p) == "development" and not p.dataset]
    correct = [diagnose(p).checks[:1] in [[cause] for cause in p.causes] for p in programs]
    assert sum(correct) >= 0.9 * len(programs)


def test_benchmark_has_enough_programs():
    assert len(FAULTY) >= 60
    assert len(HEALTHY) >= 40
    assert {p.name for p in HEALTHY} >= QUICK
    assert len({p.name for p in FAULTY + HEALTHY}) == len(FAULTY) + len(HEALTHY)
