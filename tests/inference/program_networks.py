"""Networks as people write them, each with an example of its inputs; see `test_program.py`."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

ROWS = 4
"""Rows of an example batch."""


class ViewNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3)
        self.conv2 = nn.Conv2d(6, 8, 3)
        self.fc = nn.Linear(8 * 4, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, 2, 1) if x.shape[-1] > 3 else x
        x = F.adaptive_avg_pool2d(x, 2)
        return self.fc(x.view(-1, 32))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 8), nn.Linear(3, 8)
        self.mix = nn.Bilinear(8, 8, 4)

    def forward(self, a, b):
        return self.mix(torch.tanh(self.left(a)), torch.sigmoid(self.right(b)))


class DictInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.fc = nn.EmbeddingBag(10, 4), nn.Linear(7, 3)

    def forward(self, ids, values):
        return self.fc(torch.cat([self.embed(ids), values], dim=1))


class LSTMNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 7, num_layers=2, batch_first=True, dropout=0.3)
        self.fc = nn.Linear(7, 3)

    def forward(self, x):
        h0 = torch.zeros(2, x.size(0), 7, device=x.device)
        c0 = torch.zeros(2, x.size(0), 7).to(x.device)
        out, _ = self.lstm(x, (h0, c0))
        return self.fc(out[:, -1])


class GRUNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(5, 6, bidirectional=True, batch_first=True)
        self.norm, self.fc = nn.LayerNorm(12), nn.Linear(12, 3)

    def forward(self, x):
        out, h = self.gru(x)
        return self.fc(self.norm(out.mean(1)) + torch.cat([h[0], h[1]], -1))


class RNNCellNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.fc = nn.RNNCell(5, 6), nn.Linear(6, 2)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], 6)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return self.fc(h)


class TokenNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8, padding_idx=0)
        self.fc = nn.Linear(8, 4)

    def forward(self, ids):
        mask = (ids != 0).unsqueeze(-1)
        total = self.embed(ids).masked_fill(~mask, 0.0).sum(1)
        return self.fc(total / mask.sum(1).clamp(min=1))


class TiedLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(12, 6)
        self.position = nn.Parameter(torch.randn(7, 6) * 0.1)
        self.decoder = nn.Linear(6, 12, bias=False)
        self.decoder.weight = self.embed.weight

    def forward(self, ids):
        x = self.embed(ids) * math.sqrt(6) + self.position[: ids.size(1)]
        return self.decoder(torch.relu(x)).mean(1)


class TransformerNet(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.embed = nn.Embedding(20, 8)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.fc = nn.Linear(8, 4)

    def forward(self, ids):
        return self.fc(self.encoder(self.embed(ids)).mean(dim=1))


class FullTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.transformer = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(x.size(1))
        return self.fc(self.transformer(x, x, tgt_mask=mask)[:, -1])


class LazyNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.LazyConv2d(4, 3), nn.LazyLinear(5)

    def forward(self, x):
        return self.fc(F.gelu(self.conv(x)).flatten(1))


class BufferNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5, -1.0, 2.0]))
        self.register_buffer("basis", torch.randn(3, 4), persistent=False)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.offsets = torch.arange(4.0)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        self.calls += 1
        return self.fc((x - self.mean) @ self.basis + self.offsets)


class DictOutput(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.head, self.aux = nn.Linear(4, 8), nn.Linear(8, 3), nn.Linear(8, 1)

    def forward(self, x):
        h = F.leaky_relu(self.trunk(x))
        return {"logits": self.head(h), "hidden": [h, (self.aux(h), None)], "scale": 2.0}


class BatchNormNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(0.5))
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        return self.fc(F.dropout(self.net(x), 0.3, training=self.training))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(x).reshape(B, T, 3, 2, D // 2).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(x.transpose(1, 2).reshape(B, T, D)).amax(1)


class MaskedAttention(nn.Module):
    """Self-attention of minGPT: a causal mask, masked_fill with minus infinity, softmax."""

    def __init__(self):
        super().__init__()
        self.key, self.query, self.value = (nn.Linear(8, 8) for _ in range(3))
        self.register_buffer("mask", torch.tril(torch.ones(10, 10)).view(1, 10, 10))

    def forward(self, x):
        _, T, C = x.size()
        weights = self.query(x) @ self.key(x).transpose(-2, -1) * (1.0 / math.sqrt(C))
        weights = weights.masked_fill(self.mask[:, :T, :T] == 0, float("-inf"))
        return (F.softmax(weights, dim=-1) @ self.value(x))[:, -1, :]


class ConvTransposeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.norm = nn.Conv2d(1, 8, 4, stride=2, padding=1), nn.GroupNorm(2, 8)
        self.up, self.fc = nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1), nn.Linear(64, 3)

    def forward(self, x):
        up = self.up(F.silu(self.norm(self.down(x))))
        up = F.interpolate(up, scale_factor=0.5, mode="bilinear", align_corners=False)
        up = F.interpolate(F.pad(up, (1, 1, 1, 1), mode="reflect"), size=(8, 8), mode="nearest")
        return self.fc((up + x).flatten(1))


class EinsumNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(3, 4, 5) * 0.3)

    def forward(self, x):
        y = torch.einsum("btd,tdo->bo", x, self.w)
        return torch.where(y > 0, y, y.exp() - 1) + torch.logsumexp(y, 1, keepdim=True)


class DropPath(nn.Module):
    def forward(self, x):
        if not self.training:
            return x
        return x * (torch.rand(x.shape[0], *(1,) * (x.ndim - 1)) > 0.1)


class TimmBlock(nn.Module):
    """A block of ConvNeXt as timm writes it: layer norm over channels, layer scale, drop path."""

    def __init__(self, dim):
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm, self.mlp = (
            nn.LayerNorm(dim, eps=1e-6),
            nn.Sequential(nn.Linear(dim, 8), nn.GELU(), nn.Linear(8, dim)),
        )
        self.gamma, self.drop_path = nn.Parameter(torch.full((dim,), 0.5)), DropPath()

    def forward(self, x):
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = self.mlp(self.norm(y)).mul(self.gamma).permute(0, 3, 1, 2)
        return x + self.drop_path(y)


class TimmNet(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.num_features = 6
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 2, stride=2), nn.BatchNorm2d(6))
        self.stages = nn.Sequential(TimmBlock(6), TimmBlock(6))
        self.head = nn.Linear(6, num_classes)

    def forward_features(self, x):
        return self.stages(self.stem(x))

    def forward_head(self, x, pre_logits=False):
        x = x.mean([-2, -1])
        return x if pre_logits else self.head(x)

    def forward(self, x):
        return self.forward_head(self.forward_features(x))


class ViTNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(1, 8, 4, stride=4)
        self.token, self.position = nn.Parameter(torch.zeros(1, 1, 8)), nn.Parameter(torch.randn(1, 5, 8) * 0.02)
        self.attention, self.norm = nn.MultiheadAttention(8, 2, batch_first=True), nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        y, _ = self.attention(self.norm(x), self.norm(x), self.norm(x))
        return self.head((x + y)[:, 0])


class InPlaceNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        x += 1
        x[:, 0] = 0
        x[x > 2] *= 0.5
        y = torch.zeros(len(x), 4)
        y[:, 1:3] = self.fc(x)[:, :2].clamp_(min=0)
        return y + self.fc(x)


class NoGradNet(nn.Module):
    """A frozen trunk under `torch.no_grad`, volumes as inputs."""

    def __init__(self):
        super().__init__()
        self.trunk, self.fc = nn.Conv3d(1, 3, 2), nn.Linear(3, 2)

    def forward(self, x):
        with torch.no_grad():
            x = self.trunk(x).mean((2, 3, 4))
        return self.fc(x)


class FFTNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5, 2)

    def forward(self, x):
        return self.fc(torch.log1p(torch.fft.rfft(x).abs()))


class SizesNet(nn.Module):
    """Arithmetic with sizes, as sequence models write it."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        B, T, D = x.shape
        flat = x.reshape(B * T, D)
        out = self.fc(flat).view(B, T, -1)
        order = torch.arange(B).float() / B
        last = out.gather(1, torch.full((B, 1, 3), T - 1))
        return last.squeeze(1) + 0.0 * order[:, None] + out.topk(2, dim=1).values.sum(1) / (B * T / B)


