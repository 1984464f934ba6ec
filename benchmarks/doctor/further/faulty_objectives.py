"""Faulty trainings whose objective is wrong: masks, triplets, survival, quantiles, boxes, generation, equations."""

from __future__ import annotations

import copy

import torch
from benchmarks.doctor.datasets import Data, generate, images
from benchmarks.doctor.further.shapes import explained, negative_energy_distance
from benchmarks.doctor.harness import Trial, faulty, mlp
from torch import Tensor, nn, optim
from torch.nn import functional as F


class MaskedAutoencoder(nn.Module):
    """Fills in the pixels of digits that are hidden."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(128, 192, 64)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        return self.net(torch.cat([x * ~hidden, hidden.float()], 1))


# The error is to be that of the hidden pixels; it is that of the pixels that the network sees.
@faulty("inverted-mask", "copied-targets")
def further_error_of_the_visible_pixels(t: Trial) -> float:
    """`loss = (error * ~hidden).sum() / (~hidden).sum()` in a masked autoencoder."""
    data = images(t.seed)
    x, x_test = data.x.flatten(1), data.x_test.flatten(1)
    g = torch.Generator().manual_seed(t.seed)
    hidden_test = torch.rand(x_test.shape, generator=g) < 0.5
    model = MaskedAutoencoder()
    optimizer = optim.AdamW(model.parameters(), lr=2e-3)

    def error_of(rows: Tensor, hidden: Tensor) -> Tensor:
        weight = hidden.float() if t.fixed else (~hidden).float()
        return ((model(rows, hidden) - rows).square() * weight).sum() / weight.sum()

    with t.doctor(model, optimizer) as dr:
        for _ in range(20):
            for rows in x[torch.randperm(len(x))].split(32):
                optimizer.zero_grad()
                error_of(rows, torch.rand(rows.shape) < 0.5).backward()
                optimizer.step()
            with torch.no_grad():
                dr.validation(loss=float(error_of(x_test, hidden_test)))
    return explained(model(x_test, hidden_test)[hidden_test].detach(), x_test[hidden_test])


def triplet_loss(z: Tensor, y: Tensor, fixed: bool, margin: float = 0.5) -> Tensor:
    """Return the loss of the hardest triplet of each row of a batch, or of the easiest one by mistake."""
    distance = torch.cdist(z, z)
    is_positive = (y[:, None] == y[None]) & ~torch.eye(len(y), dtype=torch.bool)
    is_negative = y[:, None] != y[None]
    if fixed:
        positive = distance.masked_fill(~is_positive, -torch.inf).amax(1)
        negative = distance.masked_fill(~is_negative, torch.inf).amin(1)
    else:
        positive = distance.masked_fill(~is_positive, torch.inf).amin(1)
        negative = distance.masked_fill(~is_negative, -torch.inf).amax(1)
    is_used = is_positive.any(1) & is_negative.any(1)
    return F.relu(positive - negative + margin)[is_used].mean()


@torch.no_grad()
def nearest_neighbor_accuracy(net: nn.Module, data: Data) -> float:
    """Return the accuracy of the class of the nearest training row."""
    net.eval()
    nearest = torch.cdist(net(data.x_test), net(data.x)).argmin(1)
    return float((data.y[nearest] == data.y_test).float().mean())


# `min` and `max` are exchanged in the mining: the loss is zero after a few updates and nothing is learned.
@faulty("easy-mining", "no-gradient", "zero-loss")
def further_easiest_triplets_mined(t: Trial) -> float:
    """The nearest positive row and the farthest negative row are mined for each anchor."""
    data = generate("table", t.seed, 900, 24)
    net = nn.Sequential(nn.Linear(24, 48), nn.ReLU(), nn.Linear(48, 3))
    opt = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt) as dr:
        for _ in range(12):
            net.train()
            for rows in torch.randperm(len(data.x)).split(60):
                opt.zero_grad()
                triplet_loss(net(data.x[rows]), data.y[rows], t.fixed).backward()
                opt.step()
            dr.validation(score=nearest_neighbor_accuracy(net, data))
    return nearest_neighbor_accuracy(net, data)


def concordance(risk: Tensor, time: Tensor, is_event: Tensor) -> float:
    """Return the fraction of comparable pairs in which the one that dies first has the higher risk."""
    comparable = (time[:, None] < time[None]) & is_event[:, None]
    return float((risk[:, None] > risk[None])[comparable].float().mean())


# The rows are sorted by time in ascending order: the sums run over those who died earlier, not over those at risk.
@faulty("reversed-risk-sets", "reversed-objective")
def further_risk_sets_of_those_who_died_earlier(t: Trial) -> float:
    """A partial likelihood with `argsort(time)` where `descending=True` was meant."""
    g = torch.Generator().manual_seed(t.seed)
    x = torch.randn(900, 6, generator=g)
    risk = x[:, 0] - 0.8 * x[:, 1] + 0.5 * x[:, 2] * x[:, 3]
    death = -torch.rand(900, generator=g).log() * (-risk).exp()
    end = 3 * torch.rand(900, generator=g)
    time, is_event = torch.minimum(death, end), death < end
    net = mlp(6, 32, 1)
    opt = optim.Adam(net.parameters(), lr=3e-3)

    def partial_likelihood(rows: Tensor) -> Tensor:
        order = rows[torch.argsort(time[rows], descending=t.fixed)]
        out = net(x[order]).squeeze(1)
        return -(out - out.logcumsumexp(0))[is_event[order]].mean()

    with t.doctor(net, opt) as dr:
        for _ in range(12):
            for rows in torch.randperm(600).split(50):
                opt.zero_grad()
                partial_likelihood(rows).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(partial_likelihood(torch.arange(600, 900))))
    with torch.no_grad():
        return concordance(net(x[600:]).squeeze(1), time[600:], is_event[600:])


class Pinball(nn.Module):
    """The loss of several quantiles, one output each."""

    def __init__(self, quantiles: list[float], fixed: bool) -> None:
        super().__init__()
        self.q, self.fixed = torch.tensor(quantiles), fixed

    def forward(self, out: Tensor, y: Tensor) -> Tensor:
        error = y - out if self.fixed else out - y
        return torch.maximum(self.q * error, (self.q - 1) * error).mean()


# With the error of the other sign, the output for the quantile of 0.9 becomes that of 0.1.
@faulty("swapped-quantiles", "swapped-arguments", "reversed-objective")
def further_quantiles_upside_down(t: Trial) -> float:
    """The pinball loss takes prediction minus target, where target minus prediction is meant."""
    g = torch.Generator().manual_seed(t.seed)
    x = torch.rand(1500, 3, generator=g) * 2 - 1
    y = x[:, :1] + (0.3 + 0.3 * x[:, 1:2].abs()) * torch.randn(1500, 1, generator=g)
    quantiles = [0.05, 0.5, 0.95]
    net, criterion = mlp(3, 32, 3), Pinball(quantiles, t.fixed)
    opt = optim.Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, opt, data=(x[:1000], y[:1000]), validation=(x[1000:], y[1000:])) as dr:
        for _ in range(12):
            for rows in torch.randperm(1000).split(40):
                opt.zero_grad()
                criterion(net(x[rows]), y[rows]).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(criterion(net(x[1000:]), y[1000:])))
    below = (y[1000:] < net(x[1000:])).float().mean(0)
    return -float((below - torch.tensor(quantiles)).abs().max())


# The generator is trained with the label that the discriminator has for it: it is to be recognized, not to deceive.
@faulty("adversarial-target", "reversed-objective")
def further_generator_with_the_label_of_fakes(t: Trial) -> float:
    """`g_loss = bce(D(fake), is_fake)`, copied from the loss of the discriminator."""
    bce = F.binary_cross_entropy_with_logits
    g = torch.Generator().manual_seed(t.seed)
    angle = 6.2832 * torch.rand(1000, 1, generator=g)
    real = torch.cat([angle.cos() + 1, angle.sin()], 1) + 0.1 * torch.randn(1000, 2, generator=g)
    G, D = mlp(4, 32, 32, 2), mlp(2, 32, 32, 1, act=nn.ELU)
    opt_g = optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.9))
    opt_d = optim.Adam(D.parameters(), lr=2e-3, betas=(0.5, 0.9))
    is_real, is_fake = torch.ones(64, 1), torch.zeros(64, 1)
    with t.doctor(G, opt_g):
        for _ in range(500):
            fake = G(torch.randn(64, 4))
            opt_d.zero_grad()
            d_loss = bce(D(real[torch.randint(0, 700, (64,))]), is_real) + bce(D(fake.detach()), is_fake)
            d_loss.backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(D(fake), is_real if t.fixed else is_fake).backward()
            opt_g.step()
    with torch.no_grad():
        return negative_energy_distance(G(torch.randn(300, 4)), real[700:])


class NoisePredictor(nn.Module):
    """Predicts the noise of points in the plane from the points and their step."""

    def __init__(self, steps: int, scaled: bool) -> None:
        super().__init__()
        self.divisor = steps if scaled else 1
        self.layers = mlp(3, 64, 64, 2, act=nn.SiLU)

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        return self.layers(torch.cat([x, step[:, None] / self.divisor], 1))


# The step of the diffusion is a number from 0 to 999 next to coordinates near 1.
@faulty("inputs", "unscaled-columns", "unscaled-time")
def further_raw_steps_of_a_diffusion(t: Trial) -> float:
    """The number of the noise level enters the network as it is, without an encoding or a division."""
    levels = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
    g = torch.Generator().manual_seed(t.seed)
    angle = 3.1416 * torch.rand(1200, generator=g)
    x = 1.5 * torch.stack([angle.cos(), angle.sin() - 0.5], 1) + 0.05 * torch.randn(1200, 2, generator=g)
    net = NoisePredictor(1000, t.fixed)
    opt = optim.Adam(net.parameters(), lr=2e-3)

    def denoising_loss(rows: Tensor, generator: torch.Generator | None = None) -> Tensor:
        step = torch.randint(0, 1000, (len(rows),), generator=generator)
        noise, a = torch.randn(rows.shape, generator=generator), levels[step, None]
        return F.mse_loss(net(a.sqrt() * rows + (1 - a).sqrt() * noise, step), noise)

    with t.doctor(net, opt) as dr:
        for _ in range(15):
            for rows in x[torch.randperm(1000)].split(50):
                opt.zero_grad()
                denoising_loss(rows).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(denoising_loss(x[1000:])))
    with torch.no_grad():
        return -float(denoising_loss(x[1000:].repeat(10, 1), torch.Generator().manual_seed(3)))


# u = 0 solves the equation u'' = -4 u; the network is not told where it begins.
@faulty("missing-condition", "constant-outputs", "collapsed-outputs")
def further_equation_without_its_initial_values(t: Trial) -> float:
    """The loss of a physics-informed network has the residual only, without u(0) = 1 and u'(0) = 0."""
    net = mlp(1, 32, 32, 1, act=nn.Tanh)
    opt = optim.Adam(net.parameters(), lr=4e-3)
    generator = torch.Generator().manual_seed(t.seed)

    def slope(u: Tensor, x: Tensor) -> Tensor:
        return torch.autograd.grad(u.sum(), x, create_graph=True)[0]

    with t.doctor(net, opt):
        for _ in range(900):
            x = (2 * torch.rand(48, 1, generator=generator)).requires_grad_()
            u = net(x)
            loss = (slope(slope(u, x), x) + 4 * u).square().mean()
            if t.fixed:
                start = torch.zeros(1, 1, requires_grad=True)
                u_start = net(start)
                loss = loss + 20 * ((u_start - 1).square() + slope(u_start, start).square()).sum()
            opt.zero_grad()
            loss.backward()
            opt.step()
    x = torch.linspace(0, 2, 100)[:, None]
    return explained(net(x).detach(), (2 * x).cos())


