from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from isa.random_programs import WAITS, random_program
from tf2.arch import named_config
from tf2.errors import ProgramError
from tf2.isa import End, InputMap, Kernel, Layer, Load, OutputMap, Pool, Residual, Store
from tf2.isa.filters import Parameters, encode_parameters, encode_words
from tf2.isa.overlap import least_start
from tf2.isa.program import Program
from tf2.isa.verify import verify

SMALL = named_config("test-small")  # N 4, P 3, C 8: a row has 3 positions, a word 2 parts


def layer(**changes):
    """Return a layer of 1 x 1 over a map of 6 x 6 (12 rows) in rows 0.., to rows 100.."""
    values = {
        "name": "conv",
        "input": InputMap(base_row=0, plane_rows=12, height=6, width=6, pitch=6, zero_point=0),
        "kernel": Kernel(words=1),
        "height": 6, "width": 6, "raster_height": 6, "raster_width": 6, "lanes": 3,
        "out_groups": 2,
        "output": OutputMap(base_row=100, plane_rows=12, step_y=6),
    }  # fmt: skip
    return Layer(**(values | changes))


def filters(layer, *, weight=1, parts=(0, 1), shift=3):
    words = np.zeros((layer.kernel.length, SMALL.outputs, SMALL.inputs), dtype=np.int64)
    for part in parts:
        words[:, :, part * 4 : part * 4 + 4] = weight
    ones = np.ones(SMALL.outputs, dtype=np.int64)
    parameters = Parameters(
        bias=ones, multiplier=ones, shift=shift * ones, negative_multiplier=ones,
        negative_shift=ones,
    )  # fmt: skip
    return (encode_parameters(parameters, SMALL) + encode_words(words, SMALL)) * layer.out_groups


def program(*instructions, stream=None, **changes):
    if stream is None:
        stream = b"".join(filters(i) for i in instructions if isinstance(i, Layer))
    values = {
        "config": SMALL, "instructions": (*instructions, End()), "filters": stream, "inputs": (),
        "outputs": (), "filters_address": 1 << 16, "arena_bytes": 1 << 18,
    }  # fmt: skip
    return Program(**(values | changes))


def load(base_row=0, rows=12, address=1 << 17, **waits):
    return Load(name="in", address=address, base_row=base_row, rows=rows, **waits)


def store(base_row=100, rows=12, address=(1 << 17) + (1 << 16), **waits):
    return Store(name="out", address=address, base_row=base_row, rows=rows, **waits)


def refused(match, *instructions, **changes):
    with pytest.raises(ProgramError, match=match):
        verify(program(*instructions, **changes))


@pytest.mark.parametrize("name", ["test-small", "test-mac"])
@pytest.mark.parametrize("seed", range(12))
def test_random_programs_with_all_their_waits_may_run(name, seed):
    verify(random_program(np.random.default_rng(seed), named_config(name)).program)


@pytest.mark.parametrize("seed", range(12))
def test_a_wait_less_is_refused_unless_another_orders_it(seed):
    case = random_program(np.random.default_rng(seed), SMALL, layers=3)
    instructions = case.program.instructions
    refusals = tried = 0
    for i, instruction in enumerate(instructions[:-1]):
        for wait in WAITS[type(instruction)].values():
            if getattr(instruction, wait):
                less = replace(instruction, **{wait: 0})
                changed = (*instructions[:i], less, *instructions[i + 1 :])
                tried += 1
                try:
                    verify(replace(case.program, instructions=changed))
                except ProgramError:
                    refusals += 1
    assert refusals >= tried / 3


def test_load_layer_store_in_order_may_run():
    verify(program(load(), layer(wait_loads=1), store(wait_layers=1)))


