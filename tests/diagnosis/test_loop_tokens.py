"""Targets, masks and memories of a user's own loop: each fault is found, and a correct loop is not reported."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng

from .small_trainings import list_alarms, make_mlp


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def train_ctc(targets, lengths, *, blank=0, is_normalized=True, steps=12):
    """Train on frames (16, 12, 6) of 5 letters and a blank."""
    net = nn.Linear(6, 6)
    adam, ctc = torch.optim.Adam(net.parameters(), 1e-2), nn.CTCLoss(blank=blank, zero_infinity=True)
    with yisheng.doctor(net, adam) as dr:
        for _ in range(steps):
            output = net(torch.randn(12, len(lengths), 6))
            adam.zero_grad()
            output = output.log_softmax(-1) if is_normalized else output + 1
            ctc(output, targets, torch.full((len(lengths),), 12), lengths).backward()
            adam.step()
    return dr


def test_letters_with_the_number_of_the_blank():
    lengths = torch.full((16,), 4)
    letters = torch.randint(0, 5, (16, 4))
    dr = train_ctc(letters, lengths)
    assert (dr.findings[0].check, dr.findings[0].severity) == ("blank-class", "error")
    evidence = dr.findings[0].evidence
    assert evidence["targets that are blank"] == evidence["calls"] * int((letters == 0).sum())
    assert "blank-class" not in list_alarms(train_ctc(letters + 1, lengths))
    assert "blank-class" not in list_alarms(train_ctc(letters, lengths, blank=5))
    assert "blank-class" in list_alarms(train_ctc(letters.flatten(), lengths))


def test_padding_behind_the_lengths_is_no_blank():
    lengths = torch.randint(1, 4, (16,))
    letters = torch.randint(1, 6, (16, 4)).masked_fill(torch.arange(4) >= lengths[:, None], 0)
    assert "blank-class" not in list_alarms(train_ctc(letters, lengths))
    assert "blank-class" in list_alarms(train_ctc(letters, lengths + 1))


def test_ctc_loss_requires_logarithms_of_probabilities():
    lengths, letters = torch.full((16,), 4), torch.randint(1, 6, (16, 4))
    assert "loss-pairing" not in list_alarms(train_ctc(letters, lengths))
    finding = next(f for f in train_ctc(letters, lengths, is_normalized=False).findings if f.check == "loss-pairing")
    assert "log_softmax" in finding.remedy


def train_tokens(select, *, steps=40, flat=True):
    """Train a network of one token per place on `select(ids) -> inputs, targets, places to compare`."""
    follower = torch.randperm(12)
    net = nn.Sequential(nn.Embedding(12, 16), nn.Linear(16, 12))
    adam = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, adam) as dr:
        for _ in range(steps):
            ids = torch.randint(0, 12, (16, 10))
            for i in range(1, 10):
                ids[:, i] = torch.where(torch.rand(16) < 0.8, follower[ids[:, i - 1]], ids[:, i])
            x, y, length = select(ids)
            output = net(x)[:, :length]
            adam.zero_grad()
            if flat:
                F.cross_entropy(output.flatten(0, 1), y.flatten()).backward()
            else:
                F.cross_entropy(output.transpose(1, 2), y).backward()
            adam.step()
    return dr


@pytest.mark.parametrize("flat", [True, False])
def test_labels_that_are_shifted_twice(flat):
    dr = train_tokens(lambda ids: (ids[:, :-1], ids[:, 2:], 8), flat=flat)
    assert (dr.findings[0].check, dr.findings[0].evidence["places"]) == ("shifted-labels", 2)
    assert list_alarms(train_tokens(lambda ids: (ids[:, :-1], ids[:, 1:], 9), flat=flat)) == []
    # targets of every place, of which the last has no next token, and tags that are no tokens of the inputs
    assert list_alarms(train_tokens(lambda ids: (ids, ids.roll(-1, 1), 10), flat=flat)) == []
    assert "shifted-labels" not in list_alarms(train_tokens(lambda ids: (ids, (ids * 5 + 2) % 12, 10), flat=flat))


def train_masked(fraction, evaluated_fraction, *, pads=False):
    """Train and evaluate on rows of 16 tokens, of which a fraction is the token 9, at random places or at the end."""
    net = nn.Sequential(nn.Embedding(10, 16), nn.Linear(16, 9))
    adam = torch.optim.Adam(net.parameters(), 1e-2)

    def mask(rows, fraction):
        ids = torch.randint(0, 9, (rows, 16))
        chosen = torch.rand(rows, 16) < fraction
        if pads:
            chosen = torch.arange(16) >= 16 * (1 - fraction) + torch.randint(-2, 3, (rows, 1))
        return ids.masked_fill(chosen, 9), ids, chosen

    with yisheng.doctor(net, adam) as dr:
        for _ in range(40):
            x, ids, chosen = mask(32, fraction)
            adam.zero_grad()
            F.cross_entropy(net(x)[chosen], ids[chosen]).backward()
            adam.step()
        net.eval()
        with torch.no_grad():
            x, ids, chosen = mask(128, evaluated_fraction)
            net(x)
    return [finding for finding in dr.findings if finding.check == "evaluated-inputs"]


def test_tokens_that_are_masked_where_they_are_to_be_kept():
    (finding,) = train_masked(0.85, 0.15)
    assert finding.evidence["fraction in training"] == pytest.approx(0.85, abs=0.03)
    for fractions in ((0.15, 0.15), (0.85, 0.85), (0.4, 0.15), (0.8, 0.0)):  # the last one evaluates another task
        assert train_masked(*fractions) == []
    assert train_masked(0.8, 0.2, pads=True) == []


def replay(store, steps=60):
    """Learn the next place of a ball from a memory of its places, which are kept in one tensor."""
    net, place, memory = make_mlp(2, 16, 1), torch.zeros(2), []
    adam = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, adam) as dr:
        for step in range(steps):
            place.mul_(0.9).add_(torch.randn(2))
            memory.append((store(place), float(place.sum())))
            if step < 10:
                continue
            rows = [memory[i] for i in torch.randint(0, len(memory), (16,)).tolist()]
            x, y = torch.stack([row[0] for row in rows]), torch.tensor([row[1] for row in rows])
            adam.zero_grad()
            F.mse_loss(net(x)[:, 0], y).backward()
            adam.step()
    return dr


def test_memory_of_one_tensor_that_is_changed_in_place():
    dr = replay(lambda place: place)
    assert (dr.findings[0].check, dr.findings[0].severity) == ("aliased-rows", "error")
    assert list_alarms(replay(torch.clone)) == []


def test_rows_that_are_equal_in_every_step_are_all_there_is():
    net = make_mlp(2, 16, 1)
    adam = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, adam) as dr:
        for _ in range(40):
            adam.zero_grad()
            F.mse_loss(net(torch.ones(16, 2)), torch.randn(16, 1)).backward()
            adam.step()
    assert "aliased-rows" not in list_alarms(dr)
