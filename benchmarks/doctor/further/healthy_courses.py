"""Healthy trainings of families that no other part has: mixtures, masks, survival, bandits, meta-learning, pruning."""

from __future__ import annotations

import torch
from benchmarks.doctor.further.faulty_objectives import concordance
from benchmarks.doctor.further.faulty_sequences import SelfAttention, progressions
from benchmarks.doctor.further.shapes import loss_and_accuracy
from benchmarks.doctor.harness import Trial, accuracy, healthy_with_bound, mlp
from benchmarks.doctor.unseen.loop import digits
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam


def mixture_log_likelihood(out: Tensor, y: Tensor) -> Tensor:
    """Return the log-likelihood (N,) of targets (N, 1) in mixtures of normal distributions."""
    logits, mean, log_scale = out.chunk(3, 1)
    normal = torch.distributions.Normal(mean, log_scale.clamp(-4, 3).exp())
    return torch.logsumexp(logits.log_softmax(1) + normal.log_prob(y), 1)


@healthy_with_bound(lambda _: 0.3)
def further_mixtures_for_several_answers(t: Trial) -> float:
    """A mixture density network of an inverse problem, whose targets have two branches for each input."""
    g = torch.Generator().manual_seed(t.seed)
    y = torch.rand(1500, 1, generator=g) * 2 - 1
    x = y.square() + 0.03 * torch.randn(1500, 1, generator=g)
    net = mlp(1, 48, 12, act=nn.Tanh)
    opt = Adam(net.parameters(), lr=8e-3)
    with t.doctor(net, opt, data=(x[:1000], y[:1000]), validation=(x[1000:], y[1000:])) as dr:
        for _ in range(30):
            for rows in torch.randperm(1000).split(50):
                opt.zero_grad()
                loss = -mixture_log_likelihood(net(x[rows]), y[rows]).mean()
                loss.backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=-float(mixture_log_likelihood(net(x[1000:]), y[1000:]).mean()))
    return float(mixture_log_likelihood(net(x[1000:]), y[1000:]).mean())


@healthy_with_bound(lambda _: 0.6)
def further_masked_language_model(t: Trial) -> float:
    """15% of the tokens are hidden, 10% of these are replaced at random and 10% are shown."""
    net = SelfAttention(12, 12, torch.zeros(12, 12), width=48)
    ids, test = progressions(t.seed, 1200), progressions(t.seed + 5, 300)
    is_target_test = torch.rand(test.shape, generator=torch.Generator().manual_seed(t.seed)) < 0.15
    opt = torch.optim.AdamW(net.parameters(), lr=4e-3)
    with t.doctor(net, opt) as dr:
        for _ in range(12):
            net.train()
            for rows in torch.randperm(1200).split(40):
                is_target, draw = torch.rand(len(rows), 12) < 0.15, torch.rand(len(rows), 12)
                inputs = ids[rows].masked_fill(is_target & (draw < 0.8), 11)
                inputs = torch.where(is_target & (draw > 0.9), torch.randint(0, 11, inputs.shape), inputs)
                labels = ids[rows].masked_fill(~is_target, -100)
                opt.zero_grad()
                F.cross_entropy(net(inputs).transpose(1, 2), labels, ignore_index=-100).backward()
                opt.step()
            net.eval()
            with torch.no_grad():
                out = net(test.masked_fill(is_target_test, 11))[is_target_test]
            dr.validation(loss=float(F.cross_entropy(out, test[is_target_test])))
    return float((out.argmax(1) == test[is_target_test]).float().mean())


