"""From Verilog to a bitstream with open tools: synthesise, place, route, pack, report."""
