"""Properties that every registered model has, on every kind of data that it fits and with every value of its options.

A new model is tested without any edit here. One that cannot run under `torch.func.vmap` is registered with
``stackable=False``.

Large networks, those with more than `MAX_SMALL_WEIGHTS` weights on the smallest image that they accept, are tested on
that image only, and with fewer channels if they have an option ``ratio``: these tests check that a network works,
not how good it is.
"""

from __future__ import annotations

import copy
import functools
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional as F

from yisheng.core import registry
from yisheng.core.entry import Entry
from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec

SHAPES = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (1,), (13,))
TEN = tuple("0123456789")
SPECS = [
    spec
    for shape in SHAPES
    for spec in (
        Spec("classification", shape, classes=("no", "yes")),
        Spec("classification", shape, classes=TEN),
        Spec("multilabel", shape, classes=("p", "q", "r")),
        Spec("regression", shape),
    )
]
META = {"fits", "requires", "default_for", "stackable", "shape", "fitted", "composite", "losses"}
NETWORKS = [entry for entry in registry.entries("models") if not entry.meta.get("fitted")]
"""Models that are trained by gradient steps; the others are tested in `tests.models.test_fitted_models`."""
MAX_SMALL_WEIGHTS = 300_000
NARROW = {"ratio": 16}
SIDES = (8, 32, 68)
"""Sides of images for large networks: the first that a network accepts."""


def list_values(kind: Any) -> tuple[Any, ...]:
    """Return the values of an option's type if it is a bool or a Literal."""
    if kind is bool:
        return (False, True)
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(value for part in get_args(kind) for value in list_values(part)) if get_origin(kind) in UNIONS else ()


UNIONS = (typing.Union, types.UnionType)


def list_options(entry: Entry) -> Iterator[Mapping[str, Any]]:
    """Yield no options, then each value of each bool or Literal option, and a dropout."""
    yield {}
    for option in entry.options.values():
        option_values = (0.5,) if option.name == "dropout" else list_values(option.type)
        yield from ({option.name: value} for value in option_values if value != option.default)


def fits(entry: Entry, spec: Spec) -> bool:
    return entry.meta.get("fits", lambda _: True)(spec)


@functools.cache
def find_smallest(name: str, **options: Any) -> tuple[Spec, str] | None:
    """Return the spec of the smallest image that a large network accepts, and its layers; None if it is not large."""
    entry = registry.find("models", name)
    if fits(entry, SPECS[-1]):
        return None
    for side in SIDES:
        spec = Spec("classification", (1, side, side), classes=TEN)
        try:
            with torch.device("meta"):
                model = entry.build(spec, **options)
        except UsageError:
            continue
        return (spec, str(model)) if sum(p.numel() for p in model.parameters()) > MAX_SMALL_WEIGHTS else None
    raise AssertionError(f"{name} {options} accepts none of the sizes {SIDES}")


def describe(spec: Spec) -> str:
    return f"{spec.task}-{spec.outputs}-{'x'.join(map(str, spec.shape))}"


def make_case(entry: Entry, options: Mapping[str, Any], spec: Spec) -> Any:
    option_text = "-".join(f"{k}={v}" for k, v in options.items()) or "default"
    if is_large(entry):
        options = {**{k: v for k, v in NARROW.items() if k in entry.options}, **options}
    return pytest.param(entry, options, spec, id=f"{entry.name}-{option_text}-{describe(spec)}")


def is_large(entry: Entry) -> bool:
    return find_smallest(entry.name) is not None


def list_default_cases() -> Iterator[Any]:
    """Yield every model with its defaults on every spec, and with other options on two specs; a large one once."""
    for entry in NETWORKS:
        if (smallest := find_smallest(entry.name)) is not None:
            yield make_case(entry, {}, smallest[0])
            continue
        for options in list_options(entry):
            for spec in SPECS if not options else (SPECS[5], SPECS[17]):
                if fits(entry, spec):
                    yield make_case(entry, options, spec)


def list_option_cases() -> Iterator[Any]:
    """Yield every large network with each option that changes its layers."""
    for entry in filter(is_large, NETWORKS):
        default = find_smallest(entry.name)
        for options in list_options(entry):
            smallest = find_smallest(entry.name, **options)
            if smallest is not None and smallest != default:
                yield make_case(entry, options, smallest[0])


