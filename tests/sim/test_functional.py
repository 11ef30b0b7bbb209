"""The meaning of the ISA against the golden operators: a Layer is what the network says it is."""

from dataclasses import replace

import numpy as np
import pytest

from tf2.arch import OverlayConfig, named_config
from tf2.errors import ProgramError
from tf2.isa import End, InputMap, Kernel, Layer, Load, OutputMap, Pool, Residual, Store
from tf2.isa.filters import Parameters, encode_parameters, encode_words
from tf2.isa.layout import Layout, from_ddr, pack, to_ddr, unpack
from tf2.isa.program import Program
from tf2.numerics import fixed_point, integer_ops
from tf2.numerics.integer_ops import Window
from tf2.sim.functional import FunctionalDevice, FunctionalOverlay

CONFIGS = {
    "small": named_config("test-small"),
    "mac": named_config("test-mac"),
    "one": OverlayConfig(outputs=1, pixels=1, inputs=1, feature_rows=4096, filter_words=16,
                         post_pixels=1, pool_groups=4, ddr_bytes=4),
    "wide": OverlayConfig(outputs=8, pixels=5, inputs=8, feature_rows=1024, filter_words=64,
                          post_pixels=5, pool_groups=8, ddr_bytes=32),
}  # fmt: skip
IN, OUT, RESIDUAL = 3, 400, 800
"""First rows of the maps."""


