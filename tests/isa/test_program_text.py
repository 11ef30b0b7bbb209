import numpy as np
import pytest

from isa.random_programs import random_program
from isa.test_program_verify import layer, load, program, store
from tf2.arch import named_config
from tf2.isa import Layout, Pool
from tf2.isa.program import InputPort, OutputPort
from tf2.isa.text import disassemble


def test_each_instruction_is_a_line():
    pooled = layer(
        wait_loads=1, pool=Pool(kind="max", size=3, stride=2, pad_top=1, pad_left=1, height=3,
                                width=3)
    )  # fmt: skip
    port = Layout(height=6, width=6, pitch=6, slots=(0, 1), words=1)
    text = disassemble(
        program(
            load(), pooled, store(wait_layers=1),
            inputs=(InputPort(name="x:bytes", shape=(2, 1, 6, 6), zero_point=0, layout=port,
                              address=131072),),
            outputs=(OutputPort(name="y:bytes", shape=(2, 1, 6, 6), layout=port, address=196608,
                                sums=True),),
        )
    )  # fmt: skip
    assert text.splitlines()[0] == (
        f"overlay 'test-small' ({named_config('test-small').hash:08x}): 4 outputs x 3 pixels x "
        "8 inputs, sac, 2048 rows"
    )
    assert text.splitlines()[2:] == [
        "input x:bytes: 2 x 1 x 6 x 6 at 131072",
        "output y:bytes: 2 x 1 x 6 x 6 int32 at 196608",
        "   0  load   in: rows 0..11 <- arena 131072",
        "   1  layer  conv: 1w 6x6 -> 2g 6x6, kernel 1x1x1, max 3x3/2 pad 1,1 -> 3x3; "
        "12 groups x 2 = 48 cycles, after 1 loads",
        "   2  store  out: rows 100..111 -> arena 196608, after 1 layers",
        "   3  end",
    ]


@pytest.mark.parametrize("seed", range(6))
def test_any_program_has_a_text_with_details(seed):
    case = random_program(np.random.default_rng(seed), named_config("test-small"))
    lines = disassemble(case.program, details=True).splitlines()
    assert sum(not line.startswith(" " * 8) for line in lines) == len(case.program.instructions) + 2
    assert all(len(line) < 200 for line in lines)
