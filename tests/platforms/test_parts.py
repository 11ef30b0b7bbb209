import pytest

from tf2.errors import ConfigError
from tf2.platforms import BOARDS, PARTS, board_of, part_of


def test_an_unknown_part_names_the_nearest_and_all():
    with pytest.raises(ConfigError, match=r"no part 'ecp5-86k' \(did you mean ecp5-85k\?\).*kv260"):
        part_of("ecp5-86k")


def test_an_unknown_board_says_which_there_are():
    with pytest.raises(ConfigError, match="no board 'de10'; there are ulx3s-85f, ecpix5-85f"):
        board_of("de10")


def test_every_board_has_a_part_of_its_grade_and_package():
    for board in BOARDS.values():
        assert board.grade in board.fpga.grades
        assert board.package in board.fpga.packages


def test_a_part_of_the_open_tools_has_grades_and_packages():
    for part in PARTS.values():
        assert part.open_tools == bool(part.grades) == bool(part.packages)


def test_the_slowest_grade_is_taken_when_none_is_asked_for():
    assert (part_of("ecp5-85k").speed(None), part_of("ecp5-85k").speed(8)) == ("6", "8")
    with pytest.raises(ConfigError, match="ecp5-um5g-85k has no speed grade 6; it has 8"):
        part_of("ecp5-um5g-85k").speed("6")
