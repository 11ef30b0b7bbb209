"""Channels that are chosen while the network is trained: masked first, taken out at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tf2.ir import Node
from tf2.pruning.coupling import Layer
from tf2.pruning.parameters import parameter_groups
from tf2.pruning.selection import Selection
from tf2.pruning.settings import PruningSettings, cubic
from tf2.training.module import GraphModule

FADES = 0.9
"""How much of a class's score is left after a step."""

FAVOUR = 1.05 / 0.95
"""How much better a class that is gone must be than one that is there (the original's margins)."""


class ChannelMasks:
    """Fewer channels at each refresh; a `tf2.training.constraint.Constraint`.

    Layers read zero weights for channels that are gone; the optimizer moves the real weights behind
    them (straight-through), so that a channel can prove worth its cost and come back, where the
    settings let it.

    Args:
        module: Of the selection's graph.
        selection: What can go, and what it costs.
        settings: Of the target.
        steps: Of the optimizer, over which channels go; 0: all at once, before the first.
    """

    def __init__(
        self, module: GraphModule, selection: Selection, settings: PruningSettings, *, steps: int
    ) -> None:
        self._selection = selection
        self._settings = settings
        self._steps = steps
        self._done = 0
        self._readers = [
            _Reader(module, layer)
            for layer in selection.coupling.layers
            if not layer.depthwise and layer.node.kind != "ConvTranspose"  # whose inputs all stay
        ]
        self.kept = selection.everything
        self._scores = np.zeros(selection.coupling.count)

    def freeze(self, share: float) -> None:
        """Begin: without steps to choose in, all choices are made at the start."""
        if self._steps == 0:
            self._refresh(self._settings.target)

    def groups(self, module: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
        """Return an optimizer's parameter groups: weights decay, biases do not."""
        return parameter_groups(module, weight_decay)

    def attach(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Mask at each step of an optimizer; returns it."""
        optimizer.register_step_pre_hook(lambda *_: self.before_step())
        optimizer.register_step_post_hook(lambda *_: self.after_step())
        return optimizer

    @torch.no_grad()
    def before_step(self) -> None:
        """Give the optimizer the real weights, and see what each channel is worth."""
        worth = np.zeros(len(self._scores))
        for reader in self._readers:
            reader.restore()
            np.add.at(worth, reader.layer.columns, reader.change_of_loss())
        self._scores = FADES * self._scores + (1.0 - FADES) * worth**2

    @torch.no_grad()
    def after_step(self) -> None:
        """Mask again, by new choices where they are due."""
        self._done += 1
        for reader in self._readers:
            reader.keep_real()
        interval = max(1, self._steps // self._settings.refreshes)
        last = self._done == self._steps
        if last or (self._done < self._steps and self._done % interval == 0):
            share = cubic(self._done / self._steps)
            self._refresh(1.0 - share * (1.0 - self._settings.target))
        for reader in self._readers:
            reader.mask(self.kept)

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps, beside the module's parameters."""
        real = {f"{r.layer.node.name}/real": r.real for r in self._readers}
        biases = {
            f"{r.layer.node.name}/bias": r.real_bias
            for r in self._readers
            if r.real_bias is not None
        }
        return {
            **real,
            **biases,
            "kept": torch.from_numpy(self.kept.astype(np.uint8)),
            "scores": torch.from_numpy(self._scores.copy()),
            "done": torch.tensor(self._done),
        }

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        for reader in self._readers:
            reader.real.copy_(state[f"{reader.layer.node.name}/real"])
            if reader.real_bias is not None:
                reader.real_bias.copy_(state[f"{reader.layer.node.name}/bias"])
        self.kept = state["kept"].numpy().astype(bool)
        self._scores = state["scores"].numpy().copy()
        self._done = int(state["done"])

    def _refresh(self, target: float) -> None:
        scores = self.importance()
        start = self._selection.everything if self._settings.recover else self.kept
        scores = np.where(self.kept, scores * FAVOUR, scores)
        exact = self._done >= self._steps
        choose = self._selection.chosen if exact else self._selection.roughly_chosen
        self.kept = choose(scores, target, start)
        for reader in self._readers:
            reader.mask(self.kept)

    def importance(self) -> np.ndarray:
        """Return what each class is worth, (count,)."""
        if self._settings.importance == "random":
            return np.random.default_rng(self._settings.seed).random(len(self._scores))
        if self._settings.importance == "taylor":
            return self._scores
        norms = np.zeros(len(self._scores))
        for reader in self._readers:
            np.add.at(norms, reader.layer.columns, reader.squares())
        return norms


class _Reader:
    """A layer that sums over channels."""

    def __init__(self, module: GraphModule, layer: Layer) -> None:
        self.layer = layer
        node: Node = layer.node
        self._weight = module.parameter_of(node.inputs[1])
        self._bias = module.parameter_of(node.inputs[2]) if node.operand(2) else None
        self._axis = _input_axis(node)
        self.real = self._weight.detach().clone()
        self.real_bias = None if self._bias is None else self._bias.detach().clone()

    def restore(self) -> None:
        self._weight.copy_(self.real)
        if self._bias is not None and self.real_bias is not None:
            self._bias.copy_(self.real_bias)

    def keep_real(self) -> None:
        self.real.copy_(self._weight)
        if self._bias is not None and self.real_bias is not None:
            self.real_bias.copy_(self._bias)

    def mask(self, kept: np.ndarray) -> None:
        columns = torch.from_numpy(kept[self.layer.columns]).to(self._weight)
        shape = [1] * self._weight.ndim
        shape[self._axis] = -1
        self._weight.data.copy_(self.real * columns.reshape(shape))
        if self._bias is not None and self.real_bias is not None:
            self._bias.data.copy_(self.real_bias * float(kept[self.layer.reads].any()))

    def change_of_loss(self) -> np.ndarray:
        """Return what taking each column out changes in the loss, to first order."""
        if self._weight.grad is None:
            return np.zeros(len(self.layer.columns))
        return self._by_column(self.real * self._weight.grad)

    def squares(self) -> np.ndarray:
        return self._by_column(self.real.square())

    def _by_column(self, values: Tensor) -> np.ndarray:
        return values.double().transpose(0, self._axis).flatten(1).sum(1).cpu().numpy()


def _input_axis(node: Node) -> int:
    if node.kind == "Conv" or (node.kind == "Gemm" and node.attr("transB", 0)):
        return 1
    return 0
