from __future__ import annotations

import re

import pytest
from amaranth.back import verilog

from tf2.arch import named_config
from tf2.gateware.pe_array import PEArray
from tf2.gateware.shared_module import SharedModules


@pytest.mark.parametrize("name", ["test-small", "test-mac"])
def test_alike_units_are_written_once_and_instantiated(name):
    config, shared = named_config(name), SharedModules()
    top = verilog.convert(PEArray(config, feature_latency=6), name="top", platform=shared)
    assert list(shared.texts) == ["dot_product", "pe"]
    for module, text in shared.texts.items():
        assert re.findall(r"^module (\S+)\(", text, re.MULTILINE) == [module]
        assert text.count("/*verilator no_inline_module*/") == 1
    assert len(re.findall(r"^  pe \\?pe_\d", top, re.MULTILINE)) == config.outputs
    copies = re.findall(r"^  dot_product \\?dot_\d", shared.texts["pe"], re.MULTILINE)
    assert len(copies) == config.pixels
