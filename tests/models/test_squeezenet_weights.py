"""SqueezeNets with the real published weights, on real photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from yisheng import models
from yisheng.core.types import Spec
from yisheng.data.hub import locations

pytestmark = pytest.mark.realdata
BEE, ANT = 309, 310
"""ImageNet's numbers."""
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture
def mirror() -> Path:
    for one in locations.mirrors():
        if (path := locations.local(one)) and path.is_dir():
            return path
    pytest.skip("the mirror is no folder of this machine")


def photographs(folder: Path, n: int) -> torch.Tensor:
    """The first n, as torchvision prepares them: short side 256, the middle 224 x 224, ImageNet's statistics."""
    batch = []
    for path in sorted(folder.glob("*.jpg"))[:n]:
        with Image.open(path) as image:
            short = min(image.size)
            size = tuple(round(side * 256 / short) for side in image.size)
            resized = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
        left, top = (resized.width - 224) // 2, (resized.height - 224) // 2
        pixels = np.asarray(resized.crop((left, top, left + 224, top + 224))) / 255
        batch.append(((pixels - MEAN) / DEVIATION).transpose(2, 0, 1))
    return torch.from_numpy(np.stack(batch)).float()


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_the_published_weights_know_ants_and_bees(name, mirror):
    model = models.build(name, Spec("classification", (3, 224, 224), classes=tuple(map(str, range(1000)))))
    weights = torch.load(mirror / "weights" / f"{name}_in1k_fp16.pth", weights_only=True)
    model.load_state_dict({key: value.float() for key, value in weights.items()}, strict=True)
    model.eval()
    for animal, number in (("ants", ANT), ("bees", BEE)):
        with torch.no_grad():
            logits = model(photographs(mirror / "hymenoptera" / "val" / animal, 24))
        best = logits.argsort(1, descending=True)[:, :5]
        in_five = (best == number).any(1).float().mean()
        # By chance 0.5%; the published rate over all of ImageNet is 80%, and these images are hard ones.
        assert in_five > 0.5, f"{animal}: {in_five:.2f}"
