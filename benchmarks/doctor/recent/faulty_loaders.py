"""Faulty trainings whose batches are wrong: samplers, data sets, bytes, collating, crops."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, generate, images
from benchmarks.doctor.fresh.loop import TwoConvs, evaluate, report, train_epochs
from benchmarks.doctor.harness import Trial, accuracy, faulty
from benchmarks.doctor.recent.loop import Segmenter, given_rows, held_out, overlap, small_masks
from benchmarks.doctor.unseen.loop import Net, generator, loader
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import DataLoader, Dataset, TensorDataset, WeightedRandomSampler

Adam = torch.optim.Adam


@faulty("unused-rows", "fixed-batches")
def recent_sampler_with_weights_of_classes(t: Trial) -> float:
    """`WeightedRandomSampler` is given a weight for each class, not for each row: it draws the first five rows only."""
    data = generate("table", t.seed)
    net = Net(20, 5)
    optimizer = Adam(net.parameters(), lr=3e-3)
    weights = 1 / data.y.bincount().float()
    sampler = WeightedRandomSampler((weights[data.y] if t.fixed else weights).tolist(), len(data.x))
    rows = DataLoader(TensorDataset(data.x, data.y), 32, sampler=sampler)
    with t.doctor(net, optimizer, **given_rows(data)) as dr:
        for _ in range(8):
            net.train()
            for x, y in rows:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            report(dr, *evaluate(net, held_out(data)))
    return accuracy(net, data)


class Standardized(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Rows that are standardized when they are read."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, mean: torch.Tensor, std: torch.Tensor, in_place: bool) -> None:
        self.x, self.y, self.mean, self.std, self.in_place = x, y, mean, std, in_place

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        row = self.x[index]
        if self.in_place:
            row -= self.mean
            row /= self.std
        else:
            row = (row - self.mean) / self.std
        return row, self.y[index]


@faulty("drifting-inputs", "evaluated-inputs")
def recent_rows_standardized_in_place(t: Trial) -> float:
    """`row -= mean` changes the stored row: in each epoch the rows are standardized once more."""
    data = generate("table", t.seed)
    g = generator(t.seed)
    scale, offset = 1.5 + torch.rand(20, generator=g), 2 * torch.randn(20, generator=g)
    raw = data.x * scale + offset
    rows = Standardized(raw, data.y, raw.mean(0), raw.std(0), in_place=not t.fixed)
    net = Net(20, 5)
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer) as dr:
        for _ in range(8):
            net.train()
            for x, y in DataLoader(rows, 32, shuffle=True):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            report(dr, *evaluate(net, held_out(data)))
    return accuracy(net, data)


@faulty("wrapped-values", "evaluated-inputs", "label-changing-augmentation")
def recent_brightness_of_bytes_wraps_around(t: Trial) -> float:
    """Brightness is added to bytes, so that 250 + 20 becomes 14."""
    data = images(t.seed)
    x = (data.x * 255).to(torch.uint8)
    net = TwoConvs()

    def brighten(rows: torch.Tensor) -> torch.Tensor:
        amount = torch.randint(20, 120, (len(rows), 1, 1, 1))
        sums = rows.int() + amount
        return (sums.clamp(max=255) if t.fixed else sums % 256).float() / 255

    bright = Data(x.int(), data.y, (data.x_test + 0.2).clamp(max=1), data.y_test)
    train_epochs(t, net, Adam(net.parameters(), lr=4e-3), bright, epochs=8, augment=brighten, gives_rows=False)
    return accuracy(net, bright)


class Counter(nn.Module):
    """A GRU over the words of each row, without its padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.rnn, self.head = (
            nn.Embedding(20, 12, padding_idx=0),
            nn.GRU(12, 24, batch_first=True),
            nn.Linear(24, 3),
        )

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        packed = pack_padded_sequence(self.embed(x), lengths, batch_first=True)
        return self.head(self.rnn(packed)[1][-1])