class NumpyNet(nn.Module):
    """Computes with NumPy in between."""

    def forward(self, x):
        return torch.from_numpy(np.tanh(x.detach().numpy())) * 2


def sequential():
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 4, 3, padding="same"),
        nn.PReLU(),
        nn.AvgPool2d(2),
        nn.InstanceNorm2d(4),
        nn.Flatten(),
        nn.LazyLinear(6),
        nn.Hardswish(),
        nn.Linear(6, 3),
        nn.LogSoftmax(dim=1),
    )


def images(rows=ROWS):
    return (torch.randn(rows, 1, 8, 8),)


def sequences(rows=ROWS):
    return (torch.randn(rows, 6, 5),)


def ids(rows=ROWS):
    return (torch.randint(0, 12, (rows, 7)),)


NETWORKS = {
    "view": (ViewNet, images),
    "two inputs": (TwoInputs, lambda rows=ROWS: (torch.randn(rows, 6), torch.randn(rows, 3))),
    "dict inputs": (
        DictInputs,
        lambda rows=ROWS: {"values": torch.randn(rows, 3), "ids": torch.randint(0, 10, (rows, 4))},
    ),
    "lstm": (LSTMNet, sequences),
    "gru": (GRUNet, sequences),
    "rnn cell": (RNNCellNet, sequences),
    "tokens": (TokenNet, ids),
    "tied weights": (TiedLM, ids),
    "transformer encoder": (TransformerNet, ids),
    "transformer": (FullTransformer, lambda rows=ROWS: (torch.randn(rows, 6, 8),)),
    "lazy": (LazyNet, images),
    "buffers": (BufferNet, lambda rows=ROWS: (torch.randn(rows, 3),)),
    "dict output": (DictOutput, lambda rows=ROWS: (torch.randn(rows, 4),)),
    "batch norm": (BatchNormNet, lambda rows=ROWS: (torch.randn(rows, 4),)),
    "attention": (Attention, lambda rows=ROWS: (torch.randn(rows, 6, 8),)),
    "masked attention": (MaskedAttention, lambda rows=ROWS: (torch.randn(rows, 6, 8),)),
    "transposed convolution": (ConvTransposeNet, images),
    "einsum": (EinsumNet, lambda rows=ROWS: (torch.randn(rows, 3, 4),)),
    "timm": (TimmNet, images),
    "vit": (ViTNet, images),
    "in place": (InPlaceNet, lambda rows=ROWS: (torch.randn(rows, 6),)),
    "no grad": (NoGradNet, lambda rows=ROWS: (torch.randn(rows, 1, 4, 4, 4),)),
    "fft": (FFTNet, lambda rows=ROWS: (torch.randn(rows, 8),)),
    "sizes": (SizesNet, lambda rows=ROWS: (torch.randn(rows, 5, 4),)),
    "numpy": (NumpyNet, lambda rows=ROWS: (torch.randn(rows, 5),)),
    "sequential": (sequential, lambda rows=ROWS: (torch.randn(rows, 64),)),
}
"""Each network by what is special about it, with a function that draws its inputs: a tuple, or a dict by name."""


def build(name):
    """Return a network in eval mode with random weights and statistics, and a function that draws its inputs."""
    torch.manual_seed(0)
    make, draw = NETWORKS[name]
    network = make()
    network.train()
    for _ in range(2):  # moves running statistics, and builds lazy layers
        call(network, draw())
    return network.eval(), draw


def call(network, inputs):
    """Call a network with a tuple or a dict of inputs; the inputs stay as they are."""
    if isinstance(inputs, dict):
        return network(**{key: value.clone() for key, value in inputs.items()})
    return network(*(value.clone() for value in inputs))
