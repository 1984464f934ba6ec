"""Numbers of categories that 16 bits round before an embedding looks them up."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.diagnosis.doctor import doctor

ROWS = 600


class Products(nn.Module):
    """Look up the first column of a table, or another argument, after a cast in the network."""

    def __init__(self, size, dtype=torch.float32):
        super().__init__()
        self.embedding, self.dtype = nn.Embedding(size, 4), dtype
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x, ids=None):
        x = x.to(self.dtype)
        ids = x[:, 0].long() if ids is None else ids
        return self.layers(torch.cat([self.embedding(ids), x[:, -2:].float()], 1))


def train(net, *inputs):
    """Return the cause that the doctor finds in 16 bits; None if it finds nothing."""
    torch.manual_seed(0)
    y, optimizer = torch.randn(ROWS, 1), torch.optim.Adam(net.parameters())
    with doctor(net, optimizer) as observer:
        for step in range(20):
            rows = torch.arange(32 * step, 32 * step + 32) % ROWS
            optimizer.zero_grad()
            F.mse_loss(net(*(part[rows] for part in inputs)), y[rows]).backward()
            optimizer.step()
    return next((finding.evidence for finding in observer.findings if finding.check == "half-precision"), None)


def make_table(low, high):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(low, high, (ROWS,), generator=generator)
    return ids, torch.cat([ids[:, None].float(), torch.randn(ROWS, 2, generator=generator)], 1)


@pytest.mark.parametrize(
    ("dtype", "low", "high", "step"), [(torch.bfloat16, 600, 990, 4), (torch.float16, 2100, 4000, 2)]
)
def test_table_in_16_bits(dtype, low, high, step):
    ids, table = make_table(low, high)
    evidence = train(Products(high + 16), table.to(dtype))
    assert evidence["embedding"] == "embedding"
    assert evidence["step"] == step
    assert train(Products(high + 16), table) is None
    assert train(Products(high + 16), table[:, 1:].to(dtype), ids) is None  # numbers of their own


def test_cast_within_the_network_and_before_the_loop():
    ids, table = make_table(0, 900)
    assert train(Products(1000, torch.bfloat16), table) is not None
    assert train(Products(1000), table[:, 1:], ids.to(torch.bfloat16).long()) is not None
    assert train(Products(1000), table[:, 1:], ids) is None


def test_numbers_that_16_bits_can_hold():
    ids, table = make_table(0, 200)
    assert train(Products(1000), table.to(torch.bfloat16)) is None
    assert train(Products(1000), table[:, 1:], 4 * ids) is None  # every fourth number, small ones too
