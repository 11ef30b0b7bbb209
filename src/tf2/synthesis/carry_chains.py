"""Carry chains of an ECP5's netlist in as few slices as nextpnr can take for them.

nextpnr gives each carry output that has a net a slice of its own, used or not, and another one to
each constant carry into a chain: four LUT4 places a chain, and an overlay has over a thousand.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

_ZERO, _ONE = format(0x0000, "016b"), format(0x000F, "016b")
"""Tables of a bit that gives carry 0, or 1, whatever comes in: its sum is 0 while D is 1."""

_OPEN = ["x"]


def shorten(module: dict[str, Any]) -> tuple[int, int]:
    """Change a flat module, as yosys writes JSON, in place; what it computes stays the same.

    Carry outputs that nothing reads are left open. Where a chain of cells of two bits has an odd
    number of bits, a constant carry into it becomes a bit in front, and the carry input is open.

    Returns:
        How many (outputs, inputs) are open now.
    """
    carries = [cell for cell in module["cells"].values() if cell["type"] == "CCU2C"]
    uses = _uses(module)
    outputs = 0
    for cell in carries:
        if uses[cell["connections"]["COUT"][0]] == 1:
            cell["connections"]["COUT"] = _OPEN
            outputs += 1
    behind = {cell["connections"]["CIN"][0]: cell for cell in carries}
    chains = [_chain(cell, behind, uses) for cell in carries if _constant_carry(cell)]
    return outputs, sum(_move_carry(chain, uses) for chain in chains)


def _uses(module: dict[str, Any]) -> Counter[Any]:
    """Return how many ends each net has."""
    uses: Counter[Any] = Counter()
    for cell in module["cells"].values():
        for bits in cell["connections"].values():
            uses.update(bit for bit in bits if isinstance(bit, int))
    for port in module["ports"].values():
        uses.update(port["bits"])
    return uses


def _constant_carry(cell: dict[str, Any]) -> bool:
    return cell["connections"]["CIN"][0] in ("0", "1")


def _chain(
    first: dict[str, Any], behind: dict[Any, dict[str, Any]], uses: Counter[Any]
) -> list[dict[str, Any]]:
    """Return the cells of a chain, up to one whose carry others read too, or none does."""
    chain = [first]
    while True:
        carry = chain[-1]["connections"]["COUT"][0]
        if uses[carry] != 2 or carry not in behind:
            return chain
        chain.append(behind[carry])


def _move_carry(chain: list[dict[str, Any]], uses: Counter[Any]) -> bool:
    """Put the carry into a bit in front, where the last bit of the chain is free."""
    last = chain[-1]["connections"]
    plain = all(
        cell["parameters"].get(f"INJECT1_{i}", "NO") == "NO" for cell in chain for i in (0, 1)
    )
    if last["COUT"] != _OPEN or uses[last.get("S1", _OPEN)[0]] > 1 or not plain:
        return False
    table = _ONE if chain[0]["connections"]["CIN"] == ["1"] else _ZERO
    bits = [(table, ["0"], ["0"], ["0"], ["1"], _OPEN)]
    for cell in chain:
        for i in (0, 1):
            inputs = (cell["connections"][f"{name}{i}"] for name in "ABCD")
            total = cell["connections"].get(f"S{i}", _OPEN)
            bits.append((cell["parameters"][f"INIT{i}"], *inputs, total))
    for number, (table, *wires) in enumerate(bits[:-1]):
        cell, i = chain[number // 2], number % 2
        cell["parameters"][f"INIT{i}"] = table
        for name, wire in zip(("A", "B", "C", "D", "S"), wires, strict=True):
            cell["connections"][f"{name}{i}"] = wire
    chain[0]["connections"]["CIN"] = _OPEN
    return True
