"""From Verilog to a bitstream with open tools: synthesise, place, route, pack, report."""

from tf2.synthesis.bitstream import Bitstream, build_bitstream
from tf2.synthesis.critical_path import CriticalPath
from tf2.synthesis.design import Design, in_harness, plain_names
from tf2.synthesis.layout import Layout, Target
from tf2.synthesis.netlist import Netlist, synthesise
from tf2.synthesis.tool_run import ToolFailedError
from tf2.synthesis.toolchain import Tool, Toolchain, find_tool, find_toolchain

__all__ = [
    "Bitstream",
    "CriticalPath",
    "Design",
    "Layout",
    "Netlist",
    "Target",
    "Tool",
    "ToolFailedError",
    "Toolchain",
    "build_bitstream",
    "find_tool",
    "find_toolchain",
    "in_harness",
    "plain_names",
    "synthesise",
]
