"""What every registered model must keep, over every kind of data it fits and every way it can be built.

A new model is tested as soon as its file is there. One that cannot run under `torch.func.vmap` says so:
``@register(stackable=False)``.

Large networks, those with more than `LARGE` weights on the smallest image they take, are tested on that image
alone, and where they have a ``ratio`` with `NARROW` of their channels: these tests ask whether a network holds
together, not how good it is.
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
from yisheng.core.errors import UsageError
from yisheng.core.types import Spec

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
META = {"fits", "requires", "default_for", "stackable", "shape"}
LARGE = 300_000
NARROW = {"ratio": 16}
SIDES = (8, 32, 68)
"""Images for large networks: the first of these that a form takes."""


def values(kind: Any) -> tuple[Any, ...]:
    """The few values of an option's type, if it has few."""
    if kind is bool:
        return (False, True)
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(value for part in get_args(kind) for value in values(part)) if get_origin(kind) in UNIONS else ()


UNIONS = (typing.Union, types.UnionType)


def variants(entry: registry.Entry) -> Iterator[Mapping[str, Any]]:
    """The defaults, then each option that has few values at each of them; and dropout, where there is one."""
    yield {}
    for option in entry.options.values():
        few = (0.5,) if option.name == "dropout" else values(option.type)
        yield from ({option.name: value} for value in few if value != option.default)


def fits(entry: registry.Entry, spec: Spec) -> bool:
    return entry.meta.get("fits", lambda _: True)(spec)


@functools.cache
def smallest(name: str, **options: Any) -> tuple[Spec, str] | None:
    """The contract of the smallest images that a large form takes, and its layers; None where it is not large."""
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
        return (spec, str(model)) if sum(p.numel() for p in model.parameters()) > LARGE else None
    raise AssertionError(f"{name} {options} takes none of the sizes {SIDES}")


def name_of(spec: Spec) -> str:
    return f"{spec.task}-{spec.outputs}-{'x'.join(map(str, spec.shape))}"


def case(entry: registry.Entry, options: Mapping[str, Any], spec: Spec) -> Any:
    told = "-".join(f"{k}={v}" for k, v in options.items()) or "default"
    if is_large(entry):
        options = {**{k: v for k, v in NARROW.items() if k in entry.options}, **options}
    return pytest.param(entry, options, spec, id=f"{entry.name}-{told}-{name_of(spec)}")


def is_large(entry: registry.Entry) -> bool:
    return smallest(entry.name) is not None


def fitting() -> Iterator[Any]:
    """Every model with its defaults on every spec, and its other forms on two of them; a large one once."""
    for entry in registry.entries("models"):
        if (one := smallest(entry.name)) is not None:
            yield case(entry, {}, one[0])
            continue
        for options in variants(entry):
            for spec in SPECS if not options else (SPECS[5], SPECS[17]):
                if fits(entry, spec):
                    yield case(entry, options, spec)


def other_forms() -> Iterator[Any]:
    """Every large network in those of its forms whose layers are not those of the default."""
    for entry in filter(is_large, registry.entries("models")):
        default = smallest(entry.name)
        for options in variants(entry):
            one = smallest(entry.name, **options)
            if one is not None and one != default:
                yield case(entry, options, one[0])


EACH, OTHERS = list(fitting()), list(other_forms())
each = pytest.mark.parametrize(("entry", "options", "spec"), EACH)
every_form = pytest.mark.parametrize(("entry", "options", "spec"), [*EACH, *OTHERS])