def test_missing_waits_are_refused():
    refused("layer 'conv' reads row 0, which load 'in' writes.*waits for 0 loads, 1 are needed",
            load(), layer())  # fmt: skip
    refused("store 'out' reads row 100, which layer 'conv' writes", layer(), store())
    refused("load 'in' writes row 3, which layer 'conv' reads", layer(), load(base_row=3))
    refused("load 'in' writes row 100, which layer 'conv' writes", layer(), load(base_row=100))
    refused("store 'out' reads row 0, which load 'in' writes", load(), store(base_row=0))
    refused("load 'in' reads byte 196608 of the arena, which store 'out' writes",
            store(), load(address=store().address - 32))  # fmt: skip
    refused("store 'out' writes byte", load(base_row=500), store(address=load().address))


def test_a_wait_orders_whatever_that_one_waited_for():
    # The store waits for the layer only, which waited for the load.
    verify(program(load(), layer(wait_loads=1), store(base_row=0, wait_layers=1)))
    refused("load 'in'", load(), layer(), store(base_row=0, wait_layers=1))


def test_waiting_for_what_comes_later_is_refused():
    refused("waits for 1 loads, but only 0 stand before it", layer(wait_loads=1), load())


def test_a_layer_that_begins_before_it_may_is_refused():
    before = layer(name="before", wait_loads=1)
    chained = layer(
        input=InputMap(base_row=100, plane_rows=12, height=6, width=6, pitch=6, zero_point=0),
        output=OutputMap(base_row=200, plane_rows=12, step_y=6),
    )  # fmt: skip
    needed = least_start(before, chained, SMALL)
    assert needed > 1
    for start in (0, needed, needed + 1):
        verify(program(load(), before, replace(chained, start_after=start)))
    for start in (1, needed - 1):
        refused(
            f"'conv' begins {start} cycles after the last issue of 'before'; at least {needed}",
            load(), before, replace(chained, start_after=start),
        )  # fmt: skip
    refused("'before' is the first and has start_after 9", load(), replace(before, start_after=9))


@pytest.mark.parametrize("seed", range(6))
def test_random_layers_may_begin_no_cycle_earlier(seed):
    case = random_program(np.random.default_rng(seed), SMALL, layers=6)
    layers = [i for i in case.program.instructions if isinstance(i, Layer)]
    for before, after in pairwise(layers):
        if after.start_after:
            early = replace(after, start_after=least_start(before, after, SMALL) - 1)
            changed = tuple(early if i is after else i for i in case.program.instructions)
            with pytest.raises(ProgramError, match=f"'{after.name}' begins"):
                verify(replace(case.program, instructions=changed))


def test_rows_outside_of_the_feature_buffer_are_refused():
    refused("'in': rows 2040 to 2051; the Feature Buffer has rows 0 to 2047", load(base_row=2040))
    refused("'in': rows 0 to -1", load(rows=0))
    source = layer().input
    refused("layer 'conv' reads row 2051", layer(input=replace(source, base_row=2040)))
    refused("layer 'conv' reads row 2058", layer(
        input=replace(source, base_row=2035), kernel=Kernel(words=2)
    ))  # fmt: skip
    refused("layer 'conv' writes row 2051", layer(output=replace(layer().output, base_row=2040)))
    raw = layer(raw=True, output=replace(layer().output, raw_rows=700))
    refused("layer 'conv' writes row 2211", raw)
    with_residual = Residual(
        base_row=2040, plane_rows=12, pitch=6, zero_point=0, shift_y=0, shift_r=0, shift_out=0,
        out_zero_point=0,
    )  # fmt: skip
    refused("layer 'conv' reads row 2051", layer(residual=with_residual))


def test_taps_beyond_the_border_read_no_rows():
    # The last window's rows 6 and 7 would lie in rows 12.. of the buffer, where a load writes.
    tall = layer(kernel=Kernel(y=3, words=1, pad_top=1), raster_height=6)
    verify(program(tall, load(base_row=12)))


def test_the_arena_is_checked():
    refused("load 'in' begins at byte 131073, which is no multiple of 16", load(address=131073))
    refused("load 'in' takes bytes 262128 to 262511; the arena has 262144",
            load(address=(1 << 18) - 16))  # fmt: skip
    refused("store 'out' lies over the filter stream",
            layer(), store(address=1 << 16, wait_layers=1))  # fmt: skip
    refused("store 'out' lies over the code", store(address=16))
    refused("the code lies over the filter stream", layer(), filters_address=16)
    refused("the filter stream begins at byte 65537", layer(), filters_address=65537)


