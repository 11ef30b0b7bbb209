"""What is chosen: aligned widths, the cheapest importance first, targets met, nearest one said."""

from __future__ import annotations

import numpy as np
import pytest
from prunable import NETWORKS, bottleneck, branches, residual

from tf2.errors import PruningError
from tf2.ir import Graph
from tf2.pruning.cost import size_of
from tf2.pruning.coupling import coupling_of
from tf2.pruning.selection import Selection, Widths
from tf2.pruning.slicing import without_classes


def selection(graph: Graph, measure: str = "flops", **options) -> Selection:
    widths = Widths(multiple=options.pop("multiple", 4))
    return Selection(coupling_of(graph), widths=widths, measure=measure, **options)


def chosen(choice: Selection, scores: np.ndarray, target: float) -> Graph:
    kept = choice.chosen(scores, target, choice.everything)
    assert kept[choice.coupling.pinned].all()
    return without_classes(choice.coupling, kept)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("measure", ["flops", "params"])
@pytest.mark.parametrize("target", [0.75, 0.5])
def test_targets_are_met_and_widths_are_multiples(network, measure, target, rng):
    graph = NETWORKS[network](rng)
    choice = selection(graph, measure)
    smaller = chosen(choice, rng.random(choice.coupling.count), target)
    before, after = size_of(graph), size_of(smaller)
    assert getattr(after, measure) <= target * getattr(before, measure)
    for node in smaller.nodes:
        if node.op == "Conv":
            assert smaller.shape(node.output)[1] % 4 == 0


@pytest.mark.parametrize("network", NETWORKS)
def test_what_the_last_choice_saved_too_much_is_given_back(network, rng):
    graph = NETWORKS[network](rng)
    choice = selection(graph)
    scores = rng.random(choice.coupling.count)
    everything = choice.everything
    path = [everything, *choice.steps(everything, scores)]
    for target in (0.8, 0.6, 0.45):
        on_path = next((k for k in path if choice.cost(k) <= target * choice.base), None)
        if on_path is None:
            continue
        kept = choice.chosen(scores, target, everything)
        assert kept[on_path].all()
        assert choice.cost(on_path) <= choice.cost(kept) <= target * choice.base


def test_narrow_channels_come_back_when_a_wide_choice_saved_enough(rng):
    choice = selection(residual(rng))
    everything = choice.everything
    path = [everything, *choice.steps(everything, np.ones(choice.coupling.count))]
    costs = [choice.cost(kept) for kept in path]
    found = []
    for low in range(2, len(path)):
        target = (costs[low - 1] - 1) / choice.base
        kept = choice.chosen(np.ones(choice.coupling.count), target, everything)
        found.append(choice.cost(kept) > costs[low])
    assert any(found)


def test_the_least_important_channels_go_first(rng):
    graph = residual(rng)
    choice = selection(graph, multiple=1)
    scores = np.ones(choice.coupling.count)
    weak = choice.coupling.layers[3].writes[[2, 5, 11]]
    scores[weak] = 1e-6
    path = choice.steps(choice.everything, scores)
    kept = [next(path) for _ in range(3)][-1]
    assert set(np.flatnonzero(~kept)) == set(weak.tolist())


def test_a_path_only_ever_loses_and_ends_with_something_everywhere(rng):
    for network in NETWORKS.values():
        choice = selection(network(rng), multiple=1)
        before = choice.everything
        for kept in choice.steps(before, rng.random(choice.coupling.count)):
            assert not (kept & ~before).any()
            assert kept.sum() < before.sum()
            before = kept
        least = without_classes(choice.coupling, before)
        assert all(least.types[n.output].size for n in least.nodes)


def test_a_removed_branch_takes_what_only_it_read(rng):
    choice = selection(bottleneck(rng), multiple=16)
    layers = {n.node.name: n for n in choice.coupling.layers}
    third = list(layers.values())[-3]  # the last 1x1 of the second block: it reads 16 channels
    scores = np.ones(choice.coupling.count)
    scores[third.reads] = 0.0
    kept = next(choice.steps(choice.everything, scores))
    smaller = without_classes(choice.coupling, kept)
    assert len([n for n in smaller.nodes if n.op == "Conv"]) == 5 + 3 - 3
    assert "Add" in [n.op for n in smaller.nodes]
    assert choice._rough_cost(kept) == size_of(smaller).flops


def test_an_unreachable_target_says_what_can_be_reached(rng):
    choice = selection(branches(rng))
    with pytest.raises(PruningError, match=r"Choose a target from 0\.\d\d on") as caught:
        choice.checked(0.01)
    nearest = float(str(caught.value).partition("Choose a target from ")[2].split()[0])
    choice.checked(nearest)
    kept = choice.chosen(rng.random(choice.coupling.count), nearest, choice.everything)
    assert choice.cost(kept) <= nearest * choice.base


def test_layers_to_keep_keep_their_channels(rng):
    graph = residual(rng)
    smaller = chosen(selection(graph, keep=["a"]), rng.random(1000), 0.7)
    assert smaller.shape(smaller.node("a").inputs[1]) == (8, 8, 3, 3)
    with pytest.raises(PruningError, match="no such layer"):
        selection(graph, keep=["b"])


def test_cycles_are_asked_for_and_met(rng):
    graph = residual(rng)
    asked = []

    def cycles(candidate: Graph) -> float:
        asked.append(candidate)
        return sum(candidate.shape(n.output)[1] for n in candidate.nodes if n.op == "Conv")

    choice = selection(graph, "cycles", cycles=cycles)
    smaller = chosen(choice, rng.random(choice.coupling.count), 0.6)
    assert cycles(smaller) <= 0.6 * cycles(graph)
    assert len(asked) < 12  # by halving, not one by one


def test_lanes_of_an_overlay_make_partly_filled_words_worth_nothing(rng):
    graph = residual(rng)
    coupling = coupling_of(graph)
    widths = Widths(multiple=4, outputs=8, inputs=8)
    choice = Selection(coupling, widths=widths, measure="cycles", cycles=lambda _: 1.0)
    layer = coupling.layers[1]
    kept = choice.everything
    kept[layer.writes[:4]] = False
    assert choice._layer_cost(layer, kept) == choice._layer_cost(layer, choice.everything)


def test_a_network_without_channels_to_take_is_refused(rng):
    from prunable import Net

    net = Net(rng)
    flat = net.add("Flatten", net.add("GlobalAveragePool", net.conv("x", 3, 5)))
    with pytest.raises(PruningError, match="no channels that could be taken out"):
        selection(net.finished(flat))
