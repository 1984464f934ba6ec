"""Every loss against its equation in float64, its gradient, and the model axis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from yisheng.core import registry
from yisheng.core.errors import DataError, UsageError
from yisheng.core.types import Spec

THREE = Spec("classification", (4,), classes=("a", "b", "c"))
TWO = Spec("classification", (4,), classes=("no", "yes"))
LABELS = Spec("multilabel", (4,), classes=("p", "q", "r"))
NUMBER = Spec("regression", (4,))
PAIR = Spec("regression", (4,), outputs=2)
SPECS = (THREE, TWO, LABELS, NUMBER, PAIR)
FITTING = [
    pytest.param(name, spec, id=f"{name}-{spec.task}-{max(len(spec.classes), spec.outputs)}")
    for name in registry.names("losses")
    for spec in SPECS
    if registry.find("losses", name).meta["fits"](spec)
]


def units(name: str, spec: Spec) -> int:
    return registry.find("losses", name).meta.get("outputs", lambda spec: spec.outputs)(spec)


def targets(spec: Spec, n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    if spec.task == "classification":
        return torch.randint(len(spec.classes), (n,), generator=generator)
    if spec.task == "multilabel":
        return (torch.rand(n, len(spec.classes), generator=generator) < 0.4).double()
    return torch.randn(n, spec.outputs, generator=generator, dtype=torch.float64)


def outputs(shape: tuple[int, ...], seed: int = 1) -> torch.Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(name: str, spec: Spec, y: torch.Tensor, **options: object) -> Callable[..., torch.Tensor]:
    return registry.find("losses", name).build(spec, y.numpy(), **options)


def by_hand(name: str, spec: Spec, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The equation of each loss at its default options, written out."""
    error = output - y if spec.task == "regression" else torch.zeros(1)
    if name == "mse":
        return (error * error).sum(1) / error.shape[1]
    if name == "half-mse":
        return (error * error).sum(1) / error.shape[1] / 2
    if name == "l1":
        return error.abs().sum(1) / error.shape[1]
    if name == "huber":
        return torch.where(error.abs() <= 1, error**2 / 2, error.abs() - 0.5).sum(1) / error.shape[1]
    if name == "cross-entropy":
        return output.exp().sum(1).log() - output[torch.arange(len(y)), y]
    p = 1 / (1 + (-output).exp())
    yes = y.double().reshape(len(y), -1)
    return -(yes * p.log() + (1 - yes) * (1 - p).log()).mean(1)


@pytest.mark.parametrize(("name", "spec"), FITTING)
def test_value_and_gradient_equal_the_equation(name: str, spec: Spec) -> None:
    y = targets(spec, 12)
    ours, theirs = (outputs((12, units(name, spec))).requires_grad_() for _ in range(2))
    value = make(name, spec, y)(ours, y)
    expected = by_hand(name, spec, theirs, y)
    assert value.shape == (12,)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    value.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("name", "spec"), FITTING)
@pytest.mark.parametrize("same_rows", [True, False])
def test_many_models_at_once(name: str, spec: Spec, same_rows: bool) -> None:
    """Over a leading model axis, value and gradient equal one model after the other."""
    models, rows = 3, 7
    options: dict[str, object] = {}
    if name == "cross-entropy":
        options = {"smoothing": 0.1, "class_weight": "balanced"}
    if name == "binary-cross-entropy":
        options = {"smoothing": 0.1, "pos_weight": "balanced"}
    y = torch.stack([targets(spec, rows, seed=0 if same_rows else k) for k in range(models)])
    loss = make(name, spec, y.flatten(0, 1), **options)
    output = outputs((models, rows, units(name, spec)))
    axes = (0, None if same_rows else 0)
    given = y[0] if same_rows else y

    def total(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return loss(output, y).sum()

    values = torch.func.vmap(loss, in_dims=axes)(output, given)
    slopes = torch.func.vmap(torch.func.grad(total), in_dims=axes)(output, given)
    for k in range(models):
        torch.testing.assert_close(values[k], loss(output[k], y[k]), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(slopes[k], torch.func.grad(total)(output[k], y[k]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "spec"), FITTING)
def test_shapes_are_never_stretched(name: str, spec: Spec) -> None:
    y = targets(spec, 4)
    loss = make(name, spec, y)
    output = outputs((4, units(name, spec)))
    wrong = [(output[:, 0], y), (output[None], y), (output[:3], y), (output, y[:1])]
    if spec.task == "classification":
        wrong += [(output, y[:, None]), (output.repeat(1, 2), torch.zeros(4, 7))]
    else:
        wrong += [(output, y[:, 0]), (output, y.repeat(1, 2))]
    for bad_output, bad_y in wrong:
        if bad_output.shape == output.shape and bad_y.shape == y.shape:
            continue
        with pytest.raises(DataError, match="got "):
            loss(bad_output, bad_y)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.task}-{max(len(spec.classes), spec.outputs)}")
def test_one_default_for_every_task(spec: Spec) -> None:
    expected = "mse" if spec.task == "regression" else "cross-entropy" if spec is THREE else "binary-cross-entropy"
    entry = registry.default("losses", spec)
    assert entry.name == expected
    assert entry.meta["fits"](spec)
    assert units(entry.name, spec) == {THREE: 3, TWO: 1, LABELS: 3, NUMBER: 1, PAIR: 2}[spec]


@pytest.mark.parametrize("name", registry.names("losses"))
def test_every_loss_says_where_it_fits(name: str) -> None:
    entry = registry.find("losses", name)
    assert entry.meta["requires"]
    assert all(option.help for option in entry.options.values())
    assert any(entry.meta["fits"](spec) for spec in SPECS)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 1.0)])