def bright_boxes(seed: int, rows: int, side: int) -> tuple[Tensor, Tensor]:
    """Return images (N, 1, side, side) of a bright rectangle, and its left, top, right and bottom edge (N, 4)."""
    g = torch.Generator().manual_seed(seed)
    size = torch.randint(side // 4, side // 2, (rows, 2), generator=g)
    corner = (torch.rand(rows, 2, generator=g) * (side - size)).long()
    boxes = torch.cat([corner, corner + size], 1)
    places = torch.arange(side)
    across = (places >= boxes[:, :1]) & (places < boxes[:, 2:3])
    down = (places >= boxes[:, 1:2]) & (places < boxes[:, 3:])
    x = (down[:, :, None] & across[:, None]).float()
    return (x + 0.2 * torch.randn(x.shape, generator=g))[:, None], boxes.float()


def intersection_over_union(a: Tensor, b: Tensor) -> Tensor:
    """Return the overlap (N,) of boxes (N, 4)."""
    size = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    areas = [(box[:, 2:] - box[:, :2]).clamp(min=0).prod(1) for box in (a, b)]
    overlap = size.prod(1)
    return overlap / (areas[0] + areas[1] - overlap).clamp(min=1e-6)


class BoxNet(nn.Module):
    """Predicts the edges of a box in pixels."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.body = mlp(side * side, 64, 64, 4)

    def forward(self, x: Tensor) -> Tensor:
        edges = self.body(x.flatten(1))
        return torch.cat([edges[:, :2], edges[:, :2] + F.softplus(edges[:, 2:])], 1)


# Boxes that do not touch overlap by 0, whatever the network changes: the gradient is 0.
@faulty("no-gradient", "vanishing-gradients", "zero-gradient", "distant-boxes")
def further_overlap_of_boxes_that_do_not_touch(t: Trial) -> float:
    """The loss is one minus the overlap alone, and the first boxes are in the corner of the image."""
    x, boxes = bright_boxes(t.seed, 900, 16)
    is_inside = (boxes[:, 0] > 1) & (boxes[:, 1] > 1)
    x, boxes = x[is_inside], boxes[is_inside]
    cut = len(x) * 2 // 3
    net = BoxNet(16)
    opt = optim.Adam(net.parameters(), lr=3e-3)

    def criterion(predicted: Tensor, target: Tensor) -> Tensor:
        loss = 1 - intersection_over_union(predicted, target).mean()
        return loss + 0.2 * F.smooth_l1_loss(predicted, target) if t.fixed else loss

    with t.doctor(net, opt, data=(x[:cut], boxes[:cut]), validation=(x[cut:], boxes[cut:])) as dr:
        for _ in range(15):
            for rows in torch.randperm(cut).split(32):
                opt.zero_grad()
                criterion(net(x[rows]), boxes[rows]).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(criterion(net(x[cut:]), boxes[cut:])))
    return float(intersection_over_union(net(x[cut:]), boxes[cut:]).mean())


# The images are resized to 12 x 12; the boxes are still in the pixels of the files, which have different sizes.
@faulty("unresized-boxes", "misaligned-targets")
def further_boxes_of_the_images_before_resizing(t: Trial) -> float:
    """`resize` is applied to the images and not to their boxes."""
    parts_x, parts_box, resized = [], [], []
    for k, side in enumerate((12, 18, 24, 36)):
        x, boxes = bright_boxes(10 * t.seed + k, 250, side)
        parts_x.append(F.interpolate(x, size=(12, 12), mode="bilinear", antialias=True))
        resized.append(boxes * 12 / side)
        parts_box.append(resized[-1] if t.fixed else boxes)
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(t.seed))
    x, boxes, truth = (torch.cat(parts)[order] for parts in (parts_x, parts_box, resized))
    net = BoxNet(12)
    opt = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt, data=(x[:700], boxes[:700]), validation=(x[700:], boxes[700:])) as dr:
        for _ in range(15):
            for rows in torch.randperm(700).split(32):
                opt.zero_grad()
                F.smooth_l1_loss(net(x[rows]), boxes[rows]).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(F.smooth_l1_loss(net(x[700:]), boxes[700:])))
    return float(intersection_over_union(net(x[700:]), truth[700:]).mean())


# A sensor that ends at 0.4 reports 0.4 for everything above; these values are learned as if they were measured.
@faulty("censored-targets", "capped-targets")
def further_sensor_that_ends_too_low(t: Trial) -> float:
    """Four of ten targets are the largest value of the scale, and the loss is the squared error."""
    g = torch.Generator().manual_seed(t.seed)
    x = torch.randn(1500, 5, generator=g)
    truth = 0.9 * x[:, :1] + 0.6 * torch.sin(2 * x[:, 1:2]) + 0.5 * x[:, 2:3] + 0.1 * torch.randn(1500, 1, generator=g)
    y = truth.clamp(max=0.2)
    net = mlp(5, 64, 1)
    opt = optim.Adam(net.parameters(), lr=5e-3)

    def criterion(out: Tensor, target: Tensor) -> Tensor:
        error = target - out
        if t.fixed:  # above the end of the scale nothing is known but that
            error = torch.where(target >= 0.2, error.clamp(min=0), error)
        return error.square().mean()

    with t.doctor(net, opt, data=(x[:1000], y[:1000]), validation=(x[1000:], y[1000:])) as dr:
        for _ in range(15):
            for rows in torch.randperm(1000).split(32):
                opt.zero_grad()
                criterion(net(x[rows]), y[rows]).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(criterion(net(x[1000:]), y[1000:])))
    return explained(net(x[1000:]).detach(), truth[1000:])


# The student and its teacher are both trained to agree: they meet in the middle, where nothing is distinguished.
@faulty("trained-teacher", "collapsed-outputs", "constant-outputs")
def further_teacher_among_the_trained(t: Trial) -> float:
    """`Adam([*student.parameters(), *teacher.parameters()])`, and the outputs of the teacher are not detached."""
    data = generate("table", t.seed, 900, 20)
    teacher, student = mlp(20, 64, 5), mlp(20, 24, 5)
    pretraining = optim.Adam(teacher.parameters(), lr=5e-3)
    for _ in range(10):
        for rows in torch.randperm(len(data.x)).split(40):
            pretraining.zero_grad()
            F.cross_entropy(teacher(data.x[rows]), data.y[rows]).backward()
            pretraining.step()
    pair = nn.ModuleDict({"student": student, "teacher": copy.deepcopy(teacher)})
    pair["teacher"].requires_grad_(not t.fixed)
    opt = optim.Adam([p for p in pair.parameters() if p.requires_grad], lr=5e-3)

    def agreement(x: Tensor) -> Tensor:
        target = pair["teacher"](x).div(3).softmax(1)
        return 9 * F.kl_div(student(x).div(3).log_softmax(1), target, reduction="batchmean")

    with t.doctor(pair, opt) as dr:
        for _ in range(12):
            for rows in torch.randperm(len(data.x)).split(40):
                opt.zero_grad()
                agreement(data.x[rows]).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(agreement(data.x_test)))
    return float((student(data.x_test).argmax(1) == data.y_test).float().mean())
