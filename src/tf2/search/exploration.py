"""Search for overlays: bounds for all of them, the exact cycle model for the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tf2.arch import OverlayConfig
from tf2.compiler import compile_graph
from tf2.errors import CompileError, ConfigError, DoesNotFitError
from tf2.ir import Graph
from tf2.resources import Resources
from tf2.search.space import Budget, shapes, variants
from tf2.search.targets import Surroundings
from tf2.search.workload import Workload, workload
from tf2.sim.cycle_model import estimate_run
from tf2.sim.simulation import DdrSettings

Goal = Literal["fps", "latency", "area"]
Progress = Callable[[str, float], None]

DDR_LATENCY = 40


@dataclass(frozen=True, kw_only=True)
class Point:
    """An overlay that was compiled for and counted.

    Attributes:
        config: One instance.
        instances: Overlays beside each other.
        resources: Of one instance.
        share: Largest share of the part that all instances take of any resource.
        logic: Share of the part's LUTs or ALMs that they take.
        cycles: Of a frame of each network, exact by the cycle model.
        macs: Useful ones of a frame of each network.
        clock_mhz: Of the overlays.
    """

    config: OverlayConfig
    instances: int
    resources: Resources
    share: float
    logic: float
    cycles: tuple[int, ...]
    macs: tuple[int, ...]
    clock_mhz: float

    @property
    def latencies_ms(self) -> tuple[float, ...]:
        """Of a frame of each network, without the host's part."""
        return tuple(cycles / self.clock_mhz / 1e3 for cycles in self.cycles)

    @property
    def frames_per_second(self) -> tuple[float, ...]:
        """Of each network alone, all instances busy."""
        return tuple(1e3 * self.instances / ms for ms in self.latencies_ms)

    @property
    def rate(self) -> float:
        """Frames a second when each network gets as many frames as the others."""
        return len(self.cycles) * 1e3 * self.instances / sum(self.latencies_ms)

    @property
    def utilization(self) -> float:
        """Share of the lanes' cycles that are useful."""
        return sum(self.macs) / (sum(self.cycles) * self.config.lanes)


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search found.

    Attributes:
        chosen: The best by the goal.
        front: Points that no other beats in both logic and rate, smallest first.
        points: All that were counted.
        considered: Overlays whose bounds were looked at.
        refused: Overlays that a network does not run on, and the last reason.
        interrupted: Whether it was stopped before its end.
    """

    chosen: Point
    front: tuple[Point, ...]
    points: tuple[Point, ...]
    considered: int
    refused: tuple[int, str]
    interrupted: bool


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is searched for.

    Attributes:
        goal: "fps": the most frames a second; "latency": the fewest milliseconds a frame; "area":
            the fewest LUTs or ALMs.
        at_least: Frames a second that every network must reach.
        compilations: Overlays that are compiled for, about.
    """

    goal: Goal
    at_least: float = 0.0
    compilations: int = 30

    def __post_init__(self) -> None:
        if self.goal == "area" and not self.at_least:
            raise ConfigError(
                "the smallest overlay for what? Say how many frames a second it must reach "
                "(--at-least)"
            )

    def key(self, point: Point) -> tuple[float, ...]:
        """Return what is smallest for the best point."""
        missing = max(0.0, self.at_least - min(point.frames_per_second))
        if missing:
            return (1, missing)
        if self.goal == "area":
            return (0, point.logic, -point.rate)
        worst = sum(point.latencies_ms) if self.goal == "latency" else -point.rate
        return (0, worst, point.logic)


def explore(
    graphs: Sequence[Graph],
    budget: Budget,
    surroundings: Surroundings,
    wish: Wish,
    progress: Progress | None = None,
) -> SearchResult:
    """Return the best overlay for networks on a part; interrupted, the best so far.

    Args:
        graphs: Compressed networks; every one must run on the overlay.
        budget: What it may take of the part.
        surroundings: Clock and memory.
        wish: What is searched for.
        progress: Told the stage and its share.

    Raises:
        ConfigError: No overlay fits the part, or none reaches what is wished: names the nearest.
        DoesNotFitError: A network runs on none of them; says which memory is too small.
    """
    search = _Search([workload(graph) for graph in graphs], budget, surroundings, wish)
    interrupted = False
    try:
        search.run(progress or (lambda stage, share: None))
    except KeyboardInterrupt:
        if not search.points:
            raise
        interrupted = True
    return search.result(interrupted=interrupted)


