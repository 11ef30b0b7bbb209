"""FPGA parts and boards as data: what a part holds, what a board connects."""

from tf2.platforms.boards import BOARDS, Board, board_of
from tf2.platforms.parts import PARTS, Family, Part, part_of

__all__ = ["BOARDS", "PARTS", "Board", "Family", "Part", "board_of", "part_of"]
