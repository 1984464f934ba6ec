"""Project faults of rows: maps of classes, gaps, splits, transforms, points that are mirrored, and samplers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from benchmarks.doctor.classroom.rows import explained, generator, report, rows_of, split
from benchmarks.doctor.datasets import Data, generate, images
from benchmarks.doctor.harness import Trial, accuracy, faulty, mlp
from benchmarks.doctor.unseen.loop import ConvNet, Net, balanced_accuracy
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, WeightedRandomSampler, random_split

SPECIES = ("oak", "ash", "elm", "birch", "maple", "linden")


class Leaves(Dataset):
    """Measurements of leaves, and the numbers of their species."""

    def __init__(self, x: Tensor, names: list[str], species: list[str] | None = None) -> None:
        self.species = list(dict.fromkeys(names)) if species is None else species
        self.x, self.y = x, torch.tensor([self.species.index(name) for name in names])

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.x[row], self.y[row]


# Species are numbered in the order of their first row, which is another one in the validation file.
@faulty("permuted-classes", "shifted-rows", "mixed-label-maps")
def projects_species_numbered_in_each_file(t: Trial) -> float:
    """The `Dataset` calls `pd.factorize(df.species)`, for training and again for validation."""
    table = generate("blobs", t.seed, 900, 8)
    train_set = Leaves(table.x, [SPECIES[k] for k in table.y.tolist()])
    names = [SPECIES[k] for k in table.y_test.tolist()]
    valid_set = Leaves(table.x_test, names, train_set.species if t.fixed else None)
    data = Data(train_set.x, train_set.y, valid_set.x, valid_set.y)
    model = Net(8, len(SPECIES))
    optimizer = optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-3)
    train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, epochs=8, steps_per_epoch=len(train_loader))
    with t.doctor(model, optimizer, **rows_of(data)) as dr:
        for _ in range(8):
            model.train()
            for x, y in train_loader:
                optimizer.zero_grad(set_to_none=True)
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                schedule.step()
            report(dr, model, data)
    return accuracy(model, data)


# The first row with a gap shifts the targets by one row, the next one by two.
@faulty("misaligned-targets", "shuffled-targets", "no-signal", "label-noise")
def projects_gaps_dropped_from_the_inputs(t: Trial) -> float:
    """`x = features.dropna()` and `y = df.price[: len(x)]`, before the rows are split."""
    g = generator(t.seed)
    features = torch.randn(1300, 6, generator=g)
    price = features[:, 0] - 0.7 * features[:, 1] + torch.tanh(features[:, 2] * features[:, 3])
    price = (price + 0.3 * torch.randn(1300, generator=g))[:, None]
    features[torch.rand(1300, 6, generator=g) < 0.02] = torch.nan
    is_complete = ~features.isnan().any(1)
    x = features[is_complete]
    y = price[is_complete] if t.fixed else price[: len(x)]
    order = torch.randperm(len(x), generator=g)
    data = split(x[order], y[order])
    model = mlp(6, 48, 1)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    criterion = nn.MSELoss()
    with t.doctor(model, optimizer, **rows_of(data)) as dr:
        for _ in range(15):
            model.train()
            for i, (a, b) in enumerate(DataLoader(TensorDataset(data.x, data.y), batch_size=16, shuffle=True)):
                (criterion(model(a), b) / 2).backward()
                if i % 2:
                    optimizer.step()
                    optimizer.zero_grad()
            report(dr, model, data)
    matched = split(x[order], price[is_complete][order])
    return explained(model, matched)


class Digits(Dataset):
    """Images of digits, with a transform."""

    def __init__(self, x: Tensor, y: Tensor, transform: Callable[[Tensor], Tensor] | None = None) -> None:
        self.x, self.y, self.transform = x, y, transform

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        x = self.x[row]
        return (x if self.transform is None else self.transform(x)), self.y[row]


def move_and_erase(x: Tensor) -> Tensor:
    """Move an image (1, 8, 8) to the side by up to one pixel and erase a square of 4 x 4 pixels of it."""
    x = x.roll(int(torch.randint(-1, 2, ())), dims=2)
    row, column = torch.randint(0, 5, (2,)).tolist()
    x[:, row : row + 4, column : column + 4] = 0.0
    return x


# Each validation image lacks a random square, so that the accuracy is that of damaged images.
@faulty("augmented-validation", "evaluated-inputs", "random-outputs", "evaluated-scores")
def projects_validation_split_from_the_augmented_set(t: Trial) -> float:
    """`random_split(Digits(x, y, transform=train_transform), ...)`: the validation part has the same transform."""
    raw = images(t.seed)
    dataset = Digits(raw.x, raw.y, move_and_erase)
    train_set, valid_set = random_split(dataset, [1000, 257], generator=generator(t.seed))
    if t.fixed:
        valid_set = Subset(Digits(raw.x, raw.y), valid_set.indices)
    data = Data(raw.x[train_set.indices], raw.y[train_set.indices], raw.x[valid_set.indices], raw.y[valid_set.indices])
    valid_loader = DataLoader(valid_set, batch_size=64)
    net = ConvNet(norm=True)
    opt = optim.Adam(net.parameters(), lr=4e-3)
    score = 0.0
    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(8):
            net.train()
            for x, y in DataLoader(train_set, batch_size=25, shuffle=True):
                opt.zero_grad()
                F.cross_entropy(net(x), y).backward()
                opt.step()
            net.eval()
            correct, total_loss = 0, 0.0
            with torch.no_grad():
                for x, y in valid_loader:
                    out = net(x)
                    total_loss += float(F.cross_entropy(out, y, reduction="sum"))
                    correct += int((out.argmax(1) == y).sum())
            score = correct / len(valid_set)
            dr.validation(loss=total_loss / len(valid_set), score=score)
    return score


class Faces(Dataset):
    """Images with two eyes, and the coordinates (x, y) of the one on the left and of the one on the right."""

    def __init__(self, x: Tensor, points: Tensor, exchange: bool) -> None:
        self.x, self.points, self.exchange = x, points, exchange

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        x, points = self.x[row], self.points[row]
        if torch.rand(()) < 0.5:
            x = x.flip(-1)
            points = points * torch.tensor([-1.0, 1.0, -1.0, 1.0])
            if self.exchange:
                points = points[[2, 3, 0, 1]]
        return x, points


def draw_faces(seed: int, rows: int = 800, side: int = 12) -> Data:
    """Return images (N, 1, side, side) with two eyes, and their coordinates (N, 4) from -1 to 1."""
    g = generator(seed)
    center = (torch.rand(rows, 2, generator=g) - 0.5) * torch.tensor([0.8, 1.4])
    offset = torch.stack([0.25 + 0.2 * torch.rand(rows, generator=g), 0.2 * torch.randn(rows, generator=g)], 1)
    points = torch.cat([center - offset, center + offset], 1)
    grid = torch.linspace(-1, 1, side)
    x = 0.1 * torch.randn(rows, 1, side, side, generator=g)
    for eye in (points[:, :2], points[:, 2:]):
        distance = (grid - eye[:, :1])[:, None, :].square() + (grid - eye[:, 1:])[:, :, None].square()
        x[:, 0] += torch.exp(-distance / 0.04)
    return split(x, points)


# After the mirror the left eye is the right one. Its coordinates remain in the columns of the left eye.
@faulty("label-changing-augmentation", "permuted-targets", "swapped-targets", "misaligned-targets", "label-noise")
def projects_eyes_that_are_mirrored(t: Trial) -> float:
    """A horizontal flip changes the sign of x of all points, but does not exchange left and right points."""
    data = draw_faces(t.seed)
    net = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 48), nn.ReLU(), nn.Linear(48, 4),
    )  # fmt: skip
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    faces = DataLoader(Faces(data.x, data.y, t.fixed), batch_size=32, shuffle=True)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(12):
            net.train()
            for image, points in faces:
                optimizer.zero_grad()
                F.smooth_l1_loss(net(image), points).backward()
                optimizer.step()
            report(dr, net, data)
    return explained(net, data)


# The weights belong to the first rows of the file, the sampler draws rows of the shuffled subset.
@faulty("class-imbalance", "missed-classes", "misaligned-weights", "ineffective-weights", "unused-rows")
def projects_sampler_weights_before_the_subset(t: Trial) -> float:
    """`WeightedRandomSampler(weights[: len(train_set)], ...)` where `weights[train_set.indices]` was meant."""
    g = generator(t.seed)
    x = torch.randn(1600, 8, generator=g)
    risk = x[:, 0] + x[:, 1] * x[:, 2] + 0.5 * x[:, 3] + 0.6 * torch.randn(1600, generator=g)
    labels = (risk > risk.quantile(0.94)).long()
    train_set, valid_set = random_split(TensorDataset(x, labels), [1000, 600], generator=g)
    train_rows, valid_rows = list(train_set.indices), list(valid_set.indices)
    weights = (1 / labels.bincount().float())[labels]
    weights = weights[train_rows] if t.fixed else weights[: len(train_set)]
    sampler = WeightedRandomSampler(weights, num_samples=len(train_set))
    train_loader = DataLoader(train_set, batch_size=40, sampler=sampler)
    data = Data(x[train_rows], labels[train_rows], x[valid_rows], labels[valid_rows])
    model = Net(8, 2, hidden=32)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    with t.doctor(model, optimizer, **rows_of(data)) as dr:
        for _ in range(12):
            model.train()
            for a, b in train_loader:
                loss = F.cross_entropy(model(a), b)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            report(dr, model, data)
    return balanced_accuracy(model, data)


def record_patients(seed: int, patients: int, recordings: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Return columns (N, 16) that are mostly those of the patient, labels (N,), and the number (N,) of the patient."""
    g = generator(seed)
    patient_ids = torch.arange(patients).repeat_interleave(recordings)
    traits = torch.randn(patients, 16, generator=g)
    is_ill = traits[:, 0] + traits[:, 1] + 1.5 * torch.randn(patients, generator=g) > 0
    x = traits[patient_ids] + 0.25 * torch.randn(len(patient_ids), 16, generator=g)
    return x, is_ill.long()[patient_ids], patient_ids


