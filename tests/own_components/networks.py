"""Twenty networks as people write them, each with the inputs that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

CLASSES, ROWS = 3, 48


class ViewNet(nn.Module):
    """Flatten by view, as the first tutorial does."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(6 * 4 * 4, CLASSES)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = x.view(-1, 6 * 4 * 4)
        return self.fc1(x)


class TwoInputs(nn.Module):
    """Take an image and numbers."""

    def __init__(self):
        super().__init__()
        self.image = nn.Linear(64, 8)
        self.numbers = nn.Linear(4, 8)
        self.out = nn.Linear(16, CLASSES)

    def forward(self, image, numbers):
        return self.out(torch.cat([self.image(image.flatten(1)).relu(), self.numbers(numbers).relu()], dim=1))


class LstmNet(nn.Module):
    """Classify sequences (T, D) by the last output of an LSTM."""

    def __init__(self, hidden=8):
        super().__init__()
        self.hidden = hidden
        self.lstm = nn.LSTM(4, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, CLASSES)

    def forward(self, x):
        h0 = torch.zeros(1, x.size(0), self.hidden).to(x.device)
        c0 = torch.zeros(1, x.size(0), self.hidden).to(x.device)
        out, _ = self.lstm(x, (h0, c0))
        return self.fc(out[:, -1, :])


class GruNet(nn.Module):
    """Classify token ids by a GRU, and return its state too."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6, padding_idx=0)
        self.gru = nn.GRU(6, 8, batch_first=True)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, tokens):
        _, state = self.gru(self.embedding(tokens))
        return self.fc(state[-1]), state


class BagOfWords(nn.Module):
    """Average the embeddings of token ids with a mask."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, ids):
        mask = (ids != 0).unsqueeze(-1).float()
        vectors = self.embed(ids) * mask
        return self.fc(vectors.sum(1) / mask.sum(1).clamp(min=1))


class TiedAutoencoder(nn.Module):
    """Share a weight between two layers."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(6, 6, bias=False)
        self.decoder = nn.Linear(6, 6, bias=False)
        self.decoder.weight = self.encoder.weight
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x):
        return self.head(self.decoder(torch.tanh(self.encoder(x))))


class PositionalEncoding(nn.Module):
    """Add fixed waves that are a buffer."""

    def __init__(self, d_model, max_len=50):
        super().__init__()
        position = torch.arange(max_len).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = torch.zeros(max_len, d_model)
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe)

    def forward(self, x):
        return x + self.pe[: x.size(1)]


class TransformerNet(nn.Module):
    """Classify token ids by a transformer encoder."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.position = PositionalEncoding(8)
        layer = nn.TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=16, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, src):
        x = self.position(self.embedding(src) * math.sqrt(8))
        return self.fc(self.encoder(x).mean(dim=1))


class LazyNet(nn.Module):
    """Leave the input sizes to the first forward pass."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(CLASSES))

    def forward(self, x):
        return self.net(x)


class BuiltInForward(nn.Module):
    """Create the last layer in the first forward pass."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, 5)
        self.head = None

    def forward(self, x):
        x = self.body(x).relu()
        if self.head is None:
            self.head = nn.Linear(x.shape[1], CLASSES)
        return self.head(x)


class DictOutput(nn.Module):
    """Return a dictionary, as models of transformers do."""

    def __init__(self, in_features, num_classes):
        super().__init__()
        self.fc = nn.Linear(in_features, num_classes)

    def forward(self, x):
        logits = self.fc(x)
        return {"logits": logits, "hidden": x}


@dataclass
class Result:
    """An output with fields."""

    logits: torch.Tensor
    attention: torch.Tensor


class ObjectOutput(nn.Module):
    """Return an object with a field logits."""

    def __init__(self):
        super().__init__()
        self.score = nn.Linear(6, 1)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x):
        attention = torch.sigmoid(self.score(x))
        return Result(logits=self.fc(x * attention), attention=attention)


class CustomInit(nn.Module):
    """Initialize the weights in the constructor, by apply."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(0.1), nn.Linear(8, CLASSES))
        self.apply(self._init_weights)

    def _init_weights(self, m):
        if isinstance(m, nn.Linear):
            nn.init.kaiming_normal_(m.weight, a=0.1)
            nn.init.constant_(m.bias, 0.01)

    def forward(self, x):
        return self.net(x)


class DropoutNet(nn.Module):
    """Drop units by module and by function."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 16), nn.Linear(16, CLASSES)
        self.dropout = nn.Dropout(0.25)

    def forward(self, x):
        x = self.dropout(F.relu(self.fc1(x)))
        x = F.dropout(x, 0.1, training=self.training)
        return self.fc2(x)


class BatchNormNet(nn.Module):
    """Normalize over the batch."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.gap = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, CLASSES)

    def forward(self, x):
        x = self.gap(F.relu(self.bn(self.conv(x))))
        return self.fc(torch.flatten(x, 1))


def sequential():
    """Return a network without a class of its own."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, CLASSES))