@faulty("misaligned-targets", "no-signal", "label-noise", "shuffled-targets")
def recent_rows_sorted_by_length_without_their_labels(t: Trial) -> float:
    """Packing needs rows in the order of their lengths: the tokens are sorted, the labels are not."""
    g = generator(t.seed)
    x = torch.randint(1, 20, (1000, 10), generator=g)
    x = x.masked_fill(torch.arange(10) >= torch.randint(4, 11, (1000, 1), generator=g), 0)
    y = torch.stack([((x % 3 == k) & (x > 0)).sum(1) for k in range(3)], 1).argmax(1)
    net = Counter()
    optimizer = Adam(net.parameters(), lr=8e-3)

    def sort(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        lengths, order = (tokens != 0).sum(1).sort(descending=True)
        return tokens[order], lengths, order

    with t.doctor(net, optimizer) as dr:
        for _ in range(8):
            net.train()
            for tokens, labels in DataLoader(TensorDataset(x[:700], y[:700]), 25, shuffle=True):
                tokens, lengths, order = sort(tokens)
                optimizer.zero_grad()
                F.cross_entropy(net(tokens, lengths), labels[order] if t.fixed else labels).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                tokens, lengths, order = sort(x[700:])
                labels = y[700:][order] if t.fixed else y[700:]
                out = net(tokens, lengths)
            score = float((out.argmax(1) == labels).float().mean())
            dr.validation(loss=float(F.cross_entropy(out, labels)), score=score)
    return float((out.argmax(1) == y[700:][order]).float().mean())


@faulty("missing-update", "no-batches", "unused-rows")
def recent_batch_larger_than_the_rows(t: Trial) -> float:
    """`batch_size=1024` with `drop_last=True` and 560 rows: the loader is empty, and nothing is trained."""
    data = generate("binary", t.seed)
    net = Net(20, 2)
    optimizer = Adam(net.parameters(), lr=3e-3)
    rows = DataLoader(TensorDataset(data.x, data.y), 64 if t.fixed else 1024, shuffle=True, drop_last=True)
    with t.doctor(net, optimizer, **given_rows(data)) as dr:
        for _ in range(10):
            net.train()
            for x, y in rows:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            report(dr, *evaluate(net, held_out(data)))
    return accuracy(net, data)


def standardize(x: torch.Tensor) -> torch.Tensor:
    """Standardize the columns of a batch."""
    return (x - x.mean(0)) / (x.std(0, correction=0) + 1e-6)


@faulty("evaluated-inputs", "shifted-rows", "batch-statistics")
def recent_batches_standardized_by_themselves(t: Trial) -> float:
    """Each batch is standardized by its own mean, and at validation it has one row, which becomes zero."""
    data = generate("table", t.seed)
    net = Net(20, 5)
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer) as dr:
        for _ in range(6):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                F.cross_entropy(net(x if t.fixed else standardize(x)), y).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                out = torch.cat([net(x if t.fixed else standardize(x)) for x in data.x_test.split(1)])
            score = float((out.argmax(1) == data.y_test).float().mean())
            dr.validation(loss=float(F.cross_entropy(out, data.y_test)), score=score)
    return score


@faulty("misaligned-targets", "label-changing-augmentation", "no-signal")
def recent_crops_drawn_twice(t: Trial) -> float:
    """The random crop of the mask is not the one of its image: the transform draws again for each."""
    x, masks = small_masks(t.seed, 500)
    net = Segmenter()
    optimizer = Adam(net.parameters(), lr=8e-3)

    def draw() -> tuple[int, int]:
        return int(torch.randint(0, 5, (1,))), int(torch.randint(0, 5, (1,)))

    with t.doctor(net, optimizer) as dr:
        for _ in range(6):
            net.train()
            for rows, targets in DataLoader(TensorDataset(x[:400], masks[:400]), 20, shuffle=True):
                row, column = draw()
                other_row, other_column = (row, column) if t.fixed else draw()
                rows = rows[..., row : row + 8, column : column + 8]
                targets = targets[..., other_row : other_row + 8, other_column : other_column + 8]
                optimizer.zero_grad()
                F.binary_cross_entropy_with_logits(net(rows), targets).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                dr.validation(loss=float(F.binary_cross_entropy_with_logits(net(x[400:]), masks[400:])))
    return overlap(net, x[400:], masks[400:])
