"""Three healthy preparations that look like a mistake: repeated rows, sorted lengths, crops instead of images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from benchmarks.doctor.classroom.rows import generator, report, rows_of, split
from benchmarks.doctor.datasets import Data, images
from benchmarks.doctor.harness import Trial, accuracy, healthy_with_bound
from benchmarks.doctor.unseen.loop import ConvNet
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler


class Moved(Dataset):
    """Images that are moved to the side by a pixel and get some noise whenever they are read."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        x = self.x[row].roll(int(torch.randint(-1, 2, ())), dims=2)
        return x + 0.1 * torch.randn_like(x), self.y[row]


class RepeatedSampler(Sampler):
    """Draws each row several times in a row, in a random order of the rows."""

    def __init__(self, rows: int, repeats: int) -> None:
        self.rows, self.repeats = rows, repeats

    def __iter__(self) -> Iterator[int]:
        return iter(torch.randperm(self.rows).repeat_interleave(self.repeats).tolist())

    def __len__(self) -> int:
        return self.rows * self.repeats


@healthy_with_bound(lambda _: 0.88)
def projects_batches_of_four_versions(t: Trial) -> float:
    """Repeated augmentation: a batch of 40 has ten images, each in four versions with the same label."""
    raw = images(t.seed)
    data = Data(raw.x[:300], raw.y[:300], raw.x_test, raw.y_test)
    net = ConvNet(norm=True)
    opt = optim.AdamW(net.parameters(), lr=5e-3, weight_decay=0.01)
    train_loader = DataLoader(Moved(data.x, data.y), batch_size=40, sampler=RepeatedSampler(300, 4))
    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(10):
            net.train()
            for x, y in train_loader:
                opt.zero_grad()
                F.cross_entropy(net(x), y, label_smoothing=0.05).backward()
                opt.step()
            report(dr, net, data)
    return accuracy(net, data)


class BagOfWords(nn.Module):
    """The mean of the vectors of the words of a text, and a perceptron; 0 is the padding."""

    def __init__(self, words: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 16, padding_idx=0)
        self.head = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, classes))

    def forward(self, tokens: Tensor) -> Tensor:
        count = (tokens > 0).sum(1, keepdim=True).clamp(min=1)
        return self.head(self.embedding(tokens).sum(1) / count)


class BatchesOfEqualLength(Sampler):
    """Yields batches of texts of similar lengths with at most `budget` tokens, the batches in a random order."""

    def __init__(self, lengths: list[int], budget: int) -> None:
        rows = sorted(range(len(lengths)), key=lengths.__getitem__)
        self.batches: list[list[int]] = [[]]
        for row in rows:
            if (len(self.batches[-1]) + 1) * lengths[row] > budget:
                self.batches.append([])
            self.batches[-1].append(row)

    def __iter__(self) -> Iterator[list[int]]:
        return iter([self.batches[i] for i in torch.randperm(len(self.batches)).tolist()])

    def __len__(self) -> int:
        return len(self.batches)


@healthy_with_bound(lambda _: 0.9)
def projects_batches_of_equal_length(t: Trial) -> float:
    """Texts are sorted by length into batches of 300 tokens: long texts are in batches of 10, short ones of 75."""
    g = generator(t.seed)
    texts, labels = [], []
    for _ in range(1400):
        length, label = int(torch.randint(4, 31, (), generator=g)), int(torch.randint(0, 3, (), generator=g))
        words = torch.randint(1, 100, (length,), generator=g)
        is_topic = torch.rand(length, generator=g) < 0.5
        texts.append(torch.where(is_topic, 100 + 20 * label + words % 20, words))
        labels.append(label)
    y = torch.tensor(labels)
    data = split(pad_sequence(texts, batch_first=True), y)
    train_rows = list(zip(texts[: len(data.y)], data.y, strict=True))

    def collate(batch: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        return pad_sequence([text for text, _ in batch], batch_first=True), torch.stack([label for _, label in batch])

    sampler = BatchesOfEqualLength([len(text) for text, _ in train_rows], 300)
    net = BagOfWords(160, 3)
    opt = optim.Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(8):
            net.train()
            for tokens, label in DataLoader(train_rows, batch_sampler=sampler, collate_fn=collate):
                opt.zero_grad()
                F.cross_entropy(net(tokens), label).backward()
                opt.step()
            report(dr, net, data)
    return accuracy(net, data)


def weave(seed: int, rows: int = 700, side: int = 20) -> Data:
    """Return noisy stripes (N, 1, side, side) in one of four directions, which is the class."""
    g = generator(seed)
    y = torch.randint(0, 4, (rows,), generator=g)
    angle = (y + 0.25 * torch.randn(rows, generator=g)) * torch.pi / 4
    width, phase = 1 + 0.4 * torch.rand(rows, generator=g), 6.2832 * torch.rand(rows, generator=g)
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    position = column * angle.cos()[:, None, None] + row * angle.sin()[:, None, None]
    x = torch.sin(width[:, None, None] * position + phase[:, None, None])
    return split((x + 0.5 * torch.randn(rows, side, side, generator=g))[:, None], y)


@healthy_with_bound(lambda _: 0.9)
def projects_crops_in_training_and_images_in_use(t: Trial) -> float:
    """The network is trained on random crops of 10 x 10, and evaluated on images of 20 x 20: it ends in a mean."""
    data = weave(t.seed)
    net = nn.Sequential(
        nn.Conv2d(1, 12, 5), nn.ReLU(), nn.Conv2d(12, 16, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
    )  # fmt: skip
    opt = optim.Adam(net.parameters(), lr=4e-3)
    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(10):
            net.train()
            for rows in torch.randperm(len(data.x)).split(32):
                row, column = torch.randint(0, 11, (2,)).tolist()
                crops = data.x[rows, :, row : row + 10, column : column + 10]
                opt.zero_grad()
                F.cross_entropy(net(crops), data.y[rows]).backward()
                opt.step()
            report(dr, net, data)
    return accuracy(net, data)
