"""INQ: weights become powers of two group by group while the rest makes good for it.

Zhou et al. 2017, arXiv:1702.03044. A step freezes the largest weights of each layer (or random
ones) on its grid; the others are trained; frozen codes never move. We differ: each row has a gain
(the array's multiplier), which may be trained; features are bytes meanwhile; and the start may be
the error-compensated network, whose weights are on the grid before the first step.

    inq = Inq(module, start.layers)
    optimizer = inq.attach(torch.optim.SGD(inq.groups(module, weight_decay=1e-4), lr=0.01))
    for share in (0.5, 0.75, 0.875, 1.0):
        inq.freeze(share)
        train(module, optimizer)     # any loop
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from tf2.compression import Codes
from tf2.errors import TrainingError
from tf2.training.grid import GRIDS, INT8, Grid, Multipliers
from tf2.training.module import GraphModule
from tf2.training.start import LayerStart

Order = Literal["magnitude", "random"]
Mode = Literal["inq", "qat"]


class GridLayer:
    """The weight of one layer and what of it is frozen.

    In mode "inq" frozen weights are put back after each step of the optimizer. In mode "qat" (and
    layers kept at 8 bits) the module computes with rounded weights, and the optimizer moves the
    real ones behind them (straight-through: Courbariaux et al. 2015, arXiv:1511.00363). Biases are
    held so in both modes, to whole steps of the accumulators, and slopes to multipliers.

    Args:
        name: Of the layer's node.
        weight: The parameter, (O, I, ...).
        bias: The parameter, (O,).
        slope: The parameter of a PReLU fused behind the layer, (O, ...).
        start: Its grid.
        grid: Which codes there are.
        mode: See above.
        train_gains: The gains of the rows are parameters too.
    """

    def __init__(
        self,
        name: str,
        weight: nn.Parameter,
        bias: nn.Parameter,
        slope: nn.Parameter | None,
        start: LayerStart,
        *,
        grid: Grid,
        mode: Mode,
        train_gains: bool,
    ) -> None:
        self.name = name
        self.weight = weight
        self.bias = bias
        self.mode = mode
        self._grid = grid
        self._multipliers = Multipliers(start.x, start.y)
        shape = (-1, *[1] * (weight.ndim - 1))
        like = {"dtype": torch.float32, "device": weight.device}
        self._alpha = torch.tensor(start.alpha, **like).reshape(shape)
        self.gain = nn.Parameter(torch.ones_like(self._alpha)) if train_gains else None
        self.frozen = torch.zeros_like(weight, dtype=torch.bool)
        if start.pruned is not None:  # zeros from the start to the end
            self.frozen.copy_(torch.from_numpy(start.pruned))
        self._pruned = int(self.frozen.sum())
        self.q = torch.zeros_like(weight.detach())
        self._real = weight.detach().clone()
        self._real_bias = bias.detach().clone()
        self._bias_step = start.x.scale
        self._slope = slope
        self._real_slope = None if slope is None else slope.detach().clone()
        if slope is not None:
            slope.requires_grad_(start.slope_trains)
        self._rank = weight.detach().abs().reshape(-1)  # of equal weights the larger at the start
        self.after_step()

    @property
    def alpha(self) -> Tensor:
        """The gain of each row as it is now: one that the layer's multiplier can express."""
        if self.gain is None:
            return self._alpha
        return self._multipliers.rounded(self._alpha * self.gain.detach().abs())

    @property
    def share(self) -> float:
        """The share of weights that is frozen."""
        return float(self.frozen.float().mean())

    @torch.no_grad()
    def freeze(self, share: float, *, order: Order, rng: np.random.Generator) -> None:
        """Freeze further weights on the grid until ``share`` of those not pruned, 0..1, is."""
        source = self._real if self.mode == "qat" else self.weight
        codes = self._grid.rounded(source / self.alpha)
        there = source.numel() - self._pruned
        count = round(share * there) - (int(self.frozen.sum()) - self._pruned)
        self.before_step()
        if count > 0:
            picked = self._ordered(source, order, rng)[:count]
            fresh = torch.zeros(source.numel(), dtype=torch.bool, device=source.device)
            fresh[picked] = True
            fresh = fresh.reshape(source.shape)  # of any memory format
            self.frozen |= fresh
            self.q = torch.where(fresh, codes, self.q)
        self.after_step()

    def _ordered(self, source: Tensor, order: Order, rng: np.random.Generator) -> Tensor:
        """Return the positions of weights not frozen yet, the first to freeze first."""
        free = torch.nonzero(~self.frozen.reshape(-1)).reshape(-1)
        if order == "random":
            return free[torch.from_numpy(rng.permutation(len(free))).to(free.device)]
        free = free[torch.argsort(self._rank[free], descending=True, stable=True)]
        size = source.abs().reshape(-1)[free]
        return free[torch.argsort(size, descending=True, stable=True)]

    @torch.no_grad()
    def before_step(self) -> None:
        """Give the optimizer the real values, and the gains their gradient."""
        self.bias.copy_(self._real_bias)
        if self._slope is not None and self._real_slope is not None:
            self._slope.copy_(self._real_slope)
        if self.mode == "qat":
            self.weight.copy_(self._real)
        if self.gain is not None and self.weight.grad is not None:
            values = torch.where(self.frozen, self.q, 0.0) * self._alpha
            axes = tuple(range(1, self.weight.ndim))
            self.gain.grad = (self.weight.grad * values).sum(axes, keepdim=True)

    @torch.no_grad()
    def after_step(self) -> None:
        """Put the weights where they belong: frozen ones on their codes."""
        alpha = self.alpha
        if self.mode == "qat":
            self._real.copy_(self.weight)
            free = self._grid.rounded(self._real / alpha) * alpha
        else:
            free = self.weight
        self.weight.copy_(torch.where(self.frozen, self.q * alpha, free))
        self._real_bias.copy_(self.bias)
        step = alpha.reshape(-1) * self._bias_step
        self.bias.copy_((self._real_bias / step).round() * step)
        if self._slope is not None and self._real_slope is not None:
            self._real_slope.copy_(self._slope)
            along = alpha.reshape(self._slope.shape)
            self._slope.copy_(self._multipliers.rounded_slope(self._real_slope, along))

    def codes(self) -> Codes:
        """Return the codes; those that are not frozen are rounded."""
        source = self._real if self.mode == "qat" else self.weight.detach()
        rounded = self._grid.rounded(source / self.alpha)
        q = torch.where(self.frozen, self.q, rounded).reshape(len(self.q), -1)
        alpha = self.alpha.reshape(-1).cpu().numpy().astype(np.float64)
        return Codes(q=q.cpu().numpy().astype(np.int16), alpha=alpha)

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps beside the module's own parameters."""
        kept = {"frozen": self.frozen.to(torch.uint8), "q": self.q, "rank": self._rank}
        kept["bias"] = self._real_bias
        if self._real_slope is not None:
            kept["slope"] = self._real_slope
        if self.mode == "qat":
            kept["real"] = self._real
        return kept if self.gain is None else {**kept, "gain": self.gain.detach()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take a state of `state` back, in place; the weights themselves are the module's."""
        self.frozen.copy_(state["frozen"].to(torch.bool))
        self.q.copy_(state["q"])
        self._rank.copy_(state["rank"])
        self._real_bias.copy_(state["bias"])
        if self._real_slope is not None:
            self._real_slope.copy_(state["slope"])
        if self.mode == "qat":
            self._real.copy_(state["real"])
        if self.gain is not None:
            self.gain.copy_(state["gain"])


class Inq:
    """All layers of a module; see the head of this file.

    Args:
        module: Made of the start's graph.
        layers: Of the start.
        bits: Of the weights: 2 to 5.
        mode: "inq", or "qat" to train all weights straight-through.
        order: Which weights are frozen first.
        train_gains: Train the gains of the rows too.
        seed: Of the random order.
    """

    def __init__(
        self,
        module: GraphModule,
        layers: Sequence[LayerStart],
        *,
        bits: int = 4,
        mode: Mode = "inq",
        order: Order = "magnitude",
        train_gains: bool = True,
        seed: int = 0,
    ) -> None:
        if bits not in GRIDS:
            raise TrainingError(f"weights have 2, 3, 4 or 5 bits, not {bits}")
        nodes = {node.name: node for node in module.graph.nodes}
        self.layers = tuple(
            GridLayer(
                start.node,
                module.parameter_of(nodes[start.node].inputs[1]),
                module.parameter_of(nodes[start.node].inputs[2]),
                module.parameter_of(nodes[start.activation].inputs[1])
                if start.activation
                else None,
                start,
                grid=INT8 if start.kept else GRIDS[bits],
                mode="qat" if start.kept else mode,
                train_gains=train_gains and not start.kept and mode == "inq",
            )
            for start in layers
        )
        self._order: Order = order
        self._seed = seed

    def freeze(self, share: float) -> None:
        """Freeze weights until ``share`` (0..1) of each layer is; kept layers only at 1."""
        for index, layer in enumerate(self.layers):
            rng = np.random.default_rng([self._seed, index, round(1e6 * share)])
            if layer.mode == "inq" or share == 1.0:
                layer.freeze(share, order=self._order, rng=rng)

    def groups(self, module: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
        """Return an optimizer's parameter groups: weights decay, biases and gains do not."""
        decayed = {id(layer.weight) for layer in self.layers}
        parameters = [p for p in module.parameters() if p.requires_grad]
        rest = [p for p in parameters if id(p) not in decayed]
        gains = [layer.gain for layer in self.layers if layer.gain is not None]
        return [
            {"params": [layer.weight for layer in self.layers], "weight_decay": weight_decay},
            {"params": [*rest, *gains], "weight_decay": 0.0},
        ]

    def attach(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Hold the weights to their grid at each step of an optimizer; returns it."""
        optimizer.register_step_pre_hook(lambda *_: self.before_step())
        optimizer.register_step_post_hook(lambda *_: self.after_step())
        return optimizer

    def before_step(self) -> None:
        """Call before the optimizer's step, where `attach` is not used."""
        for layer in self.layers:
            layer.before_step()

    def after_step(self) -> None:
        """Call after the optimizer's step, where `attach` is not used."""
        for layer in self.layers:
            layer.after_step()

    def codes(self) -> dict[str, Codes]:
        """Return the codes of every layer by its node."""
        return {layer.name: layer.codes() for layer in self.layers}

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps, beside the module's parameters."""
        return {f"{n.name}/{key}": t for n in self.layers for key, t in n.state().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        for layer in self.layers:
            prefix = f"{layer.name}/"
            layer.load(
                {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}
            )
