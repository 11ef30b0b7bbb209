from __future__ import annotations

import copy

import pytest

from tf2.synthesis.carry_chains import shorten

ADD = format(0x96AA, "016b")
"""A xor (B xor C) with D = 1, and B as the carry where that is 0: C = 1 subtracts."""


def adder(width: int, *, carry_in: str, reads_carry: bool = False) -> dict:
    """Return a module of one chain: a is bits 100..., b 200..., the sum 300...; C is `carry_in`."""
    cells = {}
    pairs = -(-width // 2)
    for k in range(pairs):
        wires = {}
        for i, bit in enumerate((2 * k, 2 * k + 1)):
            there = bit < width
            wires |= {
                f"A{i}": [100 + bit if there else "0"], f"B{i}": [200 + bit if there else "0"],
                f"C{i}": [carry_in], f"D{i}": ["1"], f"S{i}": [300 + bit],
            }  # fmt: skip
        wires |= {"CIN": [carry_in if k == 0 else 400 + k - 1], "COUT": [400 + k]}
        parameters = {"INIT0": ADD, "INIT1": ADD, "INJECT1_0": "NO", "INJECT1_1": "NO"}
        cells[f"c{k}"] = {"type": "CCU2C", "parameters": parameters, "connections": wires}
    carry = [400 + pairs - 1] if reads_carry else []
    ports = {"s": {"bits": [300 + i for i in range(width)] + carry}}
    ports |= {"a": {"bits": [100 + i for i in range(width)]}}
    ports |= {"b": {"bits": [200 + i for i in range(width)]}}
    return {"cells": cells, "ports": ports}


def run(module: dict, a: int, b: int, width: int, *, open_is: int) -> list[int]:
    """Return the bits of port s, by what a CCU2C is in yosys' cells_sim.v."""
    nets = {"0": 0, "1": 1, "x": open_is}
    nets |= {100 + i: a >> i & 1 for i in range(width)}
    nets |= {200 + i: b >> i & 1 for i in range(width)}
    waiting = list(module["cells"].values())
    while waiting:
        cell = next(c for c in waiting if c["connections"]["CIN"][0] in nets)
        waiting.remove(cell)
        wires = cell["connections"]
        carry = nets[wires["CIN"][0]]
        for i in (0, 1):
            table = int(cell["parameters"][f"INIT{i}"], 2)
            index = sum(nets[wires[f"{name}{i}"][0]] << k for k, name in enumerate("ABCD"))
            propagate, generate = table >> index & 1, table >> (index & 3) & 1
            if wires[f"S{i}"] != ["x"]:
                nets[wires[f"S{i}"][0]] = propagate ^ carry
            carry = carry if propagate else generate
        if wires["COUT"] != ["x"]:
            nets[wires["COUT"][0]] = carry
    return [nets[bit] for bit in module["ports"]["s"]["bits"]]


@pytest.mark.parametrize("width", [1, 2, 3, 8, 15])
@pytest.mark.parametrize("carry_in", ["0", "1"])
@pytest.mark.parametrize("reads_carry", [False, True])
def test_chains_compute_the_same_whatever_an_open_input_is(rng, width, carry_in, reads_carry):
    before = adder(width, carry_in=carry_in, reads_carry=reads_carry)
    after = copy.deepcopy(before)
    shorten(after)
    for a, b in rng.integers(0, 1 << width, (40, 2)).tolist():
        wanted = run(before, a, b, width, open_is=0)
        total = a + (b if carry_in == "0" else (~b & ((1 << width) - 1)) + 1)
        assert wanted[:width] == [total >> i & 1 for i in range(width)]
        for open_is in (0, 1):
            assert run(after, a, b, width, open_is=open_is) == wanted


def test_only_unread_carries_and_chains_with_a_free_bit_are_opened():
    assert shorten(adder(15, carry_in="0")) == (1, 1)
    assert shorten(adder(16, carry_in="0")) == (1, 0)
    assert shorten(adder(15, carry_in="0", reads_carry=True)) == (0, 0)
