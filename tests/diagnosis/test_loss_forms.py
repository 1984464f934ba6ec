"""Losses that are written out: each fault in their form is found, and without it there is no alarm."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng
from yisheng.diagnosis.loss_forms import read_form
from yisheng.diagnosis.loss_graph import graph_nodes

from .small_trainings import list_alarms, make_classes, make_mlp, train

X, Y = make_classes()


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("kind", ["jaccard", "tversky"])
def test_overlap_of_raw_scores(kind, fixed):
    x = torch.randn(300, 6)
    masks = (x @ torch.randn(6, 5) > 0.3).float()

    def overlap(net):
        rows = torch.randint(0, 300, (30,))
        scores, mask = net(x[rows]), masks[rows]
        p = scores.sigmoid() if fixed else scores
        overlapping = (p * mask).sum()
        if kind == "jaccard":
            return 1 - overlapping / (p.sum() + mask.sum() - overlapping)
        return 1 - (overlapping + 1) / (overlapping + 0.3 * (p * (1 - mask)).sum() + 0.7 * ((1 - p) * mask).sum() + 1)

    assert list_alarms(train(make_mlp(6, 24, 5), overlap)) == ([] if fixed else ["loss-pairing"])


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("form", ["classes", "labels", "written out"])
def test_focal_loss_of_the_rows_that_are_right(form, fixed):
    net = make_mlp(8, 24, 3 if form != "labels" else 1)

    def focal(net):
        rows = torch.randint(0, 480, (32,))
        scores, y = net(X[rows]), Y[rows]
        if form == "labels":
            label = (y == 0).float()[:, None]
            loss = F.binary_cross_entropy_with_logits(scores, label, reduction="none")
            p = torch.exp(-loss)
        elif form == "classes":
            loss = F.cross_entropy(scores, y, reduction="none")
            p = torch.exp(-loss)
        else:
            log_p = scores.log_softmax(1).gather(1, y[:, None])
            loss, p = -log_p, log_p.exp()
        return (0.25 * ((1 - p) if fixed else p).pow(1.5) * loss).mean()

    alarms = list_alarms(train(net, focal))
    assert ("focal-weighting" in alarms) != fixed
    assert not fixed or not alarms


@pytest.mark.parametrize(("low", "is_found"), [(0.0, True), (1.0, False)])
def test_errors_relative_to_targets_near_zero(low, is_found):
    x = torch.randn(400, 5)
    y = (x @ torch.randn(5, 1)).abs() + low if low else x @ torch.randn(5, 1)

    def relative(net):
        rows = torch.randint(0, 400, (40,))
        return ((net(x[rows]) - y[rows]) / y[rows]).square().mean()

    alarms = list_alarms(train(make_mlp(5, 24, 1), relative))
    assert ("relative-loss" in alarms) == is_found


def embed_pairs(net):
    anchor = torch.randint(0, 480, (32,))
    same, foreign = (anchor + 3 * torch.randint(1, 160, (32,))) % 480, (anchor + 1) % 480
    return tuple(F.normalize(net(X[rows]), dim=1) for rows in (anchor, same, foreign))


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("form", ["cosines", "squares", "function"])
def test_triplets_with_exchanged_examples(form, fixed):
    def pull(net):
        anchor, same, foreign = embed_pairs(net)
        positive, negative = (same, foreign) if fixed else (foreign, same)
        if form == "cosines":
            return F.softplus(
                5 * (F.cosine_similarity(anchor, negative) - F.cosine_similarity(anchor, positive))
            ).mean()
        if form == "squares":
            return F.relu(0.5 + (anchor - positive).square().sum(1) - (anchor - negative).square().sum(1)).mean()
        return nn.TripletMarginLoss(margin=0.5)(anchor, positive, negative)

    alarms = list_alarms(train(make_mlp(8, 24, 6), pull))
    assert alarms == ([] if fixed or form == "cosines" else ["swapped-arguments"])


def test_hardest_examples_are_not_exchanged_ones():
    def pull(net):
        rows = torch.randint(0, 480, (48,))
        z, y = F.normalize(net(X[rows]), dim=1), Y[rows]
        distance = (z[:, None] - z[None]).square().sum(2)
        positive = distance.masked_fill(y[:, None] != y[None], -1).argmax(1)
        negative = distance.masked_fill(y[:, None] == y[None], 9).argmin(1)
        return F.relu((z - z[positive]).norm(dim=1) - (z - z[negative]).norm(dim=1) + 0.2).mean()

    assert list_alarms(train(make_mlp(8, 24, 6), pull)) == []


@pytest.mark.parametrize("fixed", [False, True])
def test_views_that_are_compared_with_themselves(fixed):
    def match(net):
        rows = torch.randint(0, 480, (32,))
        first, second = (F.normalize(net(X[rows] + 0.3 * torch.randn(32, 8)), dim=-1) for _ in range(2))
        scores = 5 * torch.einsum("id,jd->ij", first, second if fixed else first)
        return -scores.log_softmax(1).diagonal().mean()

    alarms = list_alarms(train(make_mlp(8, 24, 6), match))
    assert alarms == ([] if fixed else ["self-similarity"])


def test_other_half_of_a_batch_is_not_the_row_itself():
    def match(net):
        rows = torch.randint(0, 480, (16,))
        z = F.normalize(torch.cat([net(X[rows] + 0.3 * torch.randn(16, 8)) for _ in range(2)]), dim=1)
        scores = (z @ z.T / 0.2).masked_fill(torch.eye(32, dtype=torch.bool), -1e9)
        return F.cross_entropy(scores, (torch.arange(32) + 16) % 32)

    assert list_alarms(train(make_mlp(8, 24, 6), match)) == []


@pytest.mark.parametrize("case", ["copied", "clean", "narrow", "dropout", "random"])
def test_a_network_that_can_copy_its_targets(case):
    x = torch.randn(400, 3) @ torch.randn(3, 12)

    class Coder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = make_mlp(12, 4 if case == "narrow" else 20, 12)
            self.dropout = nn.Dropout(0.3 if case == "dropout" else 0.0)

        def forward(self, rows):
            rows = rows + 0.1 * torch.randn_like(rows) if case == "random" else rows
            return self.layers(self.dropout(rows))

    def rebuild(net):
        clean = x[torch.randint(0, 400, (32,))]
        noisy = clean + 0.5 * torch.randn(32, 12)
        return (net(noisy) - (clean if case == "clean" else noisy)).square().mean()

    alarms = list_alarms(train(Coder(), rebuild))
    assert ("copied-targets" in alarms) == (case == "copied")


@pytest.mark.parametrize("activation", [F.relu, F.softplus, None])
@pytest.mark.parametrize("side", [1, -1])
def test_variances_that_cannot_be_small(activation, side):
    x = torch.randn(300, 4)
    y = x[:, :1] + 0.2 * torch.randn(300, 1)

    def likelihood(net):
        rows = torch.randint(0, 300, (30,))
        mean, logarithm = net(x[rows]).chunk(2, 1)
        logarithm = logarithm if activation is None else activation(logarithm)
        return (0.5 * (mean - y[rows]).square() * (side * logarithm).exp() - 0.5 * side * logarithm).mean()

    alarms = list_alarms(train(make_mlp(4, 24, 2), likelihood))
    assert ("bounded-code" in alarms) == (activation is not None)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("form", ["function", "written out"])
def test_gradients_into_bootstrapped_targets(form, fixed):
    def difference(net):
        state, following, reward = torch.randn(32, 4), torch.randn(32, 4), torch.randn(32)
        goes_on = (torch.rand(32) < 0.9).float()
        value, beyond = net(state)[:, 0], net(following).amax(1)
        target = reward + 0.9 * goes_on * (beyond.detach() if fixed else beyond)
        return F.smooth_l1_loss(value, target) if form == "function" else (target - value).pow(2).mean()

    alarms = list_alarms(train(make_mlp(4, 24, 3), difference))
    assert ("undetached-targets" in alarms) != fixed


def test_two_views_may_both_have_gradients():
    def agree(net):
        rows = torch.randint(0, 480, (32,))
        first, second = (net(X[rows] + 0.3 * torch.randn(32, 8)) for _ in range(2))
        deviation = F.relu(1 - first.std(0)).mean() + F.relu(1 - second.std(0)).mean()
        return F.mse_loss(first, second) + deviation

    assert list_alarms(train(make_mlp(8, 24, 6), agree)) == []


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("form", ["categorical", "cross entropy", "ratio", "normal"])
def test_sign_of_a_policy_gradient_without_a_score(form, fixed):
    net, best, sign = make_mlp(4, 24, 3), torch.randn(4, 3), -1 if fixed else 1
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(30):
            state = torch.randn(64, 4)
            scores = net(state)
            policy = torch.distributions.Categorical(logits=scores)
            if form == "normal":
                policy = torch.distributions.Normal(scores[:, 0], 0.5)
            action = policy.sample()
            rewards = ((state @ best).argmax(1) == action).float()
            if form == "normal":
                rewards = -(action - state[:, 0]).square()
            advantage = (rewards - rewards.mean()) / (rewards.std() + 1e-6)
            ratio = (policy.log_prob(action) - policy.log_prob(action).detach()).exp()
            if form == "normal":
                objective = policy.log_prob(action) * (rewards - rewards.mean())
            elif form == "cross entropy":
                objective = -F.cross_entropy(scores, action, reduction="none") * advantage
            elif form == "categorical":
                objective = policy.log_prob(action) * rewards + 0.01 * policy.entropy()
            else:
                objective = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
            optimizer.zero_grad()
            (sign * objective.mean()).backward()
            optimizer.step()
    assert ("loss-pairing" in list_alarms(dr)) != fixed


def test_costs_are_to_fall():
    def descend(net):
        policy = torch.distributions.Categorical(logits=net(torch.randn(32, 4)))
        action = policy.sample()
        cost = (action == 0).float()
        return (policy.log_prob(action) * cost).mean()

    assert list_alarms(train(make_mlp(4, 24, 3), descend)) == []


@pytest.mark.parametrize(
    ("form", "is_found"), [("added", True), ("masked", False), ("clipped", False), ("returns", False)]
)
def test_values_after_the_end(form, is_found):
    net, target_net = make_mlp(4, 24, 2), make_mlp(4, 24, 2)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(60):
            batch = {"states": torch.randn(32, 4), "rewards": 3 * torch.rand(32), "dones": torch.rand(32) < 0.2}
            with torch.no_grad():
                for fast, slow in zip(net.parameters(), target_net.parameters(), strict=True):
                    slow.lerp_(fast, 0.1)
                beyond = target_net(torch.randn(32, 4)).amax(1)
                goes_on = 1.0 if form == "added" else 1 - batch["dones"].float()
                gain = batch["rewards"].clamp(max=1) if form == "clipped" else batch["rewards"]
                target = 0.1 * gain if form == "returns" else gain + 0.9 * goes_on * beyond
            optimizer.zero_grad()
            F.mse_loss(net(batch["states"])[:, 0], target).backward()
            optimizer.step()
    assert ("final-states" in list_alarms(dr)) == is_found


@pytest.mark.parametrize("fixed", [False, True])
def test_penalty_of_a_gradient_without_a_graph(fixed):
    net = make_mlp(4, 24, 1, activation=nn.Tanh)

    def penalize(net):
        real, drawn = torch.randn(32, 4) + 1, torch.randn(32, 4)
        between = (real + torch.rand(32, 1) * (drawn - real)).requires_grad_()
        slope = torch.autograd.grad(net(between).sum(), between, create_graph=fixed)[0]
        return net(drawn).mean() - net(real).mean() + 5 * ((slope.norm(2, dim=1) - 1) ** 2).mean()

    alarms = list_alarms(train(net, penalize, lr=1e-3))
    assert ("detached-loss" in alarms) != fixed
    assert not fixed or not alarms


@pytest.mark.parametrize("is_residual", [False, True])
def test_adversarial_inputs_need_no_graph(is_residual):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.enter, self.leave = nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x):
            hidden = F.relu(self.enter(x))
            return self.leave(x + hidden if is_residual else hidden)

    def attack(net):
        rows = torch.randint(0, 480, (32,))
        x = X[rows].clone().requires_grad_()
        slope = torch.autograd.grad(F.cross_entropy(net(x), Y[rows]), x)[0]
        return F.cross_entropy(net(x + 0.1 * slope.sign()), Y[rows])

    assert list_alarms(train(Net(), attack)) == []


def test_an_ordinary_loss_has_no_form():
    net = make_mlp(8, 16, 3)
    assert read_form(graph_nodes(F.cross_entropy(net(X), Y)), Y) is None
