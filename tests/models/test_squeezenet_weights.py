"""SqueezeNets with the published weights on photographs of ants and bees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from yisheng import models
from yisheng.core.spec import Spec
from yisheng.data.hub import locations

pytestmark = pytest.mark.realdata
BEE, ANT = 309, 310
"""ImageNet's class numbers."""
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture
def mirror() -> Path:
    for mirror in locations.get_mirrors():
        if (path := locations.to_local_path(mirror)) and path.is_dir():
            return path
    pytest.skip("the mirror is not a folder of this machine")


def load_photographs(folder: Path, n: int) -> torch.Tensor:
    """Load the first n as torchvision does: shorter side 256, center crop of 224 x 224, ImageNet's statistics."""
    batch = []
    for path in sorted(folder.glob("*.jpg"))[:n]:
        with Image.open(path) as image:
            shorter_side = min(image.size)
            size = tuple(round(side * 256 / shorter_side) for side in image.size)
            resized = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
        x, y = (resized.width - 224) // 2, (resized.height - 224) // 2
        pixels = np.asarray(resized.crop((x, y, x + 224, y + 224))) / 255
        batch.append(((pixels - MEAN) / STD).transpose(2, 0, 1))
    return torch.from_numpy(np.stack(batch)).float()


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_the_published_weights_recognize_ants_and_bees(name, mirror):
    model = models.build(name, Spec("classification", (3, 224, 224), classes=tuple(map(str, range(1000)))))
    weights = torch.load(mirror / "weights" / f"{name}_in1k_fp16.pth", weights_only=True)
    model.load_state_dict({key: value.float() for key, value in weights.items()}, strict=True)
    model.eval()
    for animal, number in (("ants", ANT), ("bees", BEE)):
        with torch.no_grad():
            logits = model(load_photographs(mirror / "hymenoptera" / "val" / animal, 24))
        top_five = logits.argsort(1, descending=True)[:, :5]
        accuracy = (top_five == number).any(1).float().mean()
        # Random guesses give 0.5%; the published top-5 accuracy on ImageNet is 80%, and these images are difficult.
        assert accuracy > 0.5, f"{animal}: {accuracy:.2f}"
