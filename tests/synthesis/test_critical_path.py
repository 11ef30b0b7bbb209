import pytest

from tf2.synthesis.critical_path import critical_path

CLOCK = "$glbnet$clk$TRELLIS_IO_IN"


def step(kind, delay, start, end, net=None):
    found = {"type": kind, "delay": delay, "from": {"cell": start}, "to": {"cell": end}}
    return found if net is None else {**found, "net": net}


WORD = "overlay.array.pe_array.pe_0.word[3]\\TRELLIS_FF"
SUM = "overlay.array.pe_array.pe_1.sum[7]\\TRELLIS_FF"
LUT = "$abc$1125$lut$flatten\\u.$0\\s[7:0][3]"
STEPS = [
    step("clk-to-q", 0.5, WORD, WORD),
    step("routing", 1.0, WORD, LUT, "overlay.array.pe_array.pe_0.word[3]"),
    step("logic", 0.25, LUT, LUT),
    step("routing", 2.0, LUT, "c", "overlay.array.adder.carry[0]"),
    step("logic", 0.07, "c", "c"),
    step("routing", 0.5, "c", SUM, "$abc$99$auto$x[1]"),
    step("setup", 0.1, SUM, SUM),
]


def report(*paths):
    return {"critical_paths": list(paths)}


def inner(steps, start=CLOCK, end=CLOCK):
    return {"from": f"posedge {start}", "to": f"posedge {end}", "path": steps}


def test_the_path_is_told_in_units_of_the_design():
    path = critical_path(report(inner(STEPS)), CLOCK)
    assert path is not None
    assert path.start == "array.pe_array.pe_0: word"
    assert path.end == "array.pe_array.pe_1: sum"
    assert path.through == ("array.adder",)
    assert path.levels == 1  # a bit of a carry chain is no level
    assert (path.delay_ns, path.routing_ns) == pytest.approx((4.42, 3.5))
    assert str(path).endswith("through array.adder: 4.42 ns in 1 levels, 3.50 ns of it wires")


def test_paths_of_other_clocks_and_of_pins_do_not_count():
    slow = [*STEPS, step("routing", 9.0, SUM, SUM, "x")]
    others = inner(slow, end="other"), {"from": "<async>", "to": f"posedge {CLOCK}", "path": slow}
    path = critical_path(report(*others, inner(STEPS)), CLOCK)
    assert path is not None
    assert path.delay_ns == pytest.approx(4.42)
    assert critical_path(report(*others), CLOCK) is None