# The recordings of one patient are nearly equal. The network recognizes the patients of validation.
@faulty("leaking-rows", "near-duplicates", "overlapping-groups", "seen-validation-rows")
def projects_patients_in_both_parts(t: Trial) -> float:
    """`train_test_split` of recordings, of which each patient has five, where a split of patients was meant."""
    g = generator(t.seed + 1)
    x, y, patient_ids = record_patients(t.seed, 160)
    group = patient_ids if t.fixed else torch.arange(len(x))
    order = torch.randperm(int(group.max()) + 1, generator=g)
    is_train = order[group] < 0.7 * len(order)
    data = Data(x[is_train], y[is_train], x[~is_train], y[~is_train])
    net = Net(16, 2, hidden=96)
    adam = optim.Adam(net.parameters(), lr=3e-3)
    epochs = 6 if t.fixed else 25  # the loss of rows that leak does not rise
    with t.doctor(net, adam, **rows_of(data)) as dr:
        for _ in range(epochs):
            net.train()
            for rows in torch.randperm(len(data.x)).split(32):
                adam.zero_grad()
                F.cross_entropy(net(data.x[rows]), data.y[rows]).backward()
                adam.step()
            report(dr, net, data)
    x, y, _ = record_patients(t.seed + 1000, 200)
    return -abs(accuracy(net, data) - accuracy(net, Data(x, y, x, y)))
