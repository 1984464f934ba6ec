"""Classroom faults of tables: the order of columns, scalers, rolling means, gaps, units, and maps of labels."""

from __future__ import annotations

import math

import torch
from benchmarks.doctor.classroom.rows import explained, generator, report, rows_of, split
from benchmarks.doctor.datasets import Data, generate
from benchmarks.doctor.harness import Trial, accuracy, faulty, mlp
from benchmarks.doctor.unseen.loop import Net, fit
from torch import Tensor, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

COLUMNS = ("size", "rooms", "floor", "balcony", "distance", "age")


# The features of the validation rows are `sorted(columns)`; those of training are in the order of the file.
@faulty("permuted-columns", "shifted-rows", "evaluated-inputs")
def classroom_validation_columns_by_alphabet(t: Trial) -> float:
    """`valid[sorted(features)]` next to `train[features]`: the network reads the age where the size was."""
    g = generator(t.seed)
    table = {
        "size": torch.randn(900, generator=g),
        "rooms": torch.randn(900, generator=g).round(),
        "floor": torch.rand(900, generator=g).log().neg() - 1,
        "balcony": (torch.rand(900, generator=g) < 0.4).float() * 2 - 0.8,
        "distance": torch.rand(900, generator=g) * 3.4 - 1.7,
        "age": torch.randn(900, generator=g) * 1.1,
    }
    price = table["size"] + 0.4 * table["rooms"] * table["balcony"] - 0.7 * table["distance"].tanh()
    price = (price - 0.5 * table["age"] + 0.1 * torch.randn(900, generator=g))[:, None]
    validation_columns = COLUMNS if t.fixed else sorted(COLUMNS)
    x = torch.stack([table[name][:600] for name in COLUMNS], 1)
    x_test = torch.stack([table[name][600:] for name in validation_columns], 1)
    data = Data(x, price[:600], x_test, price[600:])
    net = Net(6, 1)
    fit(t, net, optim.Adam(net.parameters(), lr=3e-3), data, F.mse_loss, epochs=20)
    return explained(net, data)


# The second call forgets that the later rows are warmer: their mean becomes zero, too.
@faulty("separate-scaling", "evaluated-inputs", "shifted-rows")
def classroom_scaler_fitted_to_each_part(t: Trial) -> float:
    """`scaler.fit_transform(x_test)` where `scaler.transform(x_test)` was meant, and the parts are of two seasons."""
    g = generator(t.seed)
    spring = 12 + 5 * torch.randn(700, 5, generator=g)
    summer = 15 + 4 * torch.randn(300, 5, generator=g)
    weight = torch.tensor([1.0, -0.4, 0.8, 0.5, 0.6])

    def demand(x: Tensor) -> Tensor:
        noise = 0.3 * torch.randn(len(x), 1, generator=g)
        return ((x - 14) / 5 @ weight)[:, None] + torch.tanh((x[:, :1] - 14) / 3) + noise

    y, y_test = demand(spring), demand(summer)
    x = (spring - spring.mean(0)) / spring.std(0)
    scaled_by = spring if t.fixed else summer
    data = Data(x, y, (summer - scaled_by.mean(0)) / scaled_by.std(0), y_test)
    net = mlp(5, 48, 48, 1)
    fit(t, net, optim.Adam(net.parameters(), lr=2e-3), data, F.mse_loss, epochs=15)
    return explained(net, data)


def daily_sales(seed: int, days: int = 1000) -> Tensor:
    """Return standardized sales that depend on the two days before and on the day of the week."""
    g = generator(seed)
    series = [torch.zeros(()), torch.zeros(())]
    for day in range(days):
        week = 0.9 * math.sin(2 * math.pi * day / 7)
        step = 0.5 * series[-1] + 0.3 * torch.tanh(2 * series[-2]) + week + 0.5 * torch.randn((), generator=g)
        series.append(step)
    values = torch.stack(series[2:])
    return (values - values.mean()) / values.std()


# The mean of three days has the day that is to be predicted among them, which is not over yet in use.
@faulty("target-in-inputs", "leaking-column")
def classroom_rolling_mean_with_today(t: Trial) -> float:
    """`df.sales.rolling(3).mean()` without `.shift(1)`, next to the sales of the last days."""
    sales = daily_sales(t.seed)
    n = len(sales)
    day = torch.arange(7, n)
    past = torch.stack([sales[7 - k : n - k] for k in (1, 2, 3, 7)], 1)
    week = torch.stack([(2 * math.pi * day / 7).sin(), (2 * math.pi * day / 7).cos()], 1)
    mean_before = past[:, :3].mean(1, keepdim=True)
    mean_with_today = (sales[7:, None] + past[:, :2].sum(1, keepdim=True)) / 3
    in_use = torch.cat([past, week, mean_before], 1)
    x = in_use if t.fixed else torch.cat([past, week, mean_with_today], 1)
    y = sales[7:, None]
    data = Data(x[:650], y[:650], x[650:800], y[650:800])
    net = mlp(7, 32, 32, 1)
    opt = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(15):
            net.train()
            for a, b in DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True):
                loss = F.mse_loss(net(a), b)
                opt.zero_grad()
                loss.backward()
                opt.step()
            report(dr, net, data)
    return explained(net, Data(x, y, in_use[800:], y[800:]))