class Case:
    """A random convolution: the golden side, and the same as an instruction."""

    def __init__(self, rng, config, *, channels=10, outputs=12, size=(7, 6), kernel=(3, 3),
                 strides=(1, 1), pads=(1, 1), dilations=(1, 1), groups=1):  # fmt: skip
        self.rng, self.config = rng, config
        self.outputs = outputs
        self.z_in, self.z_out = (int(z) for z in rng.choice([0, -128], 2))
        self.window = Window(
            kernel=kernel, strides=strides, pads_begin=pads, pads_end=pads, dilations=dilations
        )
        self.features = rng.integers(-128, 128, (channels, *size)).astype(np.int8)
        shape = (outputs, channels // groups, *kernel)
        self.weights = weights(rng, config, shape)
        self.bias = rng.integers(-2000, 2000, outputs)
        self.multiplier = rng.integers(1, 256, outputs)
        self.shift = rng.integers(10, 17, outputs)
        self.negative = rng.integers(1, 256, outputs)
        self.low, self.high = (-128, 127) if rng.random() < 0.5 else (-100, 90)
        self.groups = groups
        self.height, self.width = self.window.output_size(size)

    def golden(self):
        """Return the bytes of the convolution, (outputs, height, width)."""
        return integer_ops.conv(
            self.features[None], self.weights.astype(np.int8), self.bias.astype(np.int32),
            self.multiplier, self.shift, window=self.window, groups=self.groups,
            input_zero_point=self.z_in, output_zero_point=self.z_out,
            negative_multiplier=self.negative, negative_shift=self.shift,
            low=self.low, high=self.high,
        )[0]  # fmt: skip

    def layouts(self):
        config, pitch = self.config, self.features.shape[2] + int(self.rng.integers(0, 3))
        words = -(-self.features.shape[0] // config.inputs)
        source = Layout(
            height=self.features.shape[1], width=self.features.shape[2], pitch=pitch,
            slots=tuple(range(self.features.shape[0])), words=words,
        )  # fmt: skip
        blocks = -(-self.outputs // config.outputs)
        target = Layout(
            height=self.height, width=self.width, pitch=self.width,
            slots=tuple(range(self.outputs)), words=-(-blocks // config.parts),
        )  # fmt: skip
        return source, target

    def layer(self, **changes):
        source, target = self.layouts()
        config, window = self.config, self.window
        layer = Layer(
            name="conv",
            input=InputMap(
                base_row=IN, plane_rows=source.plane_rows(config), height=source.height,
                width=source.width, pitch=source.pitch, zero_point=self.z_in,
            ),
            kernel=Kernel(
                y=window.kernel[0], x=window.kernel[1], words=source.words,
                stride_y=window.strides[0], stride_x=window.strides[1],
                dilation_y=window.dilations[0], dilation_x=window.dilations[1],
                pad_top=window.pads_begin[0], pad_left=window.pads_begin[1],
            ),
            height=self.height, width=self.width, raster_height=self.height,
            raster_width=self.width, lanes=1, out_groups=-(-self.outputs // config.outputs),
            zero_point=self.z_out, low=self.low, high=self.high,
            output=OutputMap(
                base_row=OUT, plane_rows=target.plane_rows(config), step_y=target.pitch
            ),
        )  # fmt: skip
        return source, target, replace(layer, **changes)

    def stream(self):
        """Return the filter stream of a plain convolution."""
        c = self.config
        blocks, words = -(-self.outputs // c.outputs), -(-self.features.shape[0] // c.inputs)
        padded = np.zeros((blocks * c.outputs, words * c.inputs, *self.window.kernel), np.int64)
        per_group = self.weights.shape[1]
        for o, weights_of_one in enumerate(self.weights):
            first = o // (self.outputs // self.groups) * per_group
            padded[o, first : first + per_group] = weights_of_one
        blocks_of = padded.reshape(blocks, c.outputs, words, c.inputs, -1)
        ordered = blocks_of.transpose(0, 4, 2, 1, 3).reshape(blocks, -1, c.outputs, c.inputs)
        return b"".join(self.block(i, words) for i, words in enumerate(ordered))

    def block(self, index, words):
        n = self.config.outputs

        def of_block(values):
            chosen = values[index * n : (index + 1) * n]
            return np.pad(chosen, (0, n - len(chosen)))

        bias = of_block(self.bias) - self.z_in * words.sum(axis=(0, 2))
        if self.config.lane == "sac":
            bias = bias + (words < 0).sum(axis=(0, 2))
        return encode_parameters(
            Parameters(
                bias=bias, multiplier=of_block(self.multiplier), shift=of_block(self.shift),
                negative_multiplier=of_block(self.negative), negative_shift=of_block(self.shift),
            ),
            self.config,
        ) + encode_words(words, self.config)  # fmt: skip

    def run(self, layer, source, extra=None):
        """Return the Feature Buffer after the layer."""
        overlay = FunctionalOverlay(
            self.config, np.frombuffer(self.stream(), np.uint8).copy(), filters=0
        )
        overlay.features[:] = self.rng.integers(-128, 128, overlay.features.shape)
        packed = pack(self.features[:, None], source, self.config)
        overlay.features[IN : IN + len(packed)] = packed
        if extra is not None:
            overlay.features[RESIDUAL : RESIDUAL + len(extra)] = extra
        overlay.run([layer, End()])
        return overlay.features

    def result(self, features, target):
        rows = features[OUT : OUT + target.rows(self.config)]
        return unpack(rows, target, self.config)[:, 0]


def weights(rng, config, shape):
    if config.lane == "mac":
        return rng.integers(-128, 128, shape)
    values = rng.choice([-1, 1], shape) * 2 ** rng.integers(0, 7, shape)
    return np.where(rng.random(shape) < 0.2, 0, values)


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kernel": (1, 1), "pads": (0, 0), "channels": 3},
        {"strides": (2, 2)},
        {"kernel": (5, 2), "pads": (2, 1), "strides": (3, 1)},
        {"dilations": (2, 3), "pads": (2, 3)},
        {"kernel": (7, 6), "pads": (0, 0)},
        {"channels": 12, "outputs": 6, "groups": 3},
    ],
    ids=str,
)
def test_a_layer_is_a_convolution(rng, config, changes):
    case = Case(rng, config, **changes)
    source, target, layer = case.layer()
    features = case.run(layer, source)
    np.testing.assert_array_equal(case.result(features, target), case.golden())


def test_a_negative_pad_begins_further_in(rng, config):
    case = Case(rng, config, pads=(0, 0))
    source, target, layer = case.layer()
    shifted = replace(layer, kernel=replace(layer.kernel, pad_top=-1, pad_left=-2))
    shifted = replace(shifted, height=layer.height - 1, width=layer.width - 2)
    result = case.result(case.run(shifted, source), target)
    np.testing.assert_array_equal(result[:, :-1, :-2], case.golden()[:, 1:, 2:])


def test_a_depthwise_layer_steps_over_words(rng, config):
    c, n = config.inputs, config.outputs
    case = Case(rng, config, channels=2 * c, outputs=2 * c, groups=2 * c)
    source, target, layer = case.layer()
    layer = replace(layer, kernel=replace(
        layer.kernel, words=1, word_step=1, word_every=config.parts
    ))  # fmt: skip
    words = np.zeros((layer.out_groups, 9, n, c), dtype=np.int64)
    for o in range(2 * c):
        words[o // n, :, o % n, o % c] = case.weights[o, 0].reshape(-1)
    case.stream = lambda: b"".join(case.block(i, block) for i, block in enumerate(words))
    np.testing.assert_array_equal(case.result(case.run(layer, source), target), case.golden())


@pytest.mark.parametrize(("size", "stride", "pad"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (3, 2, 0)])
def test_max_pooling_follows_the_convolution(rng, config, size, stride, pad):
    case = Case(rng, config)
    source, target, layer = case.layer()
    for end in (0, 1):  # the last window inside the map, or hanging over
        window = Window(
            kernel=(size, size), strides=(stride, stride), pads_begin=(pad, pad),
            pads_end=(end, end), dilations=(1, 1),
        )  # fmt: skip
        golden = integer_ops.max_pool(case.golden()[None], window=window)[0]
        height, width = golden.shape[1:]
        pool = Pool(kind="max", size=size, stride=stride, pad_top=pad, pad_left=pad,
                    height=height, width=width)  # fmt: skip
        pooled = replace(target, height=height, width=width, pitch=width)
        output = replace(layer.output, plane_rows=pooled.plane_rows(config), step_y=width)
        features = case.run(replace(layer, pool=pool, output=output), source)
        np.testing.assert_array_equal(case.result(features, pooled), golden)


@pytest.mark.parametrize("spread", [(0, 0, 0), (3, 0, 2), (0, 4, 4), (1, 0, -2)])
def test_a_residual_is_an_addition(rng, config, spread):
    # Scales of the layer's bytes, of the residual and of the sum.
    q_y, q_r, drop = spread
    case = Case(rng, config)
    source, target, layer = case.layer()
    z_r, z_o = (int(z) for z in rng.choice([0, -128], 2))
    other = rng.integers(-128, 128, (case.outputs, case.height, case.width)).astype(np.int8)
    finest = max(q_y, q_r)
    out = finest - drop
    golden = integer_ops.add(
        case.golden(), other, a_format=(q_y, case.z_out), b_format=(q_r, z_r),
        out_format=(out, z_o), low=-90, high=100,
    )  # fmt: skip
    residual = Residual(
        base_row=RESIDUAL, plane_rows=target.plane_rows(config), pitch=target.pitch,
        zero_point=z_r, shift_y=max(finest, out) - q_y, shift_r=max(finest, out) - q_r,
        shift_out=max(finest, out) - out, out_zero_point=z_o, low=-90, high=100,
    )  # fmt: skip
    extra = pack(other[:, None], target, config)
    features = case.run(replace(layer, residual=residual), source, extra)
    np.testing.assert_array_equal(case.result(features, target), golden)


def test_a_fused_sum_is_a_global_average(rng, config):
    case = Case(rng, config)
    source, target, layer = case.layer()
    multiplier, shift, z = int(rng.integers(1, 256)), int(rng.integers(8, 15)), 0
    window = Window(
        kernel=(case.height, case.width), strides=(1, 1), pads_begin=(0, 0), pads_end=(0, 0),
        dilations=(1, 1),
    )  # fmt: skip
    golden = integer_ops.average_pool(
        case.golden()[None], window=window, multiplier=multiplier, shift=shift,
        input_zero_point=case.z_out, output_zero_point=z,
    )[0]  # fmt: skip
    pool = Pool(kind="sum", bias=-case.z_out * case.height * case.width, multiplier=multiplier,
                shift=shift, zero_point=z)  # fmt: skip
    one = replace(target, height=1, width=1, pitch=1)
    output = replace(layer.output, plane_rows=1, step_y=1)
    features = case.run(replace(layer, pool=pool, output=output), source)
    np.testing.assert_array_equal(case.result(features, one), golden)


def test_raw_layers_give_the_accumulators(rng, config):
    case = Case(rng, config)
    source, target, layer = case.layer()
    size = target.rows(config)
    output = replace(layer.output, raw_rows=size)
    features = case.run(replace(layer, raw=True, output=output), source)
    octets = [unpack(features[OUT + k * size : OUT + (k + 1) * size], target, config)[:, 0]
              for k in range(4)]  # fmt: skip
    sums = np.ascontiguousarray(np.stack(octets, axis=-1)).view("<i4")[..., 0]
    golden = integer_ops.accumulate(
        case.features[None], case.weights.astype(np.int8), case.bias, window=case.window, groups=1,
        zero_point=case.z_in,
    )[0]  # fmt: skip
    np.testing.assert_array_equal(sums, golden)


def test_z_taps_read_the_following_slices(rng, config):
    case = Case(rng, config, channels=5, kernel=(1, 1), pads=(0, 0))
    source, target, layer = case.layer()
    deep = replace(source, depth=2)
    features = rng.integers(-128, 128, (5, 2, *case.features.shape[1:])).astype(np.int8)
    kernels = weights(rng, config, (case.outputs, 5, 2, 1, 1))
    window = Window(kernel=(2, 1, 1), strides=(1,) * 3, pads_begin=(0,) * 3, pads_end=(0,) * 3,
                    dilations=(1,) * 3)  # fmt: skip
    acc = integer_ops.accumulate(
        features[None], kernels.astype(np.int8), case.bias, window=window, groups=1,
        zero_point=case.z_in,
    )[0, :, 0]  # fmt: skip
    one = (-1, 1, 1)
    golden = fixed_point.rescale(
        acc, np.where(acc < 0, case.negative.reshape(one), case.multiplier.reshape(one)),
        case.shift.reshape(one), zero_point=case.z_out, low=case.low, high=case.high,
    )  # fmt: skip
    flat = kernels.reshape(case.outputs, 5, 2)
    # The stream is that of two times as many channels, of which each half fills its words up.
    words = source.words * config.inputs
    case.weights = np.pad(flat.transpose(0, 2, 1), ((0, 0), (0, 0), (0, words - 5))).reshape(
        case.outputs, 2 * words, 1, 1
    )
    case.features = np.zeros((2 * words, *case.features.shape[1:]), dtype=np.int8)
    stream = case.stream()
    overlay = FunctionalOverlay(config, np.frombuffer(stream, np.uint8).copy(), filters=0)
    packed = pack(features, deep, config)
    overlay.features[IN : IN + len(packed)] = packed
    overlay.execute(replace(
        layer, kernel=replace(layer.kernel, z=2),
        input=replace(layer.input, slice_rows=source.slice_rows(config)),
    ))  # fmt: skip
    np.testing.assert_array_equal(case.result(overlay.features, target), golden)


def test_loads_and_stores_move_whole_rows(rng, config):
    rows = rng.integers(-128, 128, (4, config.pixels, config.inputs)).astype(np.int8)
    data = np.frombuffer(to_ddr(rows, config), dtype=np.uint8)
    code = 4096  # behind both copies
    program = Program(
        config=config,
        instructions=(
            Load(name="in", address=0, base_row=7, rows=4),
            Store(name="out", address=data.size, base_row=7, rows=4, wait_loads=1),
            End(),
        ),
        filters=b"", inputs=(), outputs=(), code_address=code, filters_address=0,
        arena_bytes=2 * code,
    )  # fmt: skip
    arena = program.arena()
    arena[: data.size] = data
    FunctionalDevice(config).run(program, arena)
    np.testing.assert_array_equal(from_ddr(arena[data.size : 2 * data.size], config), rows)


def test_a_program_for_another_overlay_or_arena_is_refused():
    small, mac = CONFIGS["small"], CONFIGS["mac"]
    program = Program(
        config=small, instructions=(End(),), filters=b"", inputs=(), outputs=(),
        filters_address=0, arena_bytes=64,
    )  # fmt: skip
    with pytest.raises(ProgramError, match=r"made for the overlay 'test-small'.*'test-mac'"):
        FunctionalDevice(mac).run(program, program.arena())
    with pytest.raises(ProgramError, match="must be 64 bytes"):
        FunctionalDevice(small).run(program, np.zeros(63, dtype=np.uint8))


def test_memory_beyond_the_end_is_refused():
    config = CONFIGS["small"]
    overlay = FunctionalOverlay(config, np.zeros(64, dtype=np.uint8), filters=64)
    with pytest.raises(ProgramError, match="'in': 32 bytes at 48"):
        overlay.execute(Load(name="in", address=48, base_row=0, rows=1))
    with pytest.raises(ProgramError, match="'out': rows 2048"):
        overlay.execute(Store(name="out", address=0, base_row=2048, rows=1))
    _, _, layer = Case(np.random.default_rng(0), config).layer()
    with pytest.raises(ProgramError, match="'conv': the filter stream ends"):
        overlay.execute(layer)