def test_the_filter_stream_is_checked():
    one = layer()
    refused("has 160 bytes, its layers take 96", one, stream=filters(one) + bytes(64))
    refused("hold code 15", one, stream=filters(one)[:-1] + b"\xff")
    refused("parameters hold shift 20; at most 17", one, stream=filters(one, shift=20))


def test_the_end_is_at_the_end():
    with pytest.raises(ProgramError, match="does not end in End"):
        verify(replace(program(), instructions=(load(),)))
    refused("End stands before", End(), load())


@pytest.mark.parametrize(
    ("match", "changes"),
    [
        ("raster of 6 x 5 is smaller", {"raster_width": 5}),
        ("raster of 5 x 6 is smaller", {"raster_height": 5}),
        ("zero point 3", {"zero_point": 3}),
        ("clipped to 5..4", {"low": 5, "high": 4}),
        ("a size is below 1", {"out_groups": 0}),
        ("4 lanes", {"lanes": 4}),
        ("129 filter words do not fit into the Filter Cache of 128", {"kernel": Kernel(words=129)}),
        ("multiple of the 3 banks", {"raster_width": 7}),
        ("raw sums cannot have a max pooling", {"raw": True, "pool": Pool(kind="max")}),
        ("max: stride 3", {"pool": Pool(kind="max", size=3, stride=3, height=2, width=2)}),
        ("max: pads 2, 0", {"pool": Pool(kind="max", size=2, pad_top=2, height=6, width=5)}),
        ("the last window hangs over by 1 columns",
         {"pool": Pool(kind="max", size=2, height=5, width=6)}),
        ("sum: 2 x 1 outputs", {"pool": Pool(kind="sum", height=2)}),
        ("sum: shift 18", {"pool": Pool(kind="sum", shift=18)}),
    ],
)  # fmt: skip
def test_layers_that_break_a_rule_are_refused(match, changes):
    broken = layer(**changes)
    refused(f"'conv'.*({match})", broken, stream=b"")


def test_a_raster_too_wide_for_the_line_buffer_is_refused():
    wide = layer(
        input=InputMap(base_row=0, plane_rows=93, height=1, width=93, pitch=93, zero_point=0),
        height=1, width=93, raster_height=1, raster_width=93,
        pool=Pool(kind="max", size=2, pad_top=1, height=1, width=92),
        output=OutputMap(base_row=100, plane_rows=31, step_y=92),
    )  # fmt: skip
    refused("needs 33 groups of the pooling unit's line buffer, which has 32", wide)


def test_reading_and_writing_the_same_bytes_is_refused():
    onto_itself = layer(output=OutputMap(base_row=6, plane_rows=12, step_y=6))
    refused("layer 'conv' reads row 6 and writes it", onto_itself)
    # Its results are the upper half of the words whose lower half it reads.
    other_part = layer(
        out_groups=1, output=OutputMap(base_row=0, plane_rows=12, first_part=1, step_y=6)
    )
    verify(program(other_part, stream=filters(other_part, parts=(0,))))
    refused("reads row 0 and writes it", other_part)


def test_a_residual_may_lie_where_the_layer_writes_but_not_be_late():
    def added(**changes):
        values = {"base_row": 100, "plane_rows": 12, "pitch": 6, "zero_point": 0, "shift_y": 0,
                  "shift_r": 0, "shift_out": 0, "out_zero_point": 0}  # fmt: skip
        return layer(residual=Residual(**(values | changes)))

    verify(program(added()))
    verify(program(added(base_row=101)))  # read a row ahead of what is written
    refused("reads its residual in row 1\\d\\d after it has written there", added(base_row=99))
    refused("after it has written there", added(first_part=1, plane_rows=0))