@healthy_with_bound(lambda _: 0.69)
def further_survival_with_censored_rows(t: Trial) -> float:
    """Cox's partial likelihood of batches, in which half of the rows end before their event."""
    g = torch.Generator().manual_seed(t.seed)
    x = torch.randn(2000, 8, generator=g)
    risk = 0.8 * x[:, 0] + torch.sin(2 * x[:, 1]) - 0.6 * x[:, 2]
    death = -torch.rand(2000, generator=g).log() * (-risk).exp()
    end = 2 * torch.rand(2000, generator=g)
    time, is_event = torch.minimum(death, end), death < end
    net = nn.Sequential(nn.Linear(8, 32), nn.SELU(), nn.Dropout(0.1), nn.Linear(32, 1, bias=False), nn.Flatten(0))
    opt = Adam(net.parameters(), lr=5e-3, weight_decay=1e-3)

    def cox(rows: Tensor) -> Tensor:
        order = rows[time[rows].argsort(descending=True)]
        out = net(x[order])
        return (out.logcumsumexp(0) - out)[is_event[order]].mean()

    with t.doctor(net, opt) as dr:
        for _ in range(16):
            net.train()
            for rows in torch.randperm(1400).split(70):
                opt.zero_grad()
                cox(rows).backward()
                opt.step()
            net.eval()
            with torch.no_grad():
                dr.validation(
                    loss=float(cox(torch.arange(1400, 2000))),
                    score=concordance(net(x[1400:]), time[1400:], is_event[1400:]),
                )
    return concordance(net(x[1400:]).detach(), time[1400:], is_event[1400:])


@healthy_with_bound(lambda _: 0.75)
def further_bandit_with_contexts(t: Trial) -> float:
    """Only the reward of the chosen action is seen; a tenth of the actions is random."""
    g = torch.Generator().manual_seed(t.seed)
    matrix = torch.randn(6, 4, generator=g)
    net = mlp(6, 32, 4)
    opt = Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, opt):
        for step in range(700):
            context = torch.randn(32, 6, generator=g)
            with torch.no_grad():
                action = net(context).argmax(1)
            is_random = torch.rand(32, generator=g) < max(0.1, 1 - step / 150)
            action = torch.where(is_random, torch.randint(0, 4, (32,), generator=g), action)
            mean = (context @ matrix).gather(1, action[:, None]).squeeze(1)
            reward = mean.tanh() + 0.3 * torch.randn(32, generator=g)
            opt.zero_grad()
            F.mse_loss(net(context).gather(1, action[:, None]).squeeze(1), reward).backward()
            opt.step()
    context = torch.randn(500, 6, generator=g)
    return float((net(context).argmax(1) == (context @ matrix).argmax(1)).float().mean())


@healthy_with_bound(lambda _: 0.8)
def further_sparse_vectors_of_words(t: Trial) -> float:
    """Skip-grams with negative samples: `sparse=True` and `SparseAdam`, and most rows have no gradient in a step."""
    g = torch.Generator().manual_seed(t.seed)
    topics, words = 5, 100
    centers = torch.randint(0, words, (6000,), generator=g)
    neighbors = centers % topics + topics * torch.randint(0, words // topics, (6000,), generator=g)
    net = nn.ModuleDict({k: nn.Embedding(words, 16, sparse=True) for k in ("word", "context")})
    for table in net.values():
        nn.init.normal_(table.weight, std=0.3)
    opt = torch.optim.SparseAdam(list(net.parameters()), lr=2e-2)

    def score(a: Tensor, b: Tensor) -> Tensor:
        return (net["word"](a) * net["context"](b)).sum(-1)

    with t.doctor(net, opt):
        for _ in range(6):
            for rows in torch.randperm(6000).split(60):
                negatives = torch.randint(0, words, (len(rows), 4))
                positive = F.logsigmoid(score(centers[rows], neighbors[rows])).mean()
                negative = F.logsigmoid(-score(centers[rows, None], negatives)).mean()
                opt.zero_grad()
                (-positive - negative).backward()
                opt.step()
    vectors = F.normalize(net["word"].weight.detach(), dim=1)
    nearest = (vectors @ vectors.T - 2 * torch.eye(words)).argmax(1)
    return float((nearest % topics == torch.arange(words) % topics).float().mean())


@healthy_with_bound(lambda _: 0.85)
def further_pseudo_labels_of_sure_rows(t: Trial) -> float:
    """The network labels the rows without a label that it is sure of, with a weight that rises."""
    data = digits(t.seed)
    labeled, unlabeled = (data.x[:150], data.y[:150]), data.x[150:]
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))
    opt = Adam(net.parameters(), lr=2e-3)
    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for epoch in range(25):
            weight = min(1.0, epoch / 15)
            for rows in torch.randperm(len(unlabeled)).split(128):
                chosen = torch.randint(0, 150, (32,))
                net.eval()
                with torch.no_grad():
                    confidence, pseudo = net(unlabeled[rows]).softmax(1).max(1)
                net.train()
                loss = F.cross_entropy(net(labeled[0][chosen]), labeled[1][chosen])
                is_sure = confidence > 0.95
                if weight > 0 and is_sure.any():
                    loss = loss + weight * F.cross_entropy(net(unlabeled[rows][is_sure]), pseudo[is_sure])
                opt.zero_grad()
                loss.backward()
                opt.step()
            dr.validation(**loss_and_accuracy(net, data.x_test, data.y_test))
    return accuracy(net, data)