DEFAULT_CASES, OPTION_CASES = list(list_default_cases()), list(list_option_cases())
default_cases = pytest.mark.parametrize(("entry", "options", "spec"), DEFAULT_CASES)
all_cases = pytest.mark.parametrize(("entry", "options", "spec"), [*DEFAULT_CASES, *OPTION_CASES])


def build(entry: Entry, options: Mapping[str, Any], spec: Spec, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return entry.build(spec, **options)


def draw_inputs(spec: Spec, n: int = 6, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, *spec.shape, generator=torch.Generator().manual_seed(seed))


def draw_targets(spec: Spec, n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    if spec.task == "classification":
        return torch.randint(len(spec.classes), (n,), generator=generator)
    values = torch.randn(n, spec.outputs, generator=generator)
    return (values > 0).float() if spec.task == "multilabel" else values


def compute_loss(spec: Spec, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the mean loss; with K members ``(B, K, O)`` it is the mean of their losses."""
    if output.ndim == 3:
        output, y = output.flatten(0, 1), y.repeat_interleave(output.shape[1], 0)
    if spec.task == "classification":
        return F.cross_entropy(output, y)
    return F.binary_cross_entropy_with_logits(output, y) if spec.task == "multilabel" else F.mse_loss(output, y)


def build_evaluated(entry: Entry, options: Mapping[str, Any], spec: Spec, seed: int = 0) -> nn.Module:
    """Build a model in evaluation mode whose buffers (running means) are not those of a new model."""
    model = build(entry, options, spec, seed)
    model(draw_inputs(spec, seed=seed + 10))
    return model.eval()


@pytest.mark.parametrize("entry", list(registry.entries("models")), ids=lambda entry: entry.name)
def test_metadata_is_complete(entry: Entry) -> None:
    assert set(entry.meta) <= META
    assert ("fits" in entry.meta) == ("requires" in entry.meta)
    assert any(fits(entry, spec) for spec in SPECS)
    for spec in SPECS:
        if entry.meta.get("default_for", lambda _: False)(spec):
            assert fits(entry, spec)


@pytest.mark.parametrize("spec", SPECS, ids=describe)
def test_every_kind_of_data_has_one_default(spec: Spec) -> None:
    assert registry.default("models", spec).name == ("lenet" if spec.is_image else "mlp")


@all_cases
def test_shape_and_gradients(entry: Entry, options: Mapping[str, Any], spec: Spec) -> None:
    model = build(entry, options, spec)
    x = draw_inputs(spec)
    original = x.clone()
    output = model(x)
    assert output.shape in ((6, spec.outputs), (6, *output.shape[1:-1], spec.outputs))
    assert output.ndim <= 3, "in training mode a network may have members: (B, K, O)"
    assert output.dtype == torch.float32
    assert torch.equal(x, original), "the model changes its input"
    compute_loss(spec, output, draw_targets(spec, 6)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert parameter.grad.isfinite().all(), name
    assert model.eval()(draw_inputs(spec, n=1)).shape == (1, spec.outputs)


@pytest.mark.parametrize("entry", list(filter(is_large, NETWORKS)), ids=lambda entry: entry.name)
@pytest.mark.parametrize("spec", [s for s in SPECS if s.is_image and s.task != "classification"], ids=describe)
def test_large_networks_fit_every_task(entry: Entry, spec: Spec) -> None:
    with torch.device("meta"):
        model = entry.build(spec)
        assert model(torch.zeros(2, *spec.shape)).shape == (2, spec.outputs)


@default_cases
def test_the_same_seed_gives_the_same_model(entry: Entry, options: Mapping[str, Any], spec: Spec) -> None:
    model, same_seed, other_seed = (build(entry, options, spec, seed) for seed in (3, 3, 4))
    for (name, a), b, c in zip(model.named_parameters(), same_seed.parameters(), other_seed.parameters(), strict=True):
        assert torch.equal(a, b), name
        constant = bool(((a == 0) | (a == 1)).all())  # norm layers, and convolutions that are the identity at first
        assert constant or not torch.equal(a, c), name
    torch.manual_seed(5)
    output = model(draw_inputs(spec))
    torch.manual_seed(5)
    assert torch.equal(same_seed(draw_inputs(spec)), output)


@default_cases
def test_a_loaded_model_has_the_same_outputs(entry: Entry, options: Mapping[str, Any], spec: Spec) -> None:
    model, loaded = build_evaluated(entry, options, spec), build(entry, options, spec, seed=7)
    loaded.load_state_dict(safetensors.torch.load(safetensors.torch.save(model.state_dict())))
    with torch.no_grad():
        assert torch.equal(loaded.eval()(draw_inputs(spec)), model(draw_inputs(spec)))


@all_cases
def test_prediction_is_deterministic_and_independent_of_other_rows(
    entry: Entry, options: Mapping[str, Any], spec: Spec
) -> None:
    model = build_evaluated(entry, options, spec)
    x = draw_inputs(spec)
    with torch.no_grad():
        output = model(x)
        assert torch.equal(model(x), output)
        torch.testing.assert_close(torch.cat([model(row) for row in x.split(1)]), output, rtol=1e-4, atol=1e-5)


@default_cases
def test_it_runs_in_double_precision(entry: Entry, options: Mapping[str, Any], spec: Spec) -> None:
    model = build_evaluated(entry, options, spec)
    with torch.no_grad():
        single = model(draw_inputs(spec))
        double = model.double()(draw_inputs(spec).double())
    torch.testing.assert_close(double.float(), single, rtol=1e-3, atol=1e-4)


@default_cases
def test_vmap_over_models_equals_single_models(entry: Entry, options: Mapping[str, Any], spec: Spec) -> None:
    if not entry.meta.get("stackable", True):
        pytest.skip(f"{entry.name} is declared not stackable")
    # In double precision, since rounding would switch some relus, and change their gradients.
    models = [build_evaluated(entry, options, spec, seed).double() for seed in range(2 if is_large(entry) else 3)]
    x, y = draw_inputs(spec).double(), draw_targets(spec, 6)
    y = y.double() if y.is_floating_point() else y
    parameters, buffers = stack_module_state(models)
    base = copy.deepcopy(models[0]).to("meta")

    def value(p: Any, b: Any) -> torch.Tensor:
        return compute_loss(spec, functional_call(base, (p, b), (x,)), y)

    gradients, losses = torch.vmap(torch.func.grad_and_value(value))(parameters, buffers)
    for k, model in enumerate(models):
        expected = compute_loss(spec, model(x), y)
        torch.testing.assert_close(losses[k], expected.detach())
        expected.backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(gradients[name][k], parameter.grad)
    base.train()  # batch statistics and dropout too
    assert torch.vmap(value, randomness="different")(parameters, buffers).isfinite().all()


def memorize(entry: Entry, options: Mapping[str, Any], spec: Spec, *, bf16: bool) -> None:
    """Train on a few random rows until their loss is a twentieth of the initial loss."""
    model = build(entry, options, spec)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # dropout prevents memorizing
    large = is_large(entry)
    x, y = draw_inputs(spec, 4 if large else 8), draw_targets(spec, 4 if large else 8)
    # With larger steps the sigmoid networks saturate for some seeds; a linear layer needs some hundred steps.
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001 if large else 0.005)
    losses: list[float] = []
    while not losses or (losses[-1] > 0.05 * losses[0] and len(losses) < (200 if large else 1000)):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = model(x)
        assert not bf16 or output.dtype in (torch.bfloat16, torch.float32)
        value = compute_loss(spec, output.float(), y)
        losses.append(value.item())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert losses[-1] <= 0.05 * losses[0], f"loss went from {losses[0]:.3f} to {losses[-1]:.3f} only"


@pytest.mark.parametrize(("entry", "options", "spec"), [c for c in DEFAULT_CASES if c.values[2].shape != (1,)])
def test_it_can_memorize_a_small_batch(entry: Entry, options: Mapping[str, Any], spec: Spec) -> None:
    """A single feature is left out, since it distinguishes few rows."""
    memorize(entry, options, spec, bf16=False)


@pytest.mark.slow
@pytest.mark.parametrize(("entry", "options", "spec"), OPTION_CASES)
def test_networks_with_other_options_can_memorize_a_small_batch(
    entry: Entry, options: Mapping[str, Any], spec: Spec
) -> None:
    memorize(entry, options, spec, bf16=False)


@pytest.mark.parametrize(
    ("entry", "options", "spec"),
    [c for c in DEFAULT_CASES if "-default-classification-10-" in c.id and c.values[2].shape in ((1, 8, 8), (13,))],
)
def test_it_can_learn_in_bfloat16(entry: Entry, options: Mapping[str, Any], spec: Spec) -> None:
    memorize(entry, options, spec, bf16=True)