class TimmStyle(nn.Module):
    """Split features and head, with num_classes and in_chans."""

    def __init__(self, num_classes=1000, in_chans=1, drop_rate=0.0):
        super().__init__()
        self.num_classes = num_classes
        self.stem = nn.Sequential(nn.Conv2d(in_chans, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.SiLU())
        self.blocks = nn.ModuleList([nn.Conv2d(4, 4, 3, 1, 1, groups=4) for _ in range(2)])
        self.drop_rate = drop_rate
        self.head = nn.Linear(4, num_classes) if num_classes > 0 else nn.Identity()

    def forward_features(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return x

    def forward_head(self, x, pre_logits=False):
        x = x.mean((-2, -1))
        return x if pre_logits else self.head(x)

    def forward(self, x):
        return self.forward_head(self.forward_features(x))


class ResidualMlp(nn.Module):
    """Keep its blocks in a ModuleDict and its temperature in a Parameter."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleDict({f"block{i}": nn.Linear(6, 6) for i in range(2)})
        self.norm = nn.LayerNorm(6)
        self.temperature = nn.Parameter(torch.ones(1))
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x):
        for block in self.blocks.values():
            x = x + torch.relu(block(self.norm(x)))
        return self.head(x) / self.temperature


class Conv1dNet(nn.Module):
    """Convolve signals (T, D) along the time."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 8, kernel_size=3, padding=1)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.conv(x.permute(0, 2, 1))
        return self.fc(F.max_pool1d(F.relu(x), x.size(-1)).squeeze(-1))


class NamedInputs(nn.Module):
    """Take a dictionary of inputs by keyword, as models of text do."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, input_ids, attention_mask=None):
        x = self.embedding(input_ids)
        if attention_mask is not None:
            x = x * attention_mask.unsqueeze(-1)
        return self.fc(x.mean(1))


class ScaledAttention(nn.Module):
    """Attend by torch's function, in a volume of patches."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(4, 12)
        self.fc = nn.Linear(4, CLASSES)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.fc(F.scaled_dot_product_attention(q, k, v)[:, 0])


class Volume(nn.Module):
    """Convolve volumes (C, D, H, W)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(1, 2, 3)
        self.fc = nn.Linear(2 * 8, CLASSES)

    def forward(self, x):
        return self.fc(self.conv(x).relu().reshape(x.shape[0], -1))


def targets() -> np.ndarray:
    """Return the classes of the rows."""
    return np.arange(ROWS) % CLASSES


def numbers(*shape: int) -> np.ndarray:
    """Return random inputs of a shape whose class is seen in their first values."""
    x = np.random.default_rng(0).normal(size=(ROWS, *shape)).astype(np.float32)
    x.reshape(ROWS, -1)[np.arange(ROWS), targets()] += 3
    return x


def tokens() -> np.ndarray:
    """Return ids of 20 tokens ``(N, 7)``, the first of which tells the class."""
    ids = np.random.default_rng(0).integers(0, 20, size=(ROWS, 7))
    ids[:, 0] = 1 + targets()
    return ids


NETWORKS: dict[str, tuple[Callable[..., nn.Module], Callable[[], Any]]] = {
    "view": (ViewNet, lambda: numbers(1, 8, 8)),
    "two inputs": (TwoInputs, lambda: (numbers(1, 8, 8), numbers(4))),
    "lstm": (LstmNet, lambda: numbers(5, 4)),
    "gru that returns its state": (GruNet, tokens),
    "embedding with a mask": (BagOfWords, tokens),
    "tied weights": (TiedAutoencoder, lambda: numbers(6)),
    "transformer": (TransformerNet, tokens),
    "lazy layers": (LazyNet, lambda: numbers(1, 8, 8)),
    "layer built in forward": (BuiltInForward, lambda: numbers(6)),
    "dictionary": (DictOutput, lambda: numbers(6)),
    "object": (ObjectOutput, lambda: numbers(6)),
    "own init": (CustomInit, lambda: numbers(6)),
    "dropout": (DropoutNet, lambda: numbers(6)),
    "batch norm": (BatchNormNet, lambda: numbers(1, 8, 8)),
    "sequential": (sequential, lambda: numbers(1, 8, 8)),
    "timm": (TimmStyle, lambda: numbers(1, 8, 8)),
    "residual": (ResidualMlp, lambda: numbers(6)),
    "conv1d": (Conv1dNet, lambda: numbers(5, 4)),
    "named inputs": (
        NamedInputs,
        lambda: {"input_ids": tokens(), "attention_mask": (tokens() != 0).astype(np.float32)},
    ),
    "attention": (ScaledAttention, lambda: numbers(5, 4)),
    "volume": (Volume, lambda: numbers(1, 4, 4, 4)),
}
"""Name -> the class or function, and the inputs."""
