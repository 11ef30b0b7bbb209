"""Single weights: how many become zero, which, and that they stay."""

from __future__ import annotations

import pytest
import torch
from prunable import CLASSES, residual, samples

from tf2.errors import PruningError
from tf2.pruning.settings import PruningSettings, cubic
from tf2.pruning.weight_masks import WeightMasks, prunable_weights
from tf2.training.module import GraphModule

STEPS = 12


def made(rng, **options) -> tuple[GraphModule, WeightMasks]:
    module = GraphModule(residual(rng))
    settings = PruningSettings(refreshes=4, **{"method": "random", **options})
    return module, WeightMasks(module, settings, target=0.4, steps=STEPS)


def train(module: GraphModule, masks: WeightMasks, rng, steps: int):
    """Yield the zeros there are after each step."""
    groups = masks.groups(module, weight_decay=1e-3)
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    masks.attach(optimizer)
    x, y = torch.from_numpy(samples(rng, 8)), torch.from_numpy(rng.integers(0, CLASSES, 8))
    weights = prunable_weights(module.graph, ())
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
        yield {name: module.parameter_of(w).detach() == 0 for name, w in weights.items()}


@pytest.mark.parametrize("method", ["random", "magnitude"])
def test_zeros_grow_by_the_cubic_schedule_and_never_leave(method, rng):
    module, masks = made(rng, method=method)
    masks.freeze(1.0)
    before = None
    for number, zeros in enumerate(train(module, masks, rng, STEPS + 4), start=1):
        refreshed = min(number, STEPS) // 3 * 3
        wanted = 0.6 * cubic(refreshed / STEPS)
        for name, found in zeros.items():
            assert found.float().mean() == pytest.approx(wanted, abs=1 / found.numel())
            if before is not None:
                assert found[before[name]].all()
        before = zeros
    assert masks.zeros == pytest.approx(0.6, abs=0.01)


def test_magnitude_takes_the_smallest(rng):
    module, _ = made(rng)
    masks = WeightMasks(
        module, PruningSettings(method="magnitude", refreshes=4), target=0.4, steps=0
    )
    name, weight = next(iter(prunable_weights(module.graph, ()).items()))
    before = module.parameter_of(weight).detach().clone()
    masks.freeze(1.0)
    after = module.parameter_of(weight).detach()
    assert before[after == 0].abs().max() < before[after != 0].abs().min(), name


def test_the_seed_decides_what_is_random(rng):
    graph = residual(rng)

    def zeros(seed: int) -> torch.Tensor:
        module = GraphModule(graph)
        WeightMasks(
            module, PruningSettings(method="random", seed=seed), target=0.4, steps=0
        ).freeze(1.0)
        return torch.cat([p.detach().flatten() == 0 for p in module.parameters()])

    assert torch.equal(zeros(1), zeros(1))
    assert not torch.equal(zeros(1), zeros(2))


def test_a_state_goes_on_as_if_it_had_not_been_interrupted(rng):
    module, masks = made(rng, method="magnitude")
    other, restored = made(rng, method="magnitude")
    for _ in train(module, masks, rng, 5):
        pass
    other.load_state_dict(module.state_dict())
    restored.load(masks.state())
    data = rng.bit_generator.state
    first = list(train(module, masks, rng, 7))[-1]
    rng.bit_generator.state = data
    second = list(train(other, restored, rng, 7))[-1]
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_layers_that_read_the_input_and_those_to_keep_stay_whole(rng):
    graph = residual(rng)
    names = prunable_weights(graph, ["a"])
    assert "a" not in names
    assert all(graph.inputs[0] not in graph.node(name).inputs for name in names)
    with pytest.raises(PruningError, match="no such layer"):
        prunable_weights(graph, ["b"])


def test_zeros_save_no_cycles():
    with pytest.raises(ValueError, match="save no cycles"):
        PruningSettings(method="random", measure="cycles")
