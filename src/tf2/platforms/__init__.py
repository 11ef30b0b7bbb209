"""FPGA parts and boards as data: what a part holds, what a board connects."""
