"""The temperature: it is found, it is kept only where it helps, and it is in every probability."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from yisheng.core.errors import DataError
from yisheng.core.spec import Spec
from yisheng.evaluation.outputs import Outputs
from yisheng.evaluation.predictions import apply_link
from yisheng.evaluation.temperature import choose_temperature

SPECS = {
    "one logit": Spec("classification", (2,), classes=("no", "yes"), outputs=1),
    "two": Spec("classification", (2,), classes=("no", "yes")),
    "five": Spec("classification", (2,), classes=tuple("abcde")),
    "labels": Spec("multilabel", (2,), classes=("p", "q", "r")),
}


def draw(spec, n, factor, seed=0):
    """Return outputs that are ``factor`` times the logits that the targets are drawn from."""
    generator = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(n, spec.outputs, generator=generator, dtype=torch.float64)
    p = apply_link(logits, spec)
    if spec.task == "multilabel":
        y = (torch.rand(p.shape, generator=generator, dtype=torch.float64) < p).float()
    else:
        y = torch.multinomial(p, 1, generator=generator)[:, 0]
    return Outputs(factor * logits, y, torch.arange(n), None)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("factor", [0.4, 3.0])
def test_it_finds_the_factor_of_the_logits(name, factor):
    temperature = choose_temperature(draw(SPECS[name], 4000, factor), SPECS[name])
    assert temperature.is_better
    assert temperature.value == pytest.approx(factor, rel=0.12)
    assert temperature.low < temperature.gain < temperature.high


@pytest.mark.parametrize("name", SPECS)
def test_it_is_rarely_kept_where_probabilities_are_right(name):
    decisions = [choose_temperature(draw(SPECS[name], 300, 1.0, seed), SPECS[name]).is_better for seed in range(20)]
    assert sum(decisions) <= 3


def test_shuffled_targets_gain_only_what_new_rows_gain():
    spec = SPECS["five"]
    outputs = draw(spec, 2000, 1.0)
    shuffled = Outputs(outputs.output, outputs.y[torch.randperm(2000)], outputs.index, None)
    temperature = choose_temperature(shuffled, spec)
    fresh = draw(spec, 20_000, 1.0, seed=1)
    y = fresh.y[torch.randperm(20_000)].numpy()
    scaled = Spec("classification", (2,), classes=tuple("abcde"), temperature=temperature.value)
    losses = [log_loss(y, apply_link(fresh.output, s).numpy(), labels=range(5)) for s in (spec, scaled)]
    assert losses[0] - losses[1] == pytest.approx(temperature.gain, abs=0.2)
    assert losses[1] > np.log(5) - 0.01  # never better than knowing nothing


def test_few_rows_have_none():
    assert choose_temperature(draw(SPECS["two"], 49, 3.0), SPECS["two"]) is None


@pytest.mark.parametrize("name", SPECS)
def test_probabilities_are_those_of_the_divided_logits(name):
    spec = SPECS[name]
    logits = draw(spec, 20, 1.0).output
    warm = Spec.from_json({**spec.to_json(), "temperature": 2.5})
    torch.testing.assert_close(apply_link(logits, warm), apply_link(logits / 2.5, spec))
    assert Spec.from_json(warm.to_json()) == warm


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_damaged_temperature_is_refused(value):
    with pytest.raises(DataError, match="temperature"):
        Spec.from_json({**SPECS["two"].to_json(), "temperature": value})