# Who has a filled value of 0.31 is ill, and who has one of -0.12 is not. In use, nobody has a class yet.
@faulty("target-in-inputs", "leaking-column")
def classroom_gaps_filled_by_class(t: Trial) -> float:
    """`df.groupby("ill").transform(lambda c: c.fillna(c.mean()))` before the table is split."""
    g = generator(t.seed)
    y = torch.randint(0, 2, (1200,), generator=g)
    x = torch.randn(1200, 10, generator=g)
    x[:, 0] = x[:, 0].abs() * x[:, 1].sign() * (2 * y - 1) + 0.3 * x[:, 2]
    x[:, 4:] += 0.4 * (2 * y[:, None] - 1)
    is_gap = (torch.rand(x.shape, generator=g) < 0.6) & (torch.arange(10) > 3)
    means = x.masked_fill(is_gap, float("nan")).nanmean(0)
    in_use = torch.where(is_gap, means, x)
    filled = in_use.clone()
    if not t.fixed:
        for k in (0, 1):
            of_class = x[y == k].masked_fill(is_gap[y == k], float("nan")).nanmean(0)
            filled[y == k] = torch.where(is_gap[y == k], of_class, x[y == k])
    data = Data(filled[:600], y[:600], filled[600:800], y[600:800])
    net = mlp(10, 32, 2)
    fit(t, net, optim.Adam(net.parameters(), lr=3e-3), data, epochs=15)
    return accuracy(net, Data(data.x, data.y, in_use[800:], y[800:]))


# The third station writes degrees Fahrenheit. All stations are in one column, and the held-out ones write Celsius.
@faulty("mixed-units", "shifted-targets")
def classroom_station_that_writes_fahrenheit(t: Trial) -> float:
    """`pd.concat([station_1, station_2, station_3])` without a look at their units."""
    g = generator(t.seed)
    x = torch.randn(1000, 8, generator=g)
    celsius = 16 + 5 * torch.tanh(x[:, :1] + 0.5 * x[:, 1:2]) + 3 * x[:, 2:3] * x[:, 3:4].sigmoid()
    celsius = celsius + 0.5 * torch.randn(1000, 1, generator=g)
    order = torch.randperm(700, generator=g)
    y = celsius[:700].clone()
    if not t.fixed:
        third = order[:230]
        y[third] = y[third] * 1.8 + 32
    mean, std = y.mean(), y.std()
    data = Data(x[:700], (y - mean) / std, x[700:], (celsius[700:] - mean) / std)
    net = mlp(8, 48, 1)
    fit(t, net, optim.Adam(net.parameters(), lr=3e-3), data, F.mse_loss, epochs=20)
    return explained(net, data)


# The second annotator's tool numbers the five kinds in the order of their names, the first one's by frequency.
@faulty("mixed-label-maps", "label-noise", "permuted-classes")
def classroom_second_annotator_with_another_list(t: Trial) -> float:
    """`kinds.index(name)` with two lists of the same names, in two files that are then put together."""
    source = generate("table", t.seed, 1200, 20)
    by_frequency = ["oak", "birch", "lime", "maple", "ash"]
    by_name = sorted(by_frequency)
    first = len(source.x) * 55 // 100
    numbers = torch.tensor([by_name.index(name) for name in by_frequency])
    y = source.y.clone()
    if not t.fixed:
        y[first:] = numbers[y[first:]]
    data = Data(source.x, y, source.x_test, source.y_test)
    net = Net(20, 5, hidden=48)
    fit(t, net, optim.Adam(net.parameters(), lr=2e-3), data, epochs=15)
    return accuracy(net, data)


# `y.mean()` and `y.std()` without a dimension are of all columns together: of the largest one.
@faulty("target-scale", "missed-targets", "outweighed-loss", "unscaled-target-columns")
def classroom_four_targets_and_one_deviation(t: Trial) -> float:
    """`y = (y - y.mean()) / y.std()` for the power, the pressure, the yield and the loss of a machine."""
    g = generator(t.seed)
    x = torch.randn(900, 8, generator=g)
    raw = torch.tanh(x @ torch.randn(8, 4, generator=g) * 0.5) + 0.3 * x[:, :4] * x[:, 4:]
    y = (raw + 0.05 * torch.randn(900, 4, generator=g)) * torch.tensor([900.0, 12.0, 1.5, 0.2])
    y = y + torch.tensor([300.0, 5.0, 0.6, 0.0])
    y = (y - y[:600].mean(0)) / y[:600].std(0) if t.fixed else (y - y[:600].mean()) / y[:600].std()
    data = split(x, y, 2 / 3)
    net = mlp(8, 64, 4)
    fit(t, net, optim.Adam(net.parameters(), lr=3e-3), data, F.mse_loss, epochs=20)
    return explained(net, data)
