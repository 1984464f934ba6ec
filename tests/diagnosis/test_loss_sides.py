"""Losses between two networks: generators, teachers and critics; each fault is found, without it there is no alarm."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng
from yisheng.diagnosis.loss_sides import find_learned_sides

from .small_trainings import list_alarms, make_classes, make_mlp

X, Y = make_classes()


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def losses_of_labels(critic, real, fake, label):
    bce = F.binary_cross_entropy_with_logits
    real_labels = torch.ones(32, 1)
    return bce(critic(real), real_labels) + bce(critic(fake.detach()), 0 * real_labels), lambda: bce(
        critic(fake), label * real_labels
    )


def losses_of_squares(critic, real, fake, label):
    real_labels = torch.ones(32, 1)
    return F.mse_loss(critic(real), real_labels) + F.mse_loss(critic(fake.detach()), -real_labels), lambda: F.mse_loss(
        critic(fake), (2 * label - 1) * real_labels
    )


def losses_of_hinges(critic, real, fake, label):
    score = F.relu(1 - critic(real)).mean() + F.relu(1 + critic(fake.detach())).mean()
    return score, lambda: (1 - 2 * label) * critic(fake).mean()


def train_pair(compute_losses, label, *, watches_critic=False, draws_again=False):
    generator, critic = make_mlp(3, 24, 2), make_mlp(2, 24, 1)
    optimizers = [torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.9)) for net in (generator, critic)]
    watched = (critic, optimizers[1]) if watches_critic else (generator, optimizers[0])
    with yisheng.doctor(*watched) as dr:
        for _ in range(40):
            real, fake = torch.randn(32, 2) + 2, generator(torch.randn(32, 3))
            critic_loss, compute_generator_loss = compute_losses(critic, real, fake, label)
            optimizers[1].zero_grad()
            critic_loss.backward()
            optimizers[1].step()
            if draws_again:
                compute_generator_loss = compute_losses(critic, real, generator(torch.randn(32, 3)), label)[1]
            optimizers[0].zero_grad()
            compute_generator_loss().backward()
            optimizers[0].step()
    return dr


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("compute_losses", [losses_of_labels, losses_of_squares, losses_of_hinges])
def test_generator_that_is_to_be_recognized(compute_losses, label):
    dr = train_pair(compute_losses, label)
    assert ("adversarial-target" in list_alarms(dr)) == (label == 0)
    steps = dr._recorder.loss_observer.adversaries
    assert (steps.same, steps.opposed)[label] >= 3
    assert (steps.opposed, steps.same)[label] == 0


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("options", [{"watches_critic": True}, {"draws_again": True}])
def test_generator_seen_from_the_critic_or_with_new_rows(options, label):
    dr = train_pair(losses_of_labels, label, **options)
    assert ("adversarial-target" in list_alarms(dr)) == (label == 0)


COMPARISONS = {
    "divergence": lambda a, b: F.kl_div(a.log_softmax(1), b.softmax(1), reduction="batchmean"),
    "logarithms": lambda a, b: F.kl_div(a.log_softmax(1), b.log_softmax(1), reduction="batchmean", log_target=True),
    "cross-entropy": lambda a, b: F.cross_entropy(a, b.softmax(1)),
    "written out": lambda a, b: -(b.softmax(1) * a.log_softmax(1)).sum(1).mean(),
    "squares": lambda a, b: (a - b).pow(2).mean(),
    "mse": F.mse_loss,
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_sides_of_a_loss(name):
    student, teacher, compare = make_mlp(8, 6, 3), make_mlp(8, 6, 3), COMPARISONS[name]
    output, target = student(X[:16]), teacher(X[:16])
    sides = find_learned_sides(compare(output, target).grad_fn)
    assert sides == tuple(frozenset(map(id, net.parameters())) for net in (student, teacher))
    assert find_learned_sides((0.5 * compare(output, target)).grad_fn) == sides
    assert find_learned_sides(compare(output, target.detach()).grad_fn) is None
    assert find_learned_sides(compare(output, student(X[16:32])).grad_fn) is None
    assert find_learned_sides((compare(output, target) + F.cross_entropy(target, Y[:16])).grad_fn) is None
    assert find_learned_sides((-compare(output, target)).grad_fn) is None
    normalized = nn.BatchNorm1d(3)(target)
    assert name in ("divergence", "logarithms", "cross-entropy", "written out") or (
        find_learned_sides(compare(output, normalized).grad_fn) is None
    )


class Pair(nn.Module):
    """A student and a teacher in one network."""

    def __init__(self):
        super().__init__()
        self.student, self.teacher = make_mlp(8, 12, 3), make_mlp(8, 24, 3)

    def forward(self, x):
        return self.student(x), self.teacher(x)


@pytest.mark.parametrize("is_container", [False, True])
@pytest.mark.parametrize("kind", ["trained", "detached", "labels"])
def test_a_teacher_among_the_trained(kind, is_container):
    pair = Pair()
    net = nn.ModuleDict(dict(pair.named_children())) if is_container else pair
    optimizer = torch.optim.Adam(net.parameters() if kind != "detached" else pair.student.parameters(), 5e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(60):
            rows = torch.randint(0, 480, (32,))
            output, target = (pair.student(X[rows]), pair.teacher(X[rows])) if is_container else pair(X[rows])
            target = target.detach() if kind == "detached" else target
            loss = COMPARISONS["divergence"](output, target)
            optimizer.zero_grad()
            (loss + (F.cross_entropy(target, Y[rows]) if kind == "labels" else 0)).backward()
            optimizer.step()
    assert ("trained-teacher" in list_alarms(dr)) == (kind == "trained")


@pytest.mark.parametrize("is_detached", [False, True])
@pytest.mark.parametrize("form", ["log-probability", "ratio"])
def test_advantages_with_a_gradient(form, is_detached):
    net, best = make_mlp(4, 24, 4), torch.randn(4, 3)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(60):
            state = torch.randn(64, 4)
            out = net(state)
            policy, value = torch.distributions.Categorical(logits=out[:, :3]), out[:, 3]
            action = policy.sample()
            target = ((state @ best).argmax(1) == action).float()
            advantage = target - value
            log_p = policy.log_prob(action)
            weight = advantage.detach() if is_detached else advantage
            term = log_p * weight if form == "log-probability" else (log_p - log_p.detach()).exp() * weight
            optimizer.zero_grad()
            (-term.mean() + 0.5 * advantage.pow(2).mean()).backward()
            optimizer.step()
    assert ("undetached-advantage" in list_alarms(dr)) != is_detached


def carry_hidden_state(cell, dr, optimizer, *, is_in_place):
    hidden = torch.zeros(16, 12)
    with dr:
        for step in range(3):
            hidden = cell(X[16 * step : 16 * step + 16], hidden.detach() if is_in_place else hidden)
            state = hidden.exp()
            if is_in_place and step:
                state += 1
            optimizer.zero_grad()
            state.sum().backward(retain_graph=True)
            optimizer.step()


@pytest.mark.parametrize("is_in_place", [False, True])
def test_a_hidden_state_that_is_carried_with_its_graph(is_in_place):
    cell = nn.RNNCell(8, 12)
    optimizer = torch.optim.SGD(cell.parameters(), 0.1)
    dr = yisheng.doctor(cell, optimizer)
    with pytest.raises(RuntimeError, match="inplace operation"):
        carry_hidden_state(cell, dr, optimizer, is_in_place=is_in_place)
    remedies = [finding.remedy for finding in dr.findings if finding.check == "loop-error"]
    assert len(remedies) == 1
    assert ("hidden.detach()" in remedies[0]) != is_in_place
