"""Seeds derived from one seed, and seeding of the global generators."""

import random

import numpy as np
import torch

from yisheng.core.seeds import derive, generator, seed_everything


def test_seeds_differ_by_use_and_fit_63_bits():
    seeds = [derive(s, name, e) for s in range(20) for name in ("order", "init") for e in range(20)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= s < 2**63 for s in seeds)
    assert derive(1, "a", "b") != derive(1, "ab") != derive(1, "a\x1f", "b")


def test_the_same_seed_gives_the_same_numbers_in_all_generators():
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    seed_everything(7)
    numbers = draw()
    seed_everything(7)
    assert draw() == numbers
    seed_everything(8)
    assert all(a != b for a, b in zip(draw(), numbers, strict=True))


def test_derived_seeds_are_the_same_on_every_machine():
    assert derive(0, "order", 0) == 1370560536841482319
    assert torch.equal(torch.randperm(9, generator=generator(3, "x")), torch.randperm(9, generator=generator(3, "x")))