class Siamese(nn.Module):
    """One network for both rows of a pair; the distance of their codes decides."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.scale = mlp(64, 64, 16), nn.Linear(16, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.scale((self.encoder(a) - self.encoder(b)).abs()).squeeze(1)


@healthy_with_bound(lambda _: 0.9)
def further_siamese_pairs(t: Trial) -> float:
    """Pairs of digits: the target is whether they are of one class; the network is called twice in each step."""
    data, net = digits(t.seed), Siamese()
    opt = Adam(net.parameters(), lr=2e-3)
    g = torch.Generator().manual_seed(t.seed)

    def draw(x: Tensor, y: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        a, b = torch.randint(0, len(x), (2, 4 * count), generator=g)
        is_equal = y[a] == y[b]
        order = torch.cat([is_equal.nonzero()[: count // 4, 0], (~is_equal).nonzero()[: count // 2, 0]])
        return x[a[order]], x[b[order]], is_equal[order].float()

    pairs = draw(data.x_test, data.y_test, 400)
    with t.doctor(net, opt) as dr:
        for _ in range(10):
            net.train()
            for _ in range(60):
                a, b, target = draw(data.x, data.y, 64)
                opt.zero_grad()
                F.binary_cross_entropy_with_logits(net(a, b), target).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(F.binary_cross_entropy_with_logits(net(*pairs[:2]), pairs[2])))
    return float(roc_auc_score(pairs[2].numpy(), net(*pairs[:2]).detach().numpy()))


@healthy_with_bound(lambda _: 0.9)
def further_energy_against_noise(t: Trial) -> float:
    """An energy-based model learns to distinguish rows from noise of a fixed density; its constant is learned, too."""
    g = torch.Generator().manual_seed(t.seed)
    angle = 6.2832 * torch.rand(1500, generator=g)
    x = torch.stack([angle.cos(), angle.sin()], 1) * (1 + 0.15 * torch.randn(1500, 1, generator=g))
    energy = mlp(2, 48, 48, 1, act=nn.SiLU)
    opt = Adam(energy.parameters(), lr=5e-3)
    base = torch.distributions.Normal(0.0, 1.2)

    def difference(points: Tensor) -> Tensor:
        return -energy(points).squeeze(1) - base.log_prob(points).sum(1)

    with t.doctor(energy, opt):
        for _ in range(40):
            for rows in x[torch.randperm(1000)].split(50):
                noise = base.sample(rows.shape)
                opt.zero_grad()
                (F.softplus(-difference(rows)).mean() + F.softplus(difference(noise)).mean()).backward()
                opt.step()
    with torch.no_grad():
        grid = torch.cartesian_prod(torch.linspace(-3, 3, 121), torch.linspace(-3, 3, 121))
        density = (-energy(grid)).exp().squeeze(1)
        ring = (grid.norm(dim=1) - 1).abs() < 0.45
        return float(density[ring].sum() / density.sum())