def test_cross_entropy_with_smoothing_and_weights(smoothing: float, weights: tuple[float, ...] | None) -> None:
    y, output = targets(THREE, 9), outputs((9, 3))
    w = torch.tensor(weights or (1.0, 1.0, 1.0), dtype=torch.float64)
    loss = make("cross-entropy", THREE, y, smoothing=smoothing, class_weight=weights)
    soft = F.one_hot(y, 3).double() * (1 - smoothing) + smoothing / 3
    expected = -(soft * w * torch.log_softmax(output, 1)).sum(1)
    torch.testing.assert_close(loss(output, y), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(loss(output, F.one_hot(y, 3).double()), expected, rtol=1e-12, atol=1e-12)


def test_cross_entropy_takes_soft_labels() -> None:
    y, output = torch.softmax(outputs((9, 3), seed=5), 1), outputs((9, 3))
    value = make("cross-entropy", THREE, torch.zeros(9, dtype=torch.int64))(output, y)
    torch.testing.assert_close(value, -(y * torch.log_softmax(output, 1)).sum(1), rtol=1e-12, atol=1e-12)


def test_balanced_class_weights_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    y = torch.tensor([0, 0, 0, 1, 2, 2, 0])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=y.numpy())
    value = make("cross-entropy", THREE, y, class_weight="balanced")(torch.zeros(7, 3, dtype=torch.float64), y)
    np.testing.assert_allclose(value.numpy(), expected[y.numpy()] * np.log(3))
    assert value.mean().item() == pytest.approx(np.log(3))


def test_balanced_weights_of_an_absent_class_stay_finite() -> None:
    y = torch.tensor([0, 0, 1])
    loss = make("cross-entropy", THREE, y, class_weight="balanced")
    assert torch.isfinite(loss(torch.zeros(1, 3), torch.tensor([2]))).all()
    binary = make("binary-cross-entropy", TWO, torch.zeros(5, dtype=torch.int64), pos_weight="balanced")
    assert torch.isfinite(binary(torch.zeros(1, 1), torch.tensor([1]))).all()


def test_one_weight_for_each_class() -> None:
    with pytest.raises(UsageError, match="each of the 3 classes, got 2"):
        make("cross-entropy", THREE, targets(THREE, 5), class_weight=(1.0, 2.0))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_one_logit_equals_two(smoothing: float) -> None:
    """Binary cross-entropy on the difference of two logits is their cross-entropy, smoothed or not."""
    y, logits = targets(TWO, 20), outputs((20, 2))
    two = make("cross-entropy", TWO, y, smoothing=smoothing)(logits, y)
    loss = make("binary-cross-entropy", TWO, y, smoothing=smoothing)
    one = loss(logits[:, 1:] - logits[:, :1], y)
    torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)
    soft = F.one_hot(y, 2).double()
    torch.testing.assert_close(loss(logits[:, 1:] - logits[:, :1], soft), two, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spec", [TWO, LABELS], ids=["two-classes", "labels"])
def test_balanced_pos_weight_is_the_ratio_of_no_to_yes(spec: Spec) -> None:
    y = targets(spec, 30)
    yes = y.double().reshape(30, -1)
    ratio = (1 - yes).sum(0) / yes.sum(0)
    output = outputs((30, yes.shape[1]))
    expected = F.binary_cross_entropy_with_logits(output, yes, pos_weight=ratio, reduction="none").mean(1)
    value = make("binary-cross-entropy", spec, y, pos_weight="balanced")(output, y)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    tripled = make("binary-cross-entropy", spec, y, pos_weight=3.0)(output, y)
    third = F.binary_cross_entropy_with_logits(output, yes, pos_weight=torch.tensor(3.0), reduction="none").mean(1)
    torch.testing.assert_close(tripled, third, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("delta", [0.1, 1.0, 5.0])
def test_huber_joins_square_and_line(delta: float) -> None:
    output, y = outputs((50, 2)), targets(PAIR, 50)
    error = (output - y).abs()
    expected = torch.where(error <= delta, error**2 / 2, delta * (error - delta / 2)).mean(1)
    torch.testing.assert_close(make("huber", PAIR, y, delta=delta)(output, y), expected, rtol=1e-12, atol=1e-12)


def test_weights_made_during_evaluation_serve_training() -> None:
    """An inference tensor cannot be kept for backward; the weights must not be one."""
    y = targets(THREE, 6)
    for name, spec, options in [
        ("cross-entropy", THREE, {"class_weight": "balanced"}),
        ("binary-cross-entropy", TWO, {"pos_weight": 2.0}),
    ]:
        loss = make(name, spec, y.clamp(max=len(spec.classes) - 1), **options)
        output = torch.zeros(6, units(name, spec))
        with torch.inference_mode():
            loss(output, y.clamp(max=len(spec.classes) - 1))
        trained = output.requires_grad_()
        loss(trained, y.clamp(max=len(spec.classes) - 1)).sum().backward()
        assert trained.grad is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("name", "spec"), FITTING)
def test_on_a_gpu(name: str, spec: Spec) -> None:
    y, output = targets(spec, 12), outputs((12, units(name, spec)))
    options = {"cross-entropy": {"class_weight": "balanced"}, "binary-cross-entropy": {"pos_weight": "balanced"}}
    loss = make(name, spec, y, **options.get(name, {}))
    torch.testing.assert_close(loss(output.cuda(), y.cuda()).cpu(), loss(output, y), rtol=1e-10, atol=1e-10)
