"""What holds for all augmentations: shape, range, determinism, options."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transforms.augment.helpers import IMAGES, KIND, MOVING, augment, images, make_spec
from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.resolved_config import resolve_config
from yisheng.core.settings import merge_settings
from yisheng.core.spec import Spec


def allowed_options(name, shape):
    """Return options that are valid for images of this shape."""
    return {"pad": min(4, min(shape[-2:]) - 1)} if name == "crop" else {}


def test_every_augmentation_is_tested():
    assert set(registry.names(KIND)) >= {*IMAGES, "mixup"}
    for entry in registry.entries(KIND):
        assert all(option.help for option in entry.options.values())
        assert "fits" in entry.meta
        assert entry.meta["requires"]


@settings(max_examples=60)
@given(
    name=st.sampled_from([*IMAGES, "mixup"]),
    shape=st.tuples(*(st.integers(1, n) for n in (5, 4, 17, 17))),
    dtype=st.sampled_from([torch.uint8, torch.float32]),
    seed=st.integers(0, 2**32),
)
def test_augmentations_keep_shape_range_and_inputs(name, shape, dtype, seed):
    x = images(*shape, dtype=dtype)
    original, y = x.clone(), torch.arange(len(x)) % 3
    augmented, targets = augment(name, x, seed, y, **allowed_options(name, shape))
    assert augmented.shape == x.shape
    assert augmented.dtype == (torch.uint8 if name in MOVING and dtype == torch.uint8 else torch.float32)
    assert float(augmented.min()) >= 0
    assert float(augmented.max()) <= 255 + 1e-3
    assert torch.equal(x, original)
    assert torch.equal(y, torch.arange(len(x)) % 3)
    if name != "mixup":
        assert torch.equal(targets, y)
    repeated, _ = augment(name, x, seed, y, **allowed_options(name, shape))
    assert torch.equal(augmented, repeated)


@pytest.mark.parametrize("name", IMAGES)
def test_bytes_and_floats_give_the_same_values(name):
    x = images()
    from_bytes, from_floats = augment(name, x)[0], augment(name, x.float())[0]
    assert torch.equal(from_bytes.float(), from_floats)
    assert from_floats.dtype == torch.float32


@pytest.mark.parametrize("name", [*IMAGES, "mixup"])
def test_another_generator_gives_another_batch(name):
    x = images(b=32)
    assert not torch.equal(augment(name, x, 0)[0].float(), augment(name, x, 1)[0].float())
    state = torch.get_rng_state()
    augment(name, x)
    assert torch.equal(state, torch.get_rng_state())  # there is no other source of randomness


@pytest.mark.parametrize("name", [*IMAGES, "mixup"])
def test_other_memory_layouts_give_the_same_values(name):
    x = images(c=3)
    plain = augment(name, x)[0]
    for layout in (x.to(memory_format=torch.channels_last), x.transpose(2, 3).contiguous().transpose(2, 3)):
        torch.testing.assert_close(augment(name, layout)[0].float(), plain.float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("flip", {"p": 0.0}),
        ("vertical_flip", {"p": 0.0}),
        ("crop", {"pad": 0}),
        ("crop", {"pad": 0, "mode": "reflect"}),
        ("erase", {"p": 0.0}),
        ("jitter", {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1)}),
    ],
)
def test_options_without_effect_keep_the_inputs(name, options):
    x = images()
    augmented, _ = augment(name, x, **options)
    assert augmented.dtype == torch.uint8
    assert torch.equal(augmented, x)


@pytest.mark.parametrize("name", IMAGES)
def test_rows_are_refused(name):
    rows = Spec("classification", (4,), classes=("a", "b"))
    entry = registry.find(KIND, name)
    assert not entry.meta["fits"](rows)
    assert entry.meta["fits"](make_spec((1, 8, 8)))
    config = merge_settings([("augment", name, "command line")]).config
    with pytest.raises(UsageError, match="images"):
        resolve_config(config, rows, 100)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("flip", {"p": 1.1}, "p must"),
        ("crop", {"pad": 10}, "smaller than the images of 10x12"),
        ("crop", {"mode": "wrap"}, "mode"),
        ("resized_crop", {"area": (0.5, 0.1)}, "area=0.1,0.5"),
        ("resized_crop", {"area": (0.0, 0.1)}, "area"),
        ("resized_crop", {"ratio": (2.0, 1.0)}, "ratio"),
        ("jitter", {"brightness": (1.5, 0.5)}, "brightness"),
        ("jitter", {"contrast": (-1.0, 0.5)}, "contrast"),
        ("jitter", {"hue": 0.6}, "hue"),
        ("erase", {"ratio": (3.0, 0.3)}, "ratio"),
        ("erase", {"fill": "pink"}, "fill"),
        ("mixup", {"alpha": 0.0}, "alpha"),
    ],
)
def test_invalid_options_are_refused(name, options, problem):
    with pytest.raises(UsageError, match=problem):
        augment(name, images(), **options)


def test_hue_needs_three_channels():
    for c in (1, 2, 4):
        with pytest.raises(UsageError, match=f"these have {c} channel"):
            augment("jitter", images(c=c), hue=0.1)
