"""Channels chosen in training: masked, coming back or not, and then really gone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from prunable import CLASSES, branches, residual, samples

from tf2.pruning.channel_masks import ChannelMasks
from tf2.pruning.cost import size_of
from tf2.pruning.coupling import coupling_of
from tf2.pruning.prune import _check_same
from tf2.pruning.selection import Selection, Widths
from tf2.pruning.settings import PruningSettings
from tf2.pruning.slicing import without_classes
from tf2.training.module import GraphModule

STEPS = 12


def made(graph, **options) -> tuple[GraphModule, ChannelMasks, Selection]:
    module = GraphModule(graph)
    choice = Selection(coupling_of(graph), widths=Widths(multiple=1), measure="flops")
    settings = PruningSettings(target=0.5, refreshes=6, **options)
    return module, ChannelMasks(module, choice, settings, steps=STEPS), choice


def train(module: GraphModule, masks: ChannelMasks, rng, steps: int):
    """Yield which classes there are after each step."""
    groups = masks.groups(module, weight_decay=1e-3)
    masks.attach(optimizer := torch.optim.SGD(groups, lr=0.1, momentum=0.9))
    for _ in range(steps):
        x, y = torch.from_numpy(samples(rng, 8)), torch.from_numpy(rng.integers(0, CLASSES, 8))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
        yield masks.kept.copy()


@pytest.mark.parametrize("importance", ["taylor", "magnitude", "random"])
@pytest.mark.parametrize("network", [residual, branches])
def test_the_masked_network_becomes_the_smaller_one(network, importance, rng):
    graph = network(rng)
    module, masks, choice = made(graph, importance=importance)
    masks.freeze(1.0)
    history = list(train(module, masks, rng, STEPS))
    smaller = without_classes(coupling_of(module.to_graph()), history[-1])
    _check_same(module, smaller, 0)
    assert size_of(smaller).flops <= 0.5 * choice.base
    shares = [kept.mean() for kept in history]
    assert shares[1] < 1.0  # after the first refresh
    assert shares[-1] <= shares[1]


def test_greedy_choices_never_come_back_and_dynamic_ones_may(rng):
    graph = residual(rng)
    for recover in (True, False):
        _, masks, choice = made(graph, recover=recover)
        masks._scores = rng.random(choice.coupling.count)
        masks._refresh(0.6)
        before = masks.kept
        masks._scores = np.where(before, 0.5, 1.0)  # what is gone turns out to be worth more
        masks._refresh(0.5)
        assert (masks.kept & ~before).any() == recover
        assert not masks.kept.all()


def test_what_is_there_has_a_slight_advantage(rng):
    _, masks, choice = made(residual(rng))
    masks._scores = rng.random(choice.coupling.count)
    masks._refresh(0.6)
    before = masks.kept
    masks._scores = np.where(before, 1.0, 1.1)
    masks._refresh(0.6)
    back, lost = masks.kept & ~before, before & ~masks.kept
    for group in choice.groups:  # a class never takes the place of one that is hardly worse
        assert not (back[group.classes].any() and lost[group.classes].any())


def test_masked_channels_are_still_trained(rng):
    module, masks, choice = made(residual(rng))
    steps = train(module, masks, rng, STEPS)
    for _ in range(4):
        kept = next(steps)
    reader = next(r for r in masks._readers if not kept[r.layer.columns].all())
    gone = ~kept[reader.layer.columns]
    before = reader.real.clone()
    assert not reader._weight.detach()[:, gone].any()
    next(steps)
    assert (reader.real[:, gone] != before[:, gone]).any()
    assert choice.groups


def test_a_state_goes_on_as_if_it_had_not_been_interrupted(rng):
    graph = residual(rng)
    module, masks, _ = made(graph)
    other, restored, _ = made(graph)
    steps = train(module, masks, rng, STEPS)
    for _ in range(5):
        next(steps)
    steps.close()
    other.load_state_dict(module.state_dict())
    restored.load(masks.state())
    data = rng.bit_generator.state
    first = list(train(module, masks, rng, STEPS - 5))
    rng.bit_generator.state = data
    second = list(train(other, restored, rng, STEPS - 5))
    assert np.array_equal(first, second)
    for one, two in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_the_score_is_the_squared_first_order_change_of_the_loss(rng):
    """Against the derivative by a gate on the channel."""
    graph = residual(rng)
    module, masks, choice = made(graph)
    x, y = torch.from_numpy(samples(rng, 8)), torch.from_numpy(rng.integers(0, CLASSES, 8))
    torch.nn.functional.cross_entropy(module(x), y).backward()
    masks.before_step()
    reader = choice.coupling.layers[2]  # the only one that reads the first block's inner channels
    number = int(reader.reads[3])
    weight = module.parameter_of(reader.node.inputs[1])
    found = masks.importance()[number]
    step = 1e-3
    losses = []
    module.double()  # of float32 losses the difference has two digits
    for sign in (1, -1):
        changed = weight.detach().clone()
        changed[:, 3] *= 1 + sign * step
        with torch.no_grad():
            held = weight.detach().clone()
            weight.copy_(changed)
            losses.append(torch.nn.functional.cross_entropy(module(x.double()), y).item())
            weight.copy_(held)
    slope = (losses[0] - losses[1]) / (2 * step)
    assert found == pytest.approx(0.1 * slope**2, rel=0.02)