class _Search:
    def __init__(
        self,
        workloads: list[Workload],
        budget: Budget,
        surroundings: Surroundings,
        wish: Wish,
    ) -> None:
        self.points: list[Point] = []
        self._workloads = workloads
        self._budget, self._surroundings, self._wish = budget, surroundings, wish
        self._ddr = surroundings.ddr_share / budget.instances  # of the memory, for one overlay
        self._seen: set[int] = set()
        self._refused = (0, "")
        self._considered = 0

    def run(self, progress: Progress) -> None:
        """Fill `points`."""
        progress("shapes that fit", 0.0)
        configs = list(shapes(self._budget, self._workloads))
        if not configs:
            raise ConfigError(
                f"no overlay fits {100 * self._budget.share:.0f} % of {self._budget.part.name}"
                + (f", {self._budget.instances} times" if self._budget.instances > 1 else "")
                + ": allow a larger share (--max-share) or take a larger part"
            )
        self._considered = len(configs)
        first = max(1, self._wish.compilations * 2 // 3)
        tried = 0
        for config in self._in_turn(configs):
            if tried >= first:
                break
            if self._cannot_win(config):
                continue
            progress(f"{config.name}: compiling, counting", tried / self._wish.compilations)
            tried += self._try(config)
        while self.points and tried < self._wish.compilations:
            near = [v for v in variants(self._best.config) if v.hash not in self._seen]
            near = [v for v in near if self._budget.too_much(v) is None]
            if not near:
                break
            for config in near:
                progress(f"near {config.name}", min(1.0, tried / self._wish.compilations))
                tried += self._try(config)

    def result(self, *, interrupted: bool) -> SearchResult:
        """Return what was found.

        Raises:
            ConfigError: Nothing reaches what is wished.
            DoesNotFitError: Nothing runs.
        """
        if not self.points:
            raise DoesNotFitError(
                f"{self._budget.part.name}: none of {self._refused[0]} overlays that fit runs "
                f"the network; the last: {self._refused[1]}"
            )
        best = self._best
        reached = min(best.frames_per_second)
        if reached < self._wish.at_least:
            raise ConfigError(
                f"{self._wish.at_least:g} frames/s are out of reach on {self._budget.part.name} "
                f"within {100 * self._budget.share:.0f} % at {best.clock_mhz:g} MHz: the nearest, "
                f"{best.config.name} ({best.config.lanes:,} lanes), reaches {reached:,.1f}"
            )
        return SearchResult(
            chosen=best,
            front=front(self.points),
            points=tuple(self.points),
            considered=self._considered,
            refused=self._refused,
            interrupted=interrupted,
        )

    @property
    def _best(self) -> Point:
        return min(self.points, key=self._wish.key)

    def _in_turn(self, configs: list[OverlayConfig]) -> Iterator[OverlayConfig]:
        """Yield configurations by what they promise; every third is for the front, of any size."""
        likely = [
            self._point(config, tuple(w.likely_cycles(config, self._ddr) for w in self._workloads))
            for config in configs
        ]
        sizes = front(likely)
        step = max(1, 3 * len(sizes) // self._wish.compilations)
        spread = iter(sizes[::-step])
        for i, point in enumerate(sorted(likely, key=self._wish.key)):
            yield point.config
            if i % 2 and (other := next(spread, None)):
                yield other.config

    def _point(self, config: OverlayConfig, cycles: tuple[int, ...]) -> Point:
        part, instances = self._budget.part, self._budget.instances
        resources = self._budget.resources(config)
        shares = resources.shares(part)
        return Point(
            config=config,
            instances=instances,
            resources=resources,
            share=instances * max(shares.values()),
            logic=instances * shares[part.lut_kind],
            cycles=cycles,
            macs=tuple(work.macs for work in self._workloads),
            clock_mhz=self._surroundings.clock_mhz,
        )

    def _cannot_win(self, config: OverlayConfig) -> bool:
        """Return whether something counted is better than this can be, in rate and in logic."""
        cycles = tuple(work.least_cycles(config, self._ddr) for work in self._workloads)
        bound = self._point(config, cycles)
        return any(p.rate >= bound.rate and p.logic <= bound.logic for p in self.points)

    def _try(self, config: OverlayConfig) -> bool:
        """Count a configuration; return whether it was compiled for."""
        if config.hash in self._seen:
            return False
        self._seen.add(config.hash)
        ddr = DdrSettings(latency=DDR_LATENCY, beats_per_256=max(1, round(256 * self._ddr)))
        cycles: list[int] = []
        for work in self._workloads:
            try:
                compiled = compile_graph(work.graph, config)
            except CompileError as error:
                self._refused = (self._refused[0] + 1, f"{config.name}: {error}")
                return True
            runs = [estimate_run(segment.program, ddr) for segment in compiled.arrays]
            cycles.append(sum(run.total.cycles for run in runs if run.total is not None))
        self.points.append(self._point(config, tuple(cycles)))
        return True


def front(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points that no other beats in both logic and rate, smallest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.logic, -p.rate)):
        if not best or point.rate > best[-1].rate:
            best.append(point)
    return tuple(best)
