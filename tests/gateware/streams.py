"""Both ends of a stream, with random stalls, for `bench.run_benches`."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from amaranth.hdl import Value


def sender(port: Any, payloads: Iterable[int], *, stall: float = 0.0, seed: int = 0) -> Any:
    """Return a bench that offers payloads (as integers), each until it is taken."""

    async def bench(ctx: Any) -> None:
        random = Random(seed)
        for payload in payloads:
            while random.random() < stall:
                await ctx.tick()
            ctx.set(Value.cast(port.payload), payload)
            ctx.set(port.valid, 1)
            await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)

    return bench


def receiver(port: Any, count: int, taken: list[int], *, stall: float = 0.0, seed: int = 0) -> Any:
    """Return a bench that takes `count` payloads (as integers) into a list.

    It also sees that the sender keeps what it offers.
    """

    async def bench(ctx: Any) -> None:
        random = Random(seed)
        offered = None
        while len(taken) < count:
            ready = random.random() >= stall
            ctx.set(port.ready, ready)
            _, _, valid, payload = await ctx.tick().sample(port.valid, Value.cast(port.payload))
            if offered is not None:
                assert valid, "a payload was withdrawn"
                assert payload == offered, "a payload changed before it was taken"
            offered = payload if valid and not ready else None
            if valid and ready:
                taken.append(payload)
        ctx.set(port.ready, 0)

    return bench


def recorder(signal: Any, values: list[int]) -> Any:
    """Return a background bench that notes a signal's value in every cycle."""

    async def bench(ctx: Any) -> None:
        async for _, _, value in ctx.tick().sample(signal):
            values.append(value)

    return bench