def build(entry: registry.Entry, options: Mapping[str, Any], spec: Spec, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return entry.build(spec, **options)


def inputs(spec: Spec, n: int = 6, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, *spec.shape, generator=torch.Generator().manual_seed(seed))


def targets(spec: Spec, n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    if spec.task == "classification":
        return torch.randint(len(spec.classes), (n,), generator=generator)
    values = torch.randn(n, spec.outputs, generator=generator)
    return (values > 0).float() if spec.task == "multilabel" else values


def loss(spec: Spec, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The mean; of a network's K members ``(B, K, O)`` each has its own loss."""
    if output.ndim == 3:
        output, y = output.flatten(0, 1), y.repeat_interleave(output.shape[1], 0)
    if spec.task == "classification":
        return F.cross_entropy(output, y)
    return F.binary_cross_entropy_with_logits(output, y) if spec.task == "multilabel" else F.mse_loss(output, y)


def settled(entry: registry.Entry, options: Mapping[str, Any], spec: Spec, seed: int = 0) -> nn.Module:
    """In eval mode, with buffers (running means) that are no longer those of a new model."""
    model = build(entry, options, spec, seed)
    model(inputs(spec, seed=seed + 10))
    return model.eval()


@pytest.mark.parametrize("entry", list(registry.entries("models")), ids=lambda entry: entry.name)
def test_it_says_where_it_fits(entry: registry.Entry) -> None:
    assert set(entry.meta) <= META
    assert ("fits" in entry.meta) == ("requires" in entry.meta)
    assert any(fits(entry, spec) for spec in SPECS)
    for spec in SPECS:
        if entry.meta.get("default_for", lambda _: False)(spec):
            assert fits(entry, spec)


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_there_is_one_default_for_every_kind_of_data(spec: Spec) -> None:
    assert registry.default("models", spec).name == ("lenet" if spec.is_image else "mlp")


@every_form
def test_shape_and_gradients(entry: registry.Entry, options: Mapping[str, Any], spec: Spec) -> None:
    model = build(entry, options, spec)
    x = inputs(spec)
    before = x.clone()
    output = model(x)
    assert output.shape in ((6, spec.outputs), (6, *output.shape[1:-1], spec.outputs))
    assert output.ndim <= 3, "in training a network may have members: (B, K, O)"
    assert output.dtype == torch.float32
    assert torch.equal(x, before), "a model leaves its input alone"
    loss(spec, output, targets(spec, 6)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} is not reached by the gradient"
        assert parameter.grad.isfinite().all(), name
    assert model.eval()(inputs(spec, n=1)).shape == (1, spec.outputs)


@pytest.mark.parametrize("entry", list(filter(is_large, registry.entries("models"))), ids=lambda entry: entry.name)
@pytest.mark.parametrize("spec", [s for s in SPECS if s.is_image and s.task != "classification"], ids=name_of)
def test_large_networks_fit_every_task(entry: registry.Entry, spec: Spec) -> None:
    with torch.device("meta"):
        model = entry.build(spec)
        assert model(torch.zeros(2, *spec.shape)).shape == (2, spec.outputs)


@each
def test_the_same_seed_gives_the_same_model(entry: registry.Entry, options: Mapping[str, Any], spec: Spec) -> None:
    first, same, other = (build(entry, options, spec, seed) for seed in (3, 3, 4))
    for (name, a), b, c in zip(first.named_parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name
        constant = bool(((a == 0) | (a == 1)).all())  # norm layers, and some convolutions begin as the identity
        assert constant or not torch.equal(a, c), name
    torch.manual_seed(5)
    output = first(inputs(spec))
    torch.manual_seed(5)
    assert torch.equal(same(inputs(spec)), output)


@each
def test_saved_and_loaded_it_gives_the_same(entry: registry.Entry, options: Mapping[str, Any], spec: Spec) -> None:
    model, other = settled(entry, options, spec), build(entry, options, spec, seed=7)
    other.load_state_dict(safetensors.torch.load(safetensors.torch.save(model.state_dict())))
    with torch.no_grad():
        assert torch.equal(other.eval()(inputs(spec)), model(inputs(spec)))


@every_form
def test_prediction_is_not_random_and_rows_are_on_their_own(
    entry: registry.Entry, options: Mapping[str, Any], spec: Spec
) -> None:
    model = settled(entry, options, spec)
    x = inputs(spec)
    with torch.no_grad():
        output = model(x)
        assert torch.equal(model(x), output)
        torch.testing.assert_close(torch.cat([model(row) for row in x.split(1)]), output, rtol=1e-4, atol=1e-5)


@each
def test_it_runs_in_double_precision(entry: registry.Entry, options: Mapping[str, Any], spec: Spec) -> None:
    model = settled(entry, options, spec)
    with torch.no_grad():
        single = model(inputs(spec))
        double = model.double()(inputs(spec).double())
    torch.testing.assert_close(double.float(), single, rtol=1e-3, atol=1e-4)


@each
def test_several_run_as_one(entry: registry.Entry, options: Mapping[str, Any], spec: Spec) -> None:
    if not entry.meta.get("stackable", True):
        pytest.skip(f"{entry.name} is declared not stackable")
    # In double precision: rounding would flip a relu here and there, and with it a gradient.
    models = [settled(entry, options, spec, seed).double() for seed in range(2 if is_large(entry) else 3)]
    x, y = inputs(spec).double(), targets(spec, 6)
    y = y.double() if y.is_floating_point() else y
    parameters, buffers = stack_module_state(models)
    base = copy.deepcopy(models[0]).to("meta")

    def value(p: Any, b: Any) -> torch.Tensor:
        return loss(spec, functional_call(base, (p, b), (x,)), y)

    gradients, together = torch.vmap(torch.func.grad_and_value(value))(parameters, buffers)
    for k, model in enumerate(models):
        alone = loss(spec, model(x), y)
        torch.testing.assert_close(together[k], alone.detach())
        alone.backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(gradients[name][k], parameter.grad)
    base.train()  # batch statistics and dropout too
    assert torch.vmap(value, randomness="different")(parameters, buffers).isfinite().all()


def learn(entry: registry.Entry, options: Mapping[str, Any], spec: Spec, *, bf16: bool) -> None:
    """Train on a few rows of noise until their loss is a twentieth of what it was."""
    model = build(entry, options, spec)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # it is there to prevent what is tested here
    large = is_large(entry)
    x, y = inputs(spec, 4 if large else 8), targets(spec, 4 if large else 8)
    # At larger steps the sigmoid nets saturate for some seeds; one linear layer then takes some hundred steps.
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001 if large else 0.005)
    losses: list[float] = []
    while not losses or (losses[-1] > 0.05 * losses[0] and len(losses) < (200 if large else 1000)):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = model(x)
        assert not bf16 or output.dtype in (torch.bfloat16, torch.float32)
        value = loss(spec, output.float(), y)
        losses.append(value.item())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert losses[-1] <= 0.05 * losses[0], f"loss went from {losses[0]:.3f} to {losses[-1]:.3f} only"


@pytest.mark.parametrize(("entry", "options", "spec"), [c for c in EACH if c.values[2].shape != (1,)])
def test_it_can_learn_a_small_batch_by_heart(entry: registry.Entry, options: Mapping[str, Any], spec: Spec) -> None:
    """(One number tells few rows apart.)"""
    learn(entry, options, spec, bf16=False)


@pytest.mark.slow
@pytest.mark.parametrize(("entry", "options", "spec"), OTHERS)
def test_other_forms_can_learn_a_small_batch_by_heart(
    entry: registry.Entry, options: Mapping[str, Any], spec: Spec
) -> None:
    learn(entry, options, spec, bf16=False)


@pytest.mark.parametrize(
    ("entry", "options", "spec"),
    [c for c in EACH if "-default-classification-10-" in c.id and c.values[2].shape in ((1, 8, 8), (13,))],
)
def test_it_can_learn_in_half_precision(entry: registry.Entry, options: Mapping[str, Any], spec: Spec) -> None:
    learn(entry, options, spec, bf16=True)
