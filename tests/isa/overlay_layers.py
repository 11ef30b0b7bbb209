"""Random valid layers of the overlay, small enough to simulate: every kind, every odd size.

A layer is proposed at random and kept if `tf2.isa` accepts it, so nothing here repeats the rules of
the array but those that need memory sizes. Use ``from isa.overlay_layers import random_layer``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.errors import ProgramError
from tf2.isa import InputMap, Kernel, Layer, OutputMap, Pool, Residual, encode
from tf2.isa.filters import Parameters, encode_parameters, encode_words
from tf2.isa.walk import walk

ATTEMPTS = 20000


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerCase:
    """A layer and its stretch of the filter stream.

    Attributes:
        layer: The instruction, without waits.
        filters: Its blocks: parameters and words of each group of outputs.
        words: Weights of each block, (out_groups, length, N, C).
        cycles: Issue cycles of the layer when nothing stalls.
    """

    layer: Layer
    filters: bytes
    words: NDArray[np.int64]
    cycles: int


def random_layer(
    rng: np.random.Generator,
    config: OverlayConfig,
    *,
    max_cycles: int = 400,
    rows: int | None = None,
    first_row: int = 0,
    name: str = "random",
    **wanted: object,
) -> LayerCase:
    """Return a layer that reads and writes rows ``first_row .. first_row + rows``.

    Maps read and written do not overlap, but for a residual that lies where the layer writes.

    Args:
        rng: Where it comes from.
        config: Of the overlay.
        max_cycles: Bound of the issue cycles.
        rows: Of the Feature Buffer; all of them if not given.
        first_row: See above.
        name: Of the layer.
        **wanted: Attributes of `Layer` that it must have: ``pool="max"``, ``"sum"`` or ``None``;
            ``residual=True``, ``raw=True`` (no max pooling, no residual), ``out_groups=2``;
            ``full=False`` for any number of lanes; ``segments=True``, ``clips=True`` (a pooling
            window hangs over the edge) to have that for certain.
    """
    rows = config.feature_rows - first_row if rows is None else rows
    asked = wanted
    wanted = _kinds(rng, config) | asked
    if asked.get("residual") or asked.get("pool") == "max":
        wanted["raw"] = False
    if wanted["raw"]:
        wanted |= {"residual": False, "pool": None if wanted["pool"] == "max" else wanted["pool"]}
    for attempt in range(ATTEMPTS):
        if attempt == 1000:  # what was drawn together may not go together
            wanted |= {"segments": False, "clips": False} | asked
        layer = _propose(rng, config, name, wanted)
        layer = None if layer is None else _place(rng, config, layer, first_row, rows)
        if layer is None:
            continue
        try:
            encode(layer, config)
        except ProgramError:
            continue
        w = walk(layer, config)
        if wanted["segments"] and w.segments == 1:
            continue
        if wanted["clips"] and w.emit_x.clipped < 0 and w.emit_y.clipped < 0:
            continue
        if layer.out_groups * layer.groups * w.interval <= max_cycles:
            return with_filters(rng, config, layer)
    raise AssertionError(f"no layer with {wanted} in {ATTEMPTS} attempts")


def with_filters(rng: np.random.Generator, config: OverlayConfig, layer: Layer) -> LayerCase:
    """Return a layer with random weights and parameters."""
    words = _weights(rng, config, layer)
    return LayerCase(
        layer=layer, filters=_filters(rng, config, words), words=words,
        cycles=layer.out_groups * layer.groups * walk(layer, config).interval,
    )  # fmt: skip


def random_features(rng: np.random.Generator, config: OverlayConfig) -> NDArray[np.int8]:
    """Return the content of a Feature Buffer, (feature_rows, P, C)."""
    shape = (config.feature_rows, config.pixels, config.inputs)
    return rng.integers(-128, 128, shape).astype(np.int8)


def _kinds(rng: np.random.Generator, config: OverlayConfig) -> dict[str, object]:
    """Return what is drawn before the attempts: else the kinds with most rules would be rare."""
    raw = rng.random() < 0.15
    pool = rng.choice(["none", "sum"] if raw else ["none", "none", "max", "max", "sum"])
    return {
        "raw": raw,
        "pool": None if pool == "none" else str(pool),
        "residual": not raw and rng.random() < 0.35,
        "out_groups": _one_of(rng, 1, 2, 3),
        "full": rng.random() < 0.75,
        "segments": pool != "sum" and config.pixels > 1 and rng.random() < 0.15,
        "clips": pool == "max" and rng.random() < 0.3,
    }


def _one_of(rng: np.random.Generator, *values: int) -> int:
    return int(rng.choice(values))


def _propose(
    rng: np.random.Generator, config: OverlayConfig, name: str, wanted: dict[str, object]
) -> Layer | None:
    """Return a layer whose maps all begin at row 0, or None if it has no outputs."""
    p = config.pixels
    kernel = Kernel(
        z=_one_of(rng, 1, 1, 1, 2),
        y=_one_of(rng, 1, 1, 2, 3),
        x=_one_of(rng, 1, 1, 2, 3, 5),
        words=_one_of(rng, 1, 1, 2, 3),
        word_step=_one_of(rng, 0, 0, 0, 1, 2),
        word_every=_one_of(rng, 1, 1, 2),
        stride_y=_one_of(rng, 1, 1, 2, 3),
        stride_x=_one_of(rng, 1, 1, 2, 3),
        dilation_y=_one_of(rng, 1, 1, 2),
        dilation_x=_one_of(rng, 1, 1, 2),
        pad_top=_one_of(rng, -1, 0, 0, 1, 2),
        pad_left=_one_of(rng, -1, 0, 0, 1, 2),
    )
    in_height, in_width = (int(v) for v in rng.integers(1, 12, 2))
    size = []
    for n, k, s, d, pad in (
        (in_height, kernel.y, kernel.stride_y, kernel.dilation_y, kernel.pad_top),
        (in_width, kernel.x, kernel.stride_x, kernel.dilation_x, kernel.pad_left),
    ):
        size.append((n + pad + _one_of(rng, 0, 0, 1, 2) - d * (k - 1) - 1) // s + 1)
    height, width = size
    if height < 1 or width < 1:
        return None
    raw = bool(wanted["raw"])
    pool = _pool(rng, height, width, wanted["pool"])
    zero_point = _one_of(rng, 0, -128)
    groups = wanted["out_groups"]
    assert isinstance(groups, int)
    first_part = int(rng.integers(0, 2 * config.parts))
    pitch = in_width + int(rng.integers(0, p + 1))
    plane_rows = -(-in_height * pitch // p) + _one_of(rng, 0, 0, 1)
    planes = kernel.words + kernel.word_step * ((groups - 1) // kernel.word_every)
    out = (pool.height, pool.width) if pool else (height, width)
    step_x = _one_of(rng, 1, 1, 1, 2)
    step_y = step_x * (out[1] - 1) + 1 + _one_of(rng, 0, 0, 1, 3)
    origin = _one_of(rng, 0, 0, 0, 1, 4)
    out_plane = -(-(origin + (out[0] - 1) * step_y + (out[1] - 1) * step_x + 1) // p)
    low, high = (-128, 127) if rng.random() < 0.8 else (-100, 90)
    residual = None
    if wanted["residual"]:
        residual = Residual(
            base_row=0,
            plane_rows=0,
            pitch=width + int(rng.integers(0, p + 1)),
            first_part=int(rng.integers(0, 2 * config.parts)),
            zero_point=_one_of(rng, 0, -128),
            shift_y=int(rng.integers(0, 5)),
            shift_r=int(rng.integers(0, 5)),
            shift_out=int(rng.integers(0, 6)),
            out_zero_point=_one_of(rng, 0, -128),
            low=low,
            high=high,
        )
        residual = replace(residual, plane_rows=-(-height * residual.pitch // p))
    return Layer(
        name=name,
        input=InputMap(
            base_row=0, plane_rows=plane_rows, slice_rows=planes * plane_rows, height=in_height,
            width=in_width, pitch=pitch, zero_point=_one_of(rng, 0, -128),
        ),
        kernel=kernel, height=height, width=width,
        raster_height=height + _one_of(rng, 0, 0, 1),
        raster_width=width + int(rng.integers(0, p + 1)),
        lanes=p if wanted["full"] else int(rng.integers(1, p + 1)),
        out_groups=groups, raw=raw, zero_point=zero_point, low=low, high=high,
        residual=residual, pool=pool,
        output=OutputMap(
            base_row=0, plane_rows=out_plane * (4 if raw else 1), raw_rows=out_plane * raw,
            first_part=first_part, origin=origin, step_y=step_y, step_x=step_x,
        ),
    )  # fmt: skip


def _pool(rng: np.random.Generator, height: int, width: int, kind: object) -> Pool | None:
    if kind == "sum":
        return Pool(
            kind="sum",
            bias=int(rng.integers(-1000, 1000)),
            multiplier=int(rng.integers(0, 256)),
            shift=int(rng.integers(8, 18)),
            zero_point=_one_of(rng, 0, -128),
        )
    if kind != "max":
        return None
    size, stride = _one_of(rng, 1, 2, 3, 3), _one_of(rng, 1, 2, 2)
    pad_top, pad_left = (int(v) for v in rng.integers(0, size, 2))
    rows, columns = (
        max(1, (n + pad - size + _one_of(rng, 0, 0, 1, 2)) // stride + 1)
        for n, pad in ((height, pad_top), (width, pad_left))
    )
    for n, pad, count in ((height, pad_top, rows), (width, pad_left, columns)):
        if (count - 1) * stride - pad >= n:  # a window of nothing but padding
            return None
    return Pool(
        kind="max", size=size, stride=stride, pad_top=pad_top, pad_left=pad_left,
        height=rows, width=columns,
    )  # fmt: skip


def _place(
    rng: np.random.Generator, config: OverlayConfig, layer: Layer, first: int, rows: int
) -> Layer | None:
    """Return the layer with its maps at random rows; None if they do not fit."""
    kernel, source, target, residual = layer.kernel, layer.input, layer.output, layer.residual
    groups_by_fit = kernel.length <= config.filter_words or layer.groups == 1
    line_fits = (
        layer.pool is None
        or layer.pool.kind != "max"
        or layer.raster_width // layer.lanes + 2 <= config.pool_groups
    )
    if not groups_by_fit or not line_fits:
        return None
    in_rows = source.slice_rows * kernel.z
    out_planes = (target.first_part + layer.out_groups - 1) // config.parts + 1
    sizes = {"in": in_rows, "out": out_planes * target.plane_rows}
    in_place = (
        residual is not None
        and layer.pool is None
        and target.origin == 0
        and target.step_x == 1
        and rng.random() < 0.7
    )
    if residual is not None and not in_place:
        sizes["residual"] = (
            (residual.first_part + layer.out_groups - 1) // config.parts + 1
        ) * residual.plane_rows
    free = rows - sum(sizes.values())
    if free < 0:
        return None
    at, base = first, {}
    for what in rng.permutation(list(sizes)):
        gap = int(rng.integers(0, free + 1)) if rng.random() < 0.5 else 0
        free -= gap
        base[str(what)] = at + gap
        at += gap + sizes[str(what)]
    if residual is not None:
        residual = (
            replace(
                residual, base_row=base["out"], plane_rows=target.plane_rows,
                pitch=target.step_y, first_part=target.first_part,
            )
            if in_place
            else replace(residual, base_row=base["residual"])
        )  # fmt: skip
    return replace(
        layer,
        input=replace(source, base_row=base["in"]),
        output=replace(target, base_row=base["out"]),
        residual=residual,
    )


def _weights(rng: np.random.Generator, config: OverlayConfig, layer: Layer) -> NDArray[np.int64]:
    shape = (layer.out_groups, layer.kernel.length, config.outputs, config.inputs)
    if config.lane == "mac":
        return rng.integers(-128, 128, shape)
    top = _one_of(rng, 2, 4, 7)
    values = rng.choice([-1, 1], shape) << rng.integers(0, top, shape)
    return np.where(rng.random(shape) < 0.2, 0, values)


def _filters(rng: np.random.Generator, config: OverlayConfig, words: NDArray[np.int64]) -> bytes:
    """Return the blocks of a layer, rescaled so that most bytes do not saturate."""
    n = config.outputs
    spread = np.sqrt((words.astype(float) ** 2).sum(axis=(1, 3)).mean()) * 128 + 1
    stream = b""
    for block in words:
        multiplier, negative = rng.integers(1, 256, n), rng.integers(-255, 256, n)
        shift = np.log2(spread * np.maximum(multiplier, 1)) - 6 + rng.integers(-2, 3, n)
        shift = np.clip(shift, 0, 17).astype(np.int64)
        same = rng.random(n) < 0.5
        parameters = Parameters(
            bias=rng.integers(-int(spread), int(spread) + 1, n),
            multiplier=multiplier,
            shift=shift,
            negative_multiplier=np.where(same, multiplier, negative),
            negative_shift=shift,
        )
        stream += encode_parameters(parameters, config) + encode_words(block, config)
    return stream
